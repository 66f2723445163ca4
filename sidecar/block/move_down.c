/* move_down: see move_down.h. */
#include "sidecar/block/move_down.h"

#include "sidecar/block/admit.h"
#include "sidecar/block/blocks.h"
#include "sidecar/block/pool_class.h"

#include <assert.h>
#include <stddef.h>

#define ROOM_AHEAD 16u /* slots made free at once, by one sweep */

static struct policy *policy_of(struct blocks *blocks, uint32_t slot)
{
    return &blocks->policies[pool_class_of(&blocks->pool, slot)];
}

/* The class of host memory that the block in a device's slot goes down to, or POOL_NONE: no session
 * had blocks of that size there. */
static uint32_t host_class(const struct pool *pool, uint32_t class)
{
    return pool_class_find(pool, pool_slot_bytes(pool, class), SLOT_TIER_HOST);
}

/* Somebody waits for the block in a device's slot to be in host memory: a commit, to which room is
 * due as to any. Returns false if no copy can be made. */
static bool bring_down(struct blocks *blocks, uint32_t slot, const struct evict_sweep *sweep)
{
    const struct pool *pool = &blocks->pool;
    struct move_entry *entry = move_of(blocks, slot);
    if (entry == NULL) {
        uint32_t class = host_class(pool, pool_class_of(pool, slot));
        if (class == POOL_NONE ||
            (pool_available(pool, class) == 0 && evict_room(blocks, class, 1, sweep) == 0)) {
            return false;
        }
        entry = move_begin(blocks, slot, class);
    }
    if (entry != NULL) {
        entry->claimed = true;
    }
    return entry != NULL;
}

void move_down_committed(struct blocks *blocks, const struct key *key, uint16_t space,
    const struct claim_filter *filter, const struct fetch_means *means)
{
    if (admit_find_tier(blocks, key, space, SLOT_TIER_HOST) != HINT_NONE) {
        claim_done(&blocks->claims, key, space, &means->claims);
        return;
    }
    if (!claim_done_where(&blocks->claims, key, space, filter, &means->claims)) {
        return;
    }
    uint32_t slot = move_source(blocks, key, space);
    if (slot == HINT_NONE || !bring_down(blocks, slot, &means->sweep)) {
        claim_fail(&blocks->claims, key, space, means->now_ns, &means->claims);
    }
}

/* Start copies of what leaves a class of a device next. They leave host memory a reserve, and room
 * is made there once. */
static void copy_class(struct blocks *blocks, uint32_t class, const struct evict_sweep *sweep)
{
    const struct pool *pool = &blocks->pool;
    uint32_t host = host_class(pool, class);
    uint32_t coming[EVICT_COMING_MAX];
    uint32_t count = host == POOL_NONE ? 0 : evict_coming(blocks, class, coming);
    uint32_t wanted = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (move_is_wanted(blocks, coming[i]) && spill_is_ready(blocks, coming[i])) {
            coming[wanted++] = coming[i];
        }
    }
    uint32_t device = slot_device_of(pool->classes[class].tier);
    if (wanted == 0 || !move_has_room(blocks, device, pool_slot_bytes(pool, class))) {
        return; /* no block of host memory goes for a copy that cannot begin */
    }
    uint64_t reserve = evict_low_mark(&pool->classes[host]) / 2;
    if (pool_available(pool, host) < reserve + wanted) {
        (void)spill_room(blocks, host, wanted, sweep);
    }
    for (uint32_t i = 0; i < wanted && pool_available(pool, host) > reserve; i++) {
        if (move_begin(blocks, coming[i], host) == NULL) {
            break;
        }
    }
}

void move_down_some(struct blocks *blocks, const struct fetch_means *means)
{
    const struct pool *pool = &blocks->pool;
    if (!move_can(blocks) || means->now_ns - blocks->moves.looked_ns < MOVE_LOOK_NS) {
        return;
    }
    blocks->moves.looked_ns = means->now_ns;
    for (uint32_t i = 0; i < pool->class_count; i++) {
        uint32_t at = (blocks->tick_class + i) % pool->class_count;
        const struct pool_class *class = &pool->classes[at];
        if (class->tier != SLOT_TIER_HOST && pool->sides[class->tier].free.count == 0 &&
            class->free <= evict_high_mark(class)) {
            copy_class(blocks, at, &means->sweep);
        }
    }
}

/* Is it worth a place on a tier, and nowhere but here? */
static bool is_worth(struct blocks *blocks, uint32_t slot)
{
    return spill_is_ready(blocks, slot) && move_is_wanted(blocks, slot) &&
           (blocks->spills.always || policy_reused(policy_of(blocks, slot), slot));
}

void move_down_rest(struct blocks *blocks, uint32_t *cursor, const struct evict_sweep *sweep)
{
    const struct pool *pool = &blocks->pool;
    for (; move_can(blocks) && *cursor < blocks->index.slots; ++*cursor) {
        uint32_t host = POOL_NONE;
        if (is_worth(blocks, *cursor)) {
            host = host_class(pool, pool_class_of(pool, *cursor));
        }
        if (host == POOL_NONE) {
            continue;
        }
        if (pool_available(pool, host) == 0) {
            (void)evict_free(blocks, host, ROOM_AHEAD, sweep);
        }
        if (move_begin(blocks, *cursor, host) == NULL) {
            break;
        }
    }
}
