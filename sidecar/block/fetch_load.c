/* fetch_load: see fetch_load.h. The start of reads comes first, then their ends. */
#include "sidecar/block/fetch_load.h"

#include "shm/pin.h"
#include "shm/slot.h"
#include "shm/status.h"
#include "sidecar/block/admit.h"
#include "sidecar/block/blocks.h"

#include <assert.h>
#include <string.h>

#define NONE FETCH_NONE
#define STARTS_A_TURN 64u
#define SWEEP_AGAIN_NS UINT64_C(10000000) /* until a slot that a reader is at is looked at again */

static struct fetch_read *read_at(struct blocks *blocks, uint32_t at)
{
    return &blocks->fetches.reads[at];
}

static void count_loading(struct blocks *blocks, uint32_t loading)
{
    blocks->fetches.loading = loading;
    counter_set(blocks->counters, COUNTER_fetches_now, loading);
}

/* A slot to load into. A prefetch never evicts, and leaves half of what a class keeps free for the
 * grants of the next moments: what nobody waits for shall not push out what somebody used. */
static int take_slot(
    struct blocks *blocks, struct fetch_read *read, const struct fetch_means *means)
{
    const struct pool_class *class = &blocks->pool.classes[read->class];
    /* A tier writes to an address, and a device copies to one. */
    assert(class->tier == SLOT_TIER_HOST);
    if (read->ahead && pool_available(&blocks->pool, read->class) <= evict_low_mark(class) / 2) {
        return STATUS_BUSY;
    }
    int status = pool_take(blocks, read->class, SLOT_LOADING, &read->slot, &read->generation);
    if (status == STATUS_BUSY && !read->ahead) {
        /* By one sweep for those behind it, too. */
        status = spill_room(blocks, read->class, blocks->fetches.urgent.count, &means->sweep);
        if (status == STATUS_OK) {
            status = pool_take(blocks, read->class, SLOT_LOADING, &read->slot, &read->generation);
        }
    }
    return status;
}

/* Have the slot of a read filled: by a copy from a device, if one has the block, else by a tier.
 * Returns STATUS_PENDING, STATUS_BUSY: not now, or STATUS_MISS. */
static int fill(struct blocks *blocks, uint32_t at, uint32_t from)
{
    struct fetch_read *read = read_at(blocks, at);
    if (from != HINT_NONE && move_read(blocks, from, read->slot, at)) {
        read->moved = true;
        return STATUS_PENDING;
    }
    if (!cold_has(blocks, &read->id.key)) {
        /* Only that device has it. With nothing under way there, it takes no copies at all. */
        bool later = from != HINT_NONE && move_is_busy(blocks, pool_tier(&blocks->pool, from));
        return later ? STATUS_BUSY : STATUS_MISS;
    }
    read->begin_ns = read->deadline_ns;
    struct tier_wish wish = {
        .id = read->id,
        .out_data = blocks->cold.pool + pool_offset(&blocks->pool, read->slot),
        .room = pool_slot_bytes(&blocks->pool, read->class),
        .part_bytes = read->part_bytes,
        .deadline_ns = read->begin_ns,
        .urgency = read->ahead ? TIER_AHEAD : TIER_URGENT,
    };
    return tiers_load(blocks->cold.tiers, &wish, at);
}

static void loads(struct blocks *blocks, uint32_t at)
{
    fetch_table_unqueue(&blocks->fetches, at);
    read_at(blocks, at)->state = FETCH_LOADING;
    count_loading(blocks, blocks->fetches.loading + 1);
}

/* The block is on its way from a device to host memory already: the read waits for that copy. */
static bool join(struct blocks *blocks, uint32_t at, uint32_t from)
{
    struct fetch_read *read = read_at(blocks, at);
    uint32_t slot = from == HINT_NONE ? HINT_NONE : move_join(blocks, from, at);
    if (slot == HINT_NONE) {
        return false;
    }
    uint64_t word = shared64_load_relaxed(&blocks->index.lines[slot].state);
    read->slot = slot;
    read->generation = slot_generation_of(word);
    read->moved = true;
    loads(blocks, at);
    return true;
}

/* It will not be read. */
static void refuse(
    struct blocks *blocks, uint32_t at, enum counter why, const struct fetch_means *means)
{
    fetch_settle(blocks, at, HINT_NONE, why, means);
    fetch_table_drop(&blocks->fetches, at);
}

/* Begin the first read of a queue. Returns STATUS_BUSY if that has to wait for the tiers, or a
 * device. */
static int begin(struct blocks *blocks, uint32_t at, const struct fetch_means *means)
{
    struct fetch_read *read = read_at(blocks, at);
    if (!read->ahead && !fetch_batch_wants(&blocks->fetches.batches, at)) {
        refuse(blocks, at, COUNTER_fetches_missed, means);
        return STATUS_OK;
    }
    uint32_t from = move_source(blocks, &read->id.key, read->space);
    if (join(blocks, at, from)) {
        return STATUS_OK;
    }
    int status = take_slot(blocks, read, means);
    if (status == STATUS_PENDING) {
        return STATUS_BUSY;
    }
    if (status != STATUS_OK) {
        counter_add(blocks->counters, COUNTER_fetches_refused, read->ahead ? 1 : 0);
        refuse(blocks, at, COUNTER_fetches_refused, means);
        return STATUS_OK;
    }
    status = fill(blocks, at, from);
    if (status == STATUS_PENDING) {
        loads(blocks, at);
        return STATUS_OK;
    }
    pool_give(blocks, read->slot);
    if (status != STATUS_BUSY) {
        refuse(blocks, at, COUNTER_fetches_missed, means);
        status = STATUS_OK;
    }
    return status;
}

bool fetch_load_some(struct blocks *blocks, const struct fetch_means *means)
{
    struct fetches *fetches = &blocks->fetches;
    for (uint32_t i = 0; i < STARTS_A_TURN; i++) {
        uint32_t at = fetches->urgent.first != NONE ? fetches->urgent.first : fetches->ahead.first;
        if (at == NONE || fetches->blocked || fetches->loading >= FETCH_LOADING_MAX) {
            return false;
        }
        fetches->blocked = begin(blocks, at, means) == STATUS_BUSY;
    }
    return fetches->urgent.first != NONE;
}

void fetch_load_part(
    struct blocks *blocks, const struct tier_done *done, const struct fetch_means *means)
{
    struct fetch_batches *batches = &blocks->fetches.batches;
    uint32_t at = (uint32_t)done->cookie;
    struct fetch_read *read = read_at(blocks, at);
    assert(read->state == FETCH_LOADING);
    struct fetch_part part = {
        .generation = read->generation,
        .offset = pool_offset(&blocks->pool, read->slot),
        .bytes = done->bytes,
        .slot = read->slot,
    };
    read->part_here = done->bytes;
    uint32_t wait = batches->of_read[at];
    for (; wait != FETCH_BATCH_NONE; wait = batches->waits[wait].read_after) {
        read->told |= fetch_batch_part(batches, wait, &part, false, &means->answers);
    }
}

/* Does the number still belong to the namespace that the read was begun for? */
static bool same_space(const struct blocks *blocks, const struct fetch_read *read)
{
    const struct tiers *tiers = blocks->cold.tiers;
    if (tiers == NULL) {
        return true; /* from a device, whose slot kept the number */
    }
    const struct tiers_space *known = tiers_space_of(tiers, read->space);
    return known != NULL && memcmp(known->digest, read->id.space, sizeof known->digest) == 0;
}

/* An older read under way that brings the block's parent, or NONE. Older: so that blocks whose
 * keys name each other as parents do not wait for each other. */
static uint32_t older_parent(struct blocks *blocks, const struct fetch_read *read)
{
    if (!read->has_parent) {
        return NONE;
    }
    struct tier_id id = read->id;
    id.key = read->parent;
    uint32_t at = fetch_table_find(&blocks->fetches, &id, read->space);
    if (at == NONE) {
        return NONE;
    }
    const struct fetch_read *parent = read_at(blocks, at);
    bool coming = parent->state == FETCH_LOADING || parent->state == FETCH_HERE;
    return coming && parent->serial < read->serial ? at : NONE;
}

/* The slot is not needed. If a client was told of it, it may be reading its first part: then
 * nobody may write it before a sweep found no pin on it (shm/README.md, ordering 2). */
static void give_slot(struct blocks *blocks, uint32_t at)
{
    struct fetches *fetches = &blocks->fetches;
    struct fetch_read *read = read_at(blocks, at);
    if (!read->told) {
        pool_give(blocks, read->slot);
        fetch_table_free(fetches, at);
        return;
    }
    slot_withdraw(&blocks->index.lines[read->slot]);
    read->state = FETCH_DYING;
    read->after = fetches->dying;
    fetches->dying = at;
}

/* Publish what a read brought. Returns whether that could be done. */
static bool publish(struct blocks *blocks, const struct fetch_read *read)
{
    struct slot_content content = {
        .key = read->id.key,
        .checksum = read->checksum,
        .bytes = (uint32_t)read->bytes,
        .space = read->space,
        .flags = read->flags,
    };
    const struct key *parent = read->has_parent ? &read->parent : NULL;
    /* It may be lost there, since it was read. */
    bool below = cold_has(blocks, &read->id.key);
    if (admit_filled(blocks, read->slot, &content, parent, below) != STATUS_OK) {
        return false;
    }
    if (!read->moved) {
        counter_add(blocks->counters, COUNTER_fetches, 1);
        counter_add(blocks->counters, COUNTER_bytes_fetched, read->bytes);
    }
    return true;
}

/* What a read brought is published, or the slot comes home; who waits is told either way. */
static void end(struct blocks *blocks, uint32_t at, const struct fetch_means *means)
{
    struct fetches *fetches = &blocks->fetches;
    struct fetch_read *read = read_at(blocks, at);
    bool ours = same_space(blocks, read);
    uint32_t hot = HINT_NONE;
    if (ours) {
        hot = admit_find_tier(blocks, &read->id.key, read->space, SLOT_TIER_HOST);
    }
    bool published = ours && read->state == FETCH_HERE && hot == HINT_NONE && publish(blocks, read);
    hot = published ? read->slot : hot;
    fetch_settle(blocks, at, hot, COUNTER_fetches_missed, means);
    if (hot != HINT_NONE) {
        /* Whoever computes it has it now. */
        claim_done(&blocks->claims, &read->id.key, read->space, &means->claims);
    } else if (read->claimed) {
        claim_fail(&blocks->claims, &read->id.key, read->space, means->now_ns, &means->claims);
    }
    count_loading(blocks, fetches->loading - 1);
    fetch_table_hide(fetches, at);
    if (published) {
        fetch_table_free(fetches, at);
    } else {
        give_slot(blocks, at);
    }
}

/* End a read, and those that only waited for it to: parents first, so that each child finds its
 * own. Bounded by FETCH_LOADING_MAX. */
static void end_tree(struct blocks *blocks, uint32_t at, const struct fetch_means *means)
{
    struct fetch_read *reads = blocks->fetches.reads;
    uint32_t ready = at;
    reads[at].sibling = NONE;
    while (ready != NONE) {
        uint32_t now = ready;
        ready = reads[now].sibling;
        uint32_t child = reads[now].children;
        while (child != NONE) {
            uint32_t next = reads[child].sibling;
            reads[child].sibling = ready;
            ready = child;
            child = next;
        }
        end(blocks, now, means);
    }
}

/* The tier had no time for it until then, and somebody who came later has: once more. */
static bool try_again(
    struct blocks *blocks, uint32_t at, const struct tier_done *done, uint64_t now_ns)
{
    struct fetches *fetches = &blocks->fetches;
    struct fetch_read *read = read_at(blocks, at);
    bool late = done->status == STATUS_MISS && read->begin_ns <= now_ns;
    if (!late || read->told || read->children != NONE || read->deadline_ns <= read->begin_ns ||
        !fetch_batch_wants(&fetches->batches, at)) {
        return false;
    }
    pool_give(blocks, read->slot);
    count_loading(blocks, fetches->loading - 1);
    read->state = FETCH_QUEUED;
    read->ahead = false;
    fetch_table_queue(fetches, at, true);
    return true;
}

/* All of its bytes are there. It is published at once, or behind its parent. */
static void arrive(
    struct blocks *blocks, uint32_t at, uint64_t bytes, const struct fetch_means *means)
{
    struct fetch_read *read = read_at(blocks, at);
    read->state = FETCH_HERE;
    read->bytes = bytes;
    read->part_here = bytes;
    uint32_t parent = older_parent(blocks, read);
    if (parent == NONE) {
        end_tree(blocks, at, means);
        return;
    }
    read->sibling = read_at(blocks, parent)->children;
    read_at(blocks, parent)->children = at;
}

void fetch_load_done(
    struct blocks *blocks, const struct tier_done *done, const struct fetch_means *means)
{
    uint32_t at = (uint32_t)done->cookie;
    struct fetch_read *read = read_at(blocks, at);
    assert(read->state == FETCH_LOADING);
    uint64_t room = pool_slot_bytes(&blocks->pool, pool_class_of(&blocks->pool, read->slot));
    if (try_again(blocks, at, done, means->now_ns)) {
        return;
    }
    if (done->status == STATUS_OK && done->bytes > 0 && done->bytes <= room) {
        arrive(blocks, at, done->bytes, means);
    } else {
        end_tree(blocks, at, means);
    }
}

void fetch_load_moved(struct blocks *blocks, uint32_t at, const struct slot_content *content,
    bool claimed, const struct fetch_means *means)
{
    struct fetch_read *read = read_at(blocks, at);
    assert(read->state == FETCH_LOADING && read->moved);
    read->claimed = claimed;
    if (content == NULL) {
        end_tree(blocks, at, means);
        return;
    }
    read->checksum = content->checksum;
    read->flags = content->flags;
    arrive(blocks, at, content->bytes, means);
}

/* V3 to V7 for slots that were withdrawn: one fence and one sweep for all. */
static void take_home(struct blocks *blocks, const struct fetch_means *means)
{
    struct fetches *fetches = &blocks->fetches;
    uint32_t looked[EVICT_BATCH];
    uint32_t count = 0;
    for (; fetches->dying != NONE && count < EVICT_BATCH; count++) {
        looked[count] = fetches->dying;
        fetches->dying = fetches->reads[looked[count]].after;
        blocks->marks[fetches->reads[looked[count]].slot] = PIN_VICTIM;
    }
    /* Partner: R3 of who pins a part; it was withdrawn before, so one of us sees the other. */
    pin_fence();
    uint32_t wild = means->sweep.sweep(means->sweep.context, blocks->marks, blocks->index.slots);
    counter_add(blocks->counters, COUNTER_pins_wild, wild);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = fetches->reads[looked[i]].slot;
        if (blocks->marks[slot] == PIN_PINNED) {
            fetches->reads[looked[i]].after = fetches->dying;
            fetches->dying = looked[i];
        } else {
            pool_give(blocks, slot);
            fetch_table_free(fetches, looked[i]);
        }
        blocks->marks[slot] = PIN_NONE;
    }
}

uint64_t fetch_load_tick(struct blocks *blocks, const struct fetch_means *means)
{
    blocks->fetches.blocked = false;
    if (blocks->fetches.dying == NONE) {
        return UINT64_MAX;
    }
    take_home(blocks, means);
    return blocks->fetches.dying == NONE ? UINT64_MAX : means->now_ns + SWEEP_AGAIN_NS;
}
