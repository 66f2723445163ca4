/* evict: see evict.h. V1 to V7 are the steps of ordering 2 in shm/README.md. */
#include "sidecar/block/evict.h"

#include "shm/hint.h"
#include "shm/pin.h"
#include "shm/slot.h"
#include "sidecar/block/admit.h"
#include "sidecar/block/blocks.h"
#include "sidecar/block/drain.h"
#include "sidecar/block/move.h"
#include "sidecar/block/spill.h"

#include <assert.h>

#define ROOM_BATCHES 5u /* beyond those that `wanted` needs: victims may be pinned */
#define ROOM_WIDER 4u /* 1, 4, 16, 64 and 128 victims for one slot, if all before were pinned */
#define TICK_BATCHES 4u
#define LOW_MARK_MAX 1024u
#define AHEAD_LEAST 4u

/* V1: advice only. A victim that is pinned already need not look "retiring" to its readers. */
static void skip_pinned(
    struct blocks *blocks, const uint32_t *slots, uint32_t count, const struct evict_sweep *sweep)
{
    for (uint32_t i = 0; i < count; i++) {
        blocks->marks[slots[i]] = PIN_VICTIM;
    }
    (void)sweep->sweep(sweep->context, blocks->marks, blocks->index.slots);
}

static void load_key(const struct slot_line *line, struct key *out_key)
{
    for (uint32_t i = 0; i < 4; i++) {
        out_key->word[i] = shared64_load_relaxed(&line->key[i]);
    }
}

/* V2 to V5: mark the batch, one fence, one sweep. The hint buckets, which drop() needs, lie
 * anywhere: asked for here, they arrive during the sweep (README, decision 6); so do the policy's
 * ghosts, which it asked for when it chose. */
static void mark_and_sweep(
    struct blocks *blocks, const uint32_t *slots, uint32_t count, const struct evict_sweep *sweep)
{
    if (blocks->pins_met) {
        skip_pinned(blocks, slots, count, sweep);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct slot_line *line = &blocks->index.lines[slots[i]];
        if (hold_is(&blocks->holds, slots[i])) {
            /* Our own pin: no reader need see it "retiring" for that. */
            blocks->marks[slots[i]] = PIN_PINNED;
        }
        if (blocks->marks[slots[i]] == PIN_PINNED) {
            continue;
        }
        blocks->marks[slots[i]] = PIN_VICTIM;
        slot_mark(line);
        struct key key;
        load_key(line, &key);
        struct hint_place place = hint_place_of(&key, blocks->index.hint_mask);
        hint_prefetch(&blocks->index, &place);
    }
    /* V3; partner: R3 in the client, after its pin records. One of us sees the other. */
    pin_fence();
    uint32_t wild = sweep->sweep(sweep->context, blocks->marks, blocks->index.slots);
    counter_add(blocks->counters, COUNTER_pins_wild, wild);
}

/* V6: the victim stays. */
static void put_back(struct blocks *blocks, struct policy *policy, uint32_t slot)
{
    struct slot_line *line = &blocks->index.lines[slot];
    if (slot_state_of(shared64_load_relaxed(&line->state)) == SLOT_EVICTING) {
        slot_unmark(line);
    }
    policy_keep(policy, slot);
}

/* V7: the victim is nobody's; drop it. */
static void drop(struct blocks *blocks, struct policy *policy, uint32_t slot)
{
    struct key key;
    load_key(&blocks->index.lines[slot], &key);
    struct slot_content content;
    slot_load_place(&blocks->index.lines[slot], &content);
    assert(blocks->space_blocks[content.space] > 0);
    blocks->space_blocks[content.space]--;
    bool removed = hint_remove(&blocks->index, &key, HINT_HOT, slot);
    assert(removed);
    spill_missed(blocks, slot);
    move_missed(blocks, slot);
    if (blocks->pool.devices > 0 && content.tier == SLOT_TIER_HOST) {
        /* What devices have of it is the last there is, unless it lies below. */
        admit_cost(blocks, &key, content.space, spill_is_stored(blocks, slot));
    }
    policy_evicted(policy, slot);
    pool_give(blocks, slot);
}

uint32_t evict_batch(struct blocks *blocks, uint32_t class, const uint32_t *slots, uint32_t count,
    bool forced, const struct evict_sweep *sweep)
{
    assert(count > 0 && count <= EVICT_BATCH);
    struct policy *policy = &blocks->policies[class];
    mark_and_sweep(blocks, slots, count, sweep);

    uint32_t pinned = 0;
    uint32_t dropped = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t mark = blocks->marks[slots[i]];
        blocks->marks[slots[i]] = PIN_NONE;
        /* Children come before their parents: one that was just put back saves its parent. */
        if (mark == PIN_PINNED || (!forced && policy_children(policy, slots[i]) > 0)) {
            pinned += mark == PIN_PINNED;
            put_back(blocks, policy, slots[i]);
        } else {
            drop(blocks, policy, slots[i]);
            dropped++;
        }
    }
    blocks->pins_met = pinned > 0;
    counter_add(blocks->counters, COUNTER_victims_pinned, pinned);
    counter_add(blocks->counters, COUNTER_evictions, dropped);
    enum slot_tier tier = blocks->pool.classes[class].tier;
    blocks->pool.sides[tier].evicted_bytes += dropped * pool_slot_bytes(&blocks->pool, class);
    return dropped;
}

/* Let the policy choose up to `wanted` victims, a batch at most, and retire them. */
static void evict_some(
    struct blocks *blocks, uint32_t class, uint64_t wanted, const struct evict_sweep *sweep)
{
    uint32_t victims[EVICT_BATCH];
    uint32_t max = wanted < EVICT_BATCH ? (uint32_t)wanted : EVICT_BATCH;
    uint32_t count = policy_victims(&blocks->policies[class], max, victims);
    if (count > 0) {
        evict_batch(blocks, class, victims, count, false, sweep);
    }
}

uint32_t evict_free(
    struct blocks *blocks, uint32_t class, uint64_t wanted, const struct evict_sweep *sweep)
{
    struct policy *policy = &blocks->policies[class];
    uint32_t coming[EVICT_BATCH * 2];
    uint32_t victims[EVICT_BATCH];
    uint32_t max = wanted < EVICT_BATCH ? (uint32_t)wanted : EVICT_BATCH;
    /* What has no copies made of it has no order but the policy's. */
    bool host = blocks->pool.classes[class].tier == SLOT_TIER_HOST;
    bool copied = host ? blocks->cold.tiers != NULL : move_can(blocks);
    uint32_t seen = copied ? policy_coming(policy, EVICT_BATCH * 2, coming) : 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < seen && count < max; i++) {
        uint32_t slot = coming[i];
        if (policy_children(policy, slot) == 0 && !hold_is(&blocks->holds, slot) &&
            !(host ? spill_is_wanted(blocks, slot) : move_is_wanted(blocks, slot))) {
            policy_choose(policy, slot);
            victims[count++] = slot;
        }
    }
    return count == 0 ? 0 : evict_batch(blocks, class, victims, count, false, sweep);
}

uint32_t evict_room(
    struct blocks *blocks, uint32_t class, uint32_t wanted, const struct evict_sweep *sweep)
{
    uint64_t before = pool_available(&blocks->pool, class);
    uint64_t goal = before + wanted;
    enum slot_tier tier = blocks->pool.classes[class].tier;
    /* Below its share it grows, before it drops blocks of its own. */
    if (blocks->pool.sides[tier].free.count == 0 && drain_start(blocks, class)) {
        drain_tick(blocks, tier, ROOM_BATCHES, sweep);
    }
    uint64_t wider = 1; /* grows while all that is looked at is pinned */
    for (uint32_t i = 0; i < wanted / EVICT_BATCH + ROOM_BATCHES; i++) {
        /* Counted anew: a victim in a draining extent makes no room here. */
        uint64_t available = pool_available(&blocks->pool, class);
        if (available >= goal) {
            break;
        }
        if (i == 0 && evict_free(blocks, class, goal - available, sweep) > 0) {
            continue;
        }
        /* No victim at all may mean a chain longer than one call passes over: it goes on there. */
        evict_some(blocks, class, (goal - available) * wider, sweep);
        bool stuck = blocks->pins_met && pool_available(&blocks->pool, class) <= available;
        wider = stuck ? wider * ROOM_WIDER : 1;
    }
    uint64_t after = pool_available(&blocks->pool, class);
    return after > before ? (uint32_t)(after - before) : 0;
}

uint32_t evict_high_mark(const struct pool_class *class)
{
    return 2 * evict_low_mark(class);
}

uint32_t evict_coming(
    const struct blocks *blocks, uint32_t class, uint32_t out_slots[EVICT_COMING_MAX])
{
    uint32_t ahead = evict_high_mark(&blocks->pool.classes[class]);
    ahead = ahead < AHEAD_LEAST ? AHEAD_LEAST : ahead;
    uint32_t max = ahead < EVICT_COMING_MAX ? ahead : EVICT_COMING_MAX;
    return policy_coming(&blocks->policies[class], max, out_slots);
}

uint32_t evict_low_mark(const struct pool_class *class)
{
    uint32_t batch = class->slots / 8 < EVICT_BATCH ? class->slots / 8 : EVICT_BATCH;
    uint32_t mark = class->slots / 32 > batch ? class->slots / 32 : batch;
    return mark < LOW_MARK_MAX ? mark : LOW_MARK_MAX;
}

bool evict_tick(struct blocks *blocks, const struct evict_sweep *sweep)
{
    struct pool *pool = &blocks->pool;
    bool more = false;
    uint32_t batches = TICK_BATCHES;
    for (uint32_t i = 0; i < pool->class_count && batches > 0; i++) {
        uint32_t at = (blocks->tick_class + i) % pool->class_count;
        const struct pool_class *class = &pool->classes[at];
        uint32_t mark = evict_low_mark(class);
        if (pool->sides[class->tier].free.count > 0 || class->free >= mark) {
            continue;
        }
        if (drain_start(blocks, at)) {
            continue;
        }
        uint32_t before = class->free;
        /* What loses nothing goes first. While copies are under way and half the mark is there, the
         * others may wait for theirs. */
        bool waits = class->tier == SLOT_TIER_HOST ? blocks->spills.count > 0
                                                   : move_is_down(blocks, class->tier);
        if (evict_free(blocks, at, mark, sweep) == 0 && (!waits || class->free < mark / 2)) {
            evict_some(blocks, at, mark, sweep);
        }
        batches--;
        more = more || (class->free > before && class->free < mark);
    }
    blocks->tick_class = pool->class_count == 0 ? 0 : (blocks->tick_class + 1) % pool->class_count;
    for (uint32_t tier = 0; tier < pool_tiers(pool); tier++) {
        more = drain_tick(blocks, (enum slot_tier)tier, TICK_BATCHES, sweep) || more;
    }
    return more;
}
