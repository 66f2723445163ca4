/* fetch: see fetch.h. */
#include "sidecar/block/fetch.h"

#include "shm/slot.h"
#include "shm/status.h"
#include "sidecar/block/admit.h"
#include "sidecar/block/blocks.h"

#include <assert.h>
#include <string.h>

#define NONE FETCH_NONE

static struct fetch_read *read_at(struct blocks *blocks, uint32_t at)
{
    return &blocks->fetches.reads[at];
}

/* What the tiers know the block by; its key alone, if there are none but devices. Returns false if
 * nobody can bring it. */
static bool name_of(
    const struct blocks *blocks, const struct key *key, uint16_t space, struct tier_id *out_id)
{
    const struct tiers *tiers = blocks->cold.tiers;
    *out_id = (struct tier_id){.key = *key};
    if (tiers == NULL) {
        return move_can(blocks);
    }
    const struct tiers_space *known = tiers_space_of(tiers, space);
    if (known == NULL) {
        return false;
    }
    memcpy(out_id->space, known->digest, sizeof out_id->space);
    return true;
}

/* A hot block, as a client is told of a part. */
static struct fetch_part part_of(const struct blocks *blocks, uint32_t slot)
{
    const struct slot_line *line = &blocks->index.lines[slot];
    struct slot_content content;
    slot_load_place(line, &content);
    return (struct fetch_part){
        /* As a reader that was told of its LOADING knows it. */
        .generation = slot_generation_of(slot_load_state(line)) - 1,
        .offset = content.offset,
        .bytes = content.bytes,
        .slot = slot,
    };
}

/* The read that brings the block, begun or queued here if there is none. NONE: no tier has it, or
 * there are too many; `*out_refused` says which. */
static uint32_t find_or_add(
    struct blocks *blocks, const struct fetch_read *wanted, bool *out_refused)
{
    struct fetches *fetches = &blocks->fetches;
    uint32_t at = fetch_table_find(fetches, &wanted->id, wanted->space);
    *out_refused = false;
    if (at != NONE) {
        counter_add(blocks->counters, COUNTER_fetches_joined, 1);
        return at;
    }
    /* Advice, but without it whoever asks for what never was would push out what is hot. */
    if (!cold_has(blocks, &wanted->id.key) &&
        move_source(blocks, &wanted->id.key, wanted->space) == HINT_NONE) {
        return NONE;
    }
    at = fetch_table_add(fetches, wanted);
    *out_refused = at == NONE;
    return at;
}

/* Somebody waits for what so far was a hint, or nobody's, or not so long. */
static void want_more(struct blocks *blocks, uint32_t at, const struct fetch_read *wanted)
{
    struct fetch_read *read = read_at(blocks, at);
    if (read->deadline_ns < wanted->deadline_ns) {
        read->deadline_ns = wanted->deadline_ns;
    }
    if (read->state != FETCH_QUEUED) {
        return;
    }
    /* The class of a size may have another number since the last who wanted it left. */
    read->class = wanted->class;
    if (read->part_bytes < wanted->part_bytes) {
        read->part_bytes = wanted->part_bytes;
    }
    if (read->ahead) {
        fetch_table_unqueue(&blocks->fetches, at);
        read->ahead = false;
        fetch_table_queue(&blocks->fetches, at, false);
    }
}

/* The block is not hot: wait for it. Returns the counter that says why not, or COUNTER_fetches. */
static enum counter wait_for(struct blocks *blocks, uint32_t batch, uint32_t number,
    const struct fetch_want *want, const struct fetch_means *means)
{
    struct fetch_batches *batches = &blocks->fetches.batches;
    const struct fetch_batch *of = &batches->batches[batch];
    struct fetch_read wanted = {
        .parent = want->parent,
        .has_parent = want->has_parent,
        .deadline_ns = of->ask.deadline_ns,
        .part_bytes = of->ask.part_bytes,
        .class = want->class,
        .slot = NONE,
        .space = want->space,
    };
    if (of->late) {
        return COUNTER_fetches_late;
    }
    if (!name_of(blocks, &want->key, want->space, &wanted.id)) {
        return COUNTER_fetches_missed;
    }
    /* What is on its way to the session already is one slot, however often it asks. */
    uint32_t session = of->ask.session;
    uint32_t found = fetch_table_find(&blocks->fetches, &wanted.id, want->space);
    bool again = found != NONE && fetch_batch_waits(batches, session, found);
    uint32_t used = hold_count(&blocks->holds, session) + batches->sessions[session].waits;
    if (!again && used >= of->ask.quota) {
        return COUNTER_fetches_refused;
    }
    bool refused;
    uint32_t at = find_or_add(blocks, &wanted, &refused);
    uint32_t wait = at == NONE ? NONE : fetch_batch_wait(batches, batch, number, at);
    if (wait == NONE) {
        /* A read without waits that was just queued is dropped when its turn comes. */
        return refused || at != NONE ? COUNTER_fetches_refused : COUNTER_fetches_missed;
    }
    want_more(blocks, at, &wanted);
    struct fetch_read *read = read_at(blocks, at);
    if (read->part_here > 0) {
        struct fetch_part part = {
            .generation = read->generation,
            .offset = pool_offset(&blocks->pool, read->slot),
            .bytes = read->part_here,
            .slot = read->slot,
        };
        bool whole = read->state == FETCH_HERE;
        read->told |= fetch_batch_part(batches, wait, &part, whole, &means->answers);
    }
    return COUNTER_fetches;
}

/* The last hot block before the batch is wanted with it, and keeps those before it: no block leaves
 * while its child is resident. Nobody is told where it is, so a copy in device memory will do. */
static void hold_before(struct blocks *blocks, const struct fetch_ask *ask,
    const struct fetch_want *want, const struct fetch_means *means)
{
    uint32_t slot = admit_find(blocks, &want->parent, want->space);
    if (slot != HINT_NONE && hold_count(&blocks->holds, ask->session) < ask->quota) {
        (void)hold_take(&blocks->holds, slot, ask->session, means->now_ns + ask->hold_ns);
    }
}

void fetch_block(struct blocks *blocks, uint32_t batch, const struct fetch_want *want,
    const struct fetch_means *means)
{
    struct fetch_batches *batches = &blocks->fetches.batches;
    struct fetch_batch *of = &batches->batches[batch];
    assert(of->taken < of->ask.blocks);
    uint32_t number = of->taken++;
    if (number == 0 && want->has_parent) {
        hold_before(blocks, &of->ask, want, means);
    }
    uint32_t slot = admit_find_tier(blocks, &want->key, want->space, SLOT_TIER_HOST);
    uint32_t near = HINT_NONE;
    if (want->reads != SLOT_TIER_HOST && of->ask.part_bytes == 0) {
        near = admit_find_tier(blocks, &want->key, want->space, want->reads);
    }
    if (slot == HINT_NONE && near == HINT_NONE) {
        enum counter why = wait_for(blocks, batch, number, want, means);
        if (why != COUNTER_fetches) {
            counter_add(blocks->counters, why, 1);
            fetch_batch_miss(batches, batch, number);
        }
        return;
    }
    uint32_t session = of->ask.session;
    uint32_t used = hold_count(&blocks->holds, session) + batches->sessions[session].waits;
    if (used < of->ask.quota) {
        (void)hold_take(&blocks->holds, near != HINT_NONE ? near : slot, session,
            means->now_ns + of->ask.hold_ns);
    }
    if (slot == HINT_NONE) {
        return; /* who asks for no parts is told of no place */
    }
    struct fetch_part part = part_of(blocks, slot);
    part.number = number;
    fetch_batch_hot(batches, batch, &part, &means->answers);
}

void fetch_ahead(
    struct blocks *blocks, uint32_t session, const struct fetch_want *want, uint64_t deadline_ns)
{
    struct fetches *fetches = &blocks->fetches;
    counter_add(blocks->counters, COUNTER_fetches_ahead, 1);
    struct fetch_read wanted = {
        .parent = want->parent,
        .has_parent = want->has_parent,
        .deadline_ns = deadline_ns,
        .class = want->class,
        .slot = NONE,
        .space = want->space,
        .asker = session,
        .ahead = true,
    };
    if (admit_find_tier(blocks, &want->key, want->space, SLOT_TIER_HOST) != HINT_NONE ||
        !name_of(blocks, &want->key, want->space, &wanted.id)) {
        return;
    }
    bool refused = fetches->ahead.count == FETCH_AHEAD_MAX;
    if (!refused) {
        (void)find_or_add(blocks, &wanted, &refused);
    }
    counter_add(blocks->counters, COUNTER_fetches_refused, refused ? 1 : 0);
}

void fetch_settle(struct blocks *blocks, uint32_t at, uint32_t slot, enum counter why,
    const struct fetch_means *means)
{
    struct fetch_batches *batches = &blocks->fetches.batches;
    uint32_t wait;
    while ((wait = batches->of_read[at]) != FETCH_BATCH_NONE) {
        const struct fetch_ask *ask = &batches->batches[batches->waits[wait].batch].ask;
        if (slot == HINT_NONE) {
            counter_add(blocks->counters, why, 1);
        } else {
            struct fetch_part part = part_of(blocks, slot);
            (void)hold_take(&blocks->holds, slot, ask->session, means->now_ns + ask->hold_ns);
            (void)fetch_batch_part(batches, wait, &part, true, &means->answers);
        }
        fetch_batch_settle(batches, wait, slot != HINT_NONE, &means->answers);
    }
}

void fetch_hot(
    struct blocks *blocks, const struct key *key, uint16_t space, const struct fetch_means *means)
{
    const struct fetches *fetches = &blocks->fetches;
    struct tier_id id;
    /* Nearly every commit is of a block that nobody fetches. */
    if (fetches->loading + fetches->urgent.count + fetches->ahead.count == 0 ||
        !name_of(blocks, key, space, &id)) {
        return;
    }
    uint32_t at = fetch_table_find(fetches, &id, space);
    if (at == NONE) {
        return;
    }
    uint32_t slot = admit_find_tier(blocks, key, space, SLOT_TIER_HOST);
    if (slot == HINT_NONE) {
        return; /* committed to device memory: the read goes on */
    }
    fetch_settle(blocks, at, slot, COUNTER_fetches_missed, means);
    if (read_at(blocks, at)->state == FETCH_QUEUED) {
        fetch_table_drop(&blocks->fetches, at);
    }
}

void fetch_drop(struct blocks *blocks, uint32_t session)
{
    struct fetches *fetches = &blocks->fetches;
    fetch_batch_drop(&fetches->batches, session);
    hold_drop(&blocks->holds, session);
    uint32_t at = fetches->ahead.first;
    while (at != NONE) {
        uint32_t next = fetches->reads[at].after;
        if (fetches->reads[at].asker == session) {
            fetch_table_drop(&blocks->fetches, at);
        }
        at = next;
    }
}
