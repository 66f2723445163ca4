/* spill: see spill.h. */
#include "sidecar/block/spill.h"

#include "shm/slot.h"
#include "shm/status.h"
#include "sidecar/block/admit.h"
#include "sidecar/block/blocks.h"
#include "sidecar/block/evict.h"

#include <assert.h>
#include <string.h>

/* What a look at a block came to. */
enum spill_step {
    SPILL_GO_ON, /* started, or there is nothing to do for it */
    SPILL_FULL /* nothing more can be started now */
};

bool spill_is_stored(const struct blocks *blocks, uint32_t slot)
{
    return blocks->policy_memory.nodes[slot].cost == POLICY_FETCH;
}

static struct policy *policy_of(struct blocks *blocks, uint32_t slot)
{
    return &blocks->policies[pool_class_of(&blocks->pool, slot)];
}

/* The block in the slot, and what the tiers know its namespace by; NULL: they do not. */
static const struct tiers_space *load(
    const struct blocks *blocks, uint32_t slot, struct slot_content *out_content)
{
    const struct slot_line *line = &blocks->index.lines[slot];
    for (uint32_t i = 0; i < 4; i++) {
        out_content->key.word[i] = shared64_load_relaxed(&line->key[i]);
    }
    slot_load_place(line, out_content);
    return tiers_space_of(blocks->cold.tiers, out_content->space);
}

bool spill_is_wanted(struct blocks *blocks, uint32_t slot)
{
    return pool_tier(&blocks->pool, slot) == SLOT_TIER_HOST && !spill_is_stored(blocks, slot) &&
           (blocks->spills.always || policy_reused(policy_of(blocks, slot), slot));
}

bool spill_is_ready(const struct blocks *blocks, uint32_t slot)
{
    uint64_t state = shared64_load_relaxed(&blocks->index.lines[slot].state);
    return slot_state_of(state) == SLOT_VALID && !hold_copying(&blocks->holds, slot);
}

/* One copy more. What a tier refused is asked again later: the block is still here. */
static enum spill_step start(struct blocks *blocks, uint32_t slot)
{
    struct spills *spills = &blocks->spills;
    struct slot_content content;
    /* A tier reads the bytes at an address, and those of a device have none here. */
    assert(pool_tier(&blocks->pool, slot) == SLOT_TIER_HOST);
    const struct tiers_space *space = load(blocks, slot, &content);
    if (space == NULL) {
        return SPILL_GO_ON;
    }
    if (spills->count == SPILL_COUNT_MAX ||
        (spills->count > 0 && spills->bytes + content.bytes > SPILL_BYTES_MAX) ||
        !hold_copy(&blocks->holds, slot)) {
        return SPILL_FULL;
    }
    struct tier_block block = {
        .id = {.key = content.key},
        .shape = space->shape,
        .data = blocks->cold.pool + content.offset,
        .bytes = content.bytes,
    };
    memcpy(block.id.space, space->digest, sizeof block.id.space);
    int status = tiers_store(blocks->cold.tiers, &block, slot);
    if (status == STATUS_PENDING) {
        spills->count++;
        spills->bytes += content.bytes;
        return SPILL_GO_ON;
    }
    hold_copied(&blocks->holds, slot);
    if (status == STATUS_OK) {
        admit_cost(blocks, &content.key, content.space, true);
        return SPILL_GO_ON;
    }
    counter_add(blocks->counters, COUNTER_spills_refused, 1);
    spills->refused = status != STATUS_TOO_LARGE;
    return spills->refused ? SPILL_FULL : SPILL_GO_ON;
}

void spill_class(struct blocks *blocks, uint32_t class)
{
    if (blocks->cold.tiers == NULL) {
        return;
    }
    uint32_t coming[EVICT_COMING_MAX];
    uint32_t count = evict_coming(blocks, class, coming);
    bool later = blocks->spills.refused || blocks->cold.finding;
    enum spill_step step = later ? SPILL_FULL : SPILL_GO_ON;
    for (uint32_t i = 0; i < count && step == SPILL_GO_ON; i++) {
        if (spill_is_wanted(blocks, coming[i]) && spill_is_ready(blocks, coming[i])) {
            step = start(blocks, coming[i]);
        }
    }
}

int spill_room(
    struct blocks *blocks, uint32_t class, uint32_t wanted, const struct evict_sweep *sweep)
{
    uint32_t slots = blocks->pool.classes[class].slots;
    wanted = wanted < EVICT_BATCH ? wanted : EVICT_BATCH;
    wanted = wanted < slots / 8 ? wanted : slots / 8;
    wanted = wanted > 0 ? wanted : 1;
    spill_class(blocks, class);
    if (evict_free(blocks, class, wanted, sweep) > 0) {
        return STATUS_OK;
    }
    if (blocks->spills.count > 0) {
        return STATUS_PENDING;
    }
    return evict_room(blocks, class, wanted, sweep) > 0 ? STATUS_OK : STATUS_BUSY;
}

void spill_some(struct blocks *blocks, uint64_t now_ns)
{
    struct spills *spills = &blocks->spills;
    const struct pool *pool = &blocks->pool;
    if (spills->refused || pool->sides[SLOT_TIER_HOST].free.count > 0 ||
        now_ns - spills->looked_ns < SPILL_LOOK_NS) {
        return;
    }
    spills->looked_ns = now_ns;
    for (uint32_t i = 0; i < pool->class_count; i++) {
        uint32_t class = (blocks->tick_class + i) % pool->class_count;
        if (pool->classes[class].tier == SLOT_TIER_HOST &&
            pool->classes[class].free <= evict_high_mark(&pool->classes[class])) {
            spill_class(blocks, class);
        }
    }
}

void spill_stored(struct blocks *blocks, const struct tier_done *done)
{
    struct spills *spills = &blocks->spills;
    uint32_t slot = (uint32_t)done->cookie;
    struct slot_content content;
    (void)load(blocks, slot, &content);
    assert(spills->count > 0 && spills->bytes >= content.bytes);
    spills->count--;
    spills->bytes -= content.bytes;
    spills->refused = false;
    /* Held until now, so the slot still has the block that was copied. */
    hold_copied(&blocks->holds, slot);
    if (done->status == STATUS_OK) {
        admit_cost(blocks, &content.key, content.space, true);
        counter_add(blocks->counters, COUNTER_spills, 1);
        counter_add(blocks->counters, COUNTER_bytes_spilled, content.bytes);
    } else if (done->status == STATUS_LIMIT || done->status == STATUS_BUSY) {
        spills->refused = true;
        counter_add(blocks->counters, COUNTER_spills_refused, 1);
    } else {
        counter_add(blocks->counters, COUNTER_spills_failed, 1);
    }
}

void spill_missed(struct blocks *blocks, uint32_t slot)
{
    if (blocks->cold.tiers != NULL && spill_is_wanted(blocks, slot)) {
        counter_add(blocks->counters, COUNTER_spills_missed, 1);
    }
}

bool spill_rest(struct blocks *blocks, uint32_t *cursor)
{
    for (; *cursor < blocks->index.slots; ++*cursor) {
        if (spill_is_ready(blocks, *cursor) && spill_is_wanted(blocks, *cursor) &&
            start(blocks, *cursor) == SPILL_FULL) {
            return false;
        }
    }
    return true;
}
