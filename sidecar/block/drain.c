/* drain: see drain.h. */
#include "sidecar/block/drain.h"

#include "sidecar/block/blocks.h"

#include <assert.h>

#define CHOICE_LOOKS 16u /* extents of a list compared when one must go */

/* Does an extent drain for the class that is not stuck? */
static bool is_coming(const struct pool *pool, uint32_t class)
{
    uint32_t at = pool->sides[pool->classes[class].tier].draining.first;
    for (; at != POOL_NONE; at = pool->extents[at].after) {
        if (pool->extents[at].heir == class && pool->extents[at].passes < DRAIN_PASSES) {
            return true;
        }
    }
    return false;
}

/* Of the tier of `class`: an idle class, else the one with most extents; POOL_NONE if none has more
 * than `class`. */
static uint32_t find_donor(const struct pool *pool, uint32_t class)
{
    uint32_t donor = POOL_NONE;
    uint32_t most = pool_class_extents(pool, class);
    for (uint32_t i = 0; i < pool->class_count; i++) {
        uint32_t extents = pool_class_extents(pool, i);
        if (i == class || pool->classes[i].tier != pool->classes[class].tier) {
            continue;
        }
        if (extents > 0 && pool_idle(pool, i)) {
            return i;
        }
        if (extents > most) {
            most = extents;
            donor = i;
        }
    }
    return donor;
}

/* A class may ask for what is its fair share among those in use in its tier; idle ones have none.
 * */
static bool below_share(const struct pool *pool, uint32_t class)
{
    enum slot_tier tier = pool->classes[class].tier;
    uint32_t extents = pool_tier_extents(pool, tier);
    uint32_t in_use = 0;
    for (uint32_t i = 0; i < pool->class_count; i++) {
        bool rival = pool->classes[i].tier == tier && pool_class_extents(pool, i) > 0;
        in_use += i == class || (rival && !pool_idle(pool, i));
    }
    uint32_t share = extents > in_use ? extents / in_use : 1;
    return pool_class_extents(pool, class) < share;
}

/* Of two extents the one that costs less to drain: tried less often in vain, then with fewer slots
 * in use. */
static uint32_t cheaper(const struct pool *pool, uint32_t a, uint32_t b)
{
    if (a == POOL_NONE || b == POOL_NONE) {
        return a == POOL_NONE ? b : a;
    }
    const struct pool_extent *first = &pool->extents[a];
    const struct pool_extent *second = &pool->extents[b];
    if (first->given_up != second->given_up) {
        return first->given_up < second->given_up ? a : b;
    }
    return first->used <= second->used ? a : b;
}

/* The cheapest of the first few of a list: those given up on are at its end. */
static uint32_t cheapest(const struct pool *pool, const struct pool_list *list)
{
    uint32_t chosen = POOL_NONE;
    uint32_t at = list->first;
    for (uint32_t looks = 0; at != POOL_NONE && looks < CHOICE_LOOKS; looks++) {
        chosen = cheaper(pool, chosen, at);
        at = pool->extents[at].after;
    }
    return chosen;
}

/* Make room for one more draining extent of a tier. Returns false if none is stuck. */
static bool give_up_one(struct blocks *blocks, enum slot_tier tier)
{
    const struct pool *pool = &blocks->pool;
    const struct pool_list *draining = &pool->sides[tier].draining;
    if (draining->count < DRAIN_EXTENTS_MAX) {
        return true;
    }
    for (uint32_t at = draining->first; at != POOL_NONE; at = pool->extents[at].after) {
        if (pool->extents[at].passes >= DRAIN_PASSES) {
            pool_undrain(blocks, at);
            return true;
        }
    }
    return false;
}

bool drain_start(struct blocks *blocks, uint32_t class)
{
    const struct pool *pool = &blocks->pool;
    if (is_coming(pool, class)) {
        return true;
    }
    uint32_t donor = find_donor(pool, class);
    if (!below_share(pool, class) || donor == POOL_NONE ||
        !give_up_one(blocks, pool->classes[class].tier)) {
        return false;
    }
    const struct pool_class *from = &pool->classes[donor];
    uint32_t extent = cheaper(pool, cheapest(pool, &from->open), cheapest(pool, &from->full));
    assert(extent != POOL_NONE);
    pool_drain(blocks, extent, class);
    return true;
}

/* The next victims of a draining extent, at most a batch, which the policy is told. */
static uint32_t collect(struct blocks *blocks, uint32_t at, uint32_t *out_slots)
{
    struct pool_extent *extent = &blocks->pool.extents[at];
    struct policy *policy = &blocks->policies[extent->class];
    uint32_t end = blocks->pool.classes[extent->class].extent_slots;
    uint32_t count = 0;
    for (uint32_t i = 0; i < DRAIN_LOOKS && count < EVICT_BATCH && extent->cursor < end; i++) {
        uint32_t slot = at * blocks->pool.per + extent->cursor++;
        if (policy_resident(policy, slot)) {
            policy_choose(policy, slot);
            out_slots[count++] = slot;
        }
    }
    if (extent->cursor == end) {
        extent->cursor = 0;
        extent->passes++;
    }
    return count;
}

bool drain_tick(
    struct blocks *blocks, enum slot_tier tier, uint32_t batches, const struct evict_sweep *sweep)
{
    struct pool *pool = &blocks->pool;
    const struct pool_list *draining = &pool->sides[tier].draining;
    bool freed = false;
    uint32_t extents = draining->count;
    for (uint32_t i = 0; i < batches && extents > 0; i++) {
        uint32_t at = draining->first;
        uint32_t passes = pool->extents[at].passes;
        uint32_t class = pool->extents[at].class;
        uint32_t victims[EVICT_BATCH];
        uint32_t count = collect(blocks, at, victims);
        bool passed = pool->extents[at].passes != passes;
        if (count > 0 && evict_batch(blocks, class, victims, count, true, sweep) > 0) {
            freed = true;
        }
        if (pool->extents[at].where != EXTENT_DRAINING) {
            extents--;
        } else if (passed) {
            pool_drain_later(blocks, at);
            extents--;
        }
    }
    return freed;
}
