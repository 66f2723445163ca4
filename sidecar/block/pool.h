/* pool: who has which slot: size classes, and the extents that move between them.
 *
 *            host memory                  device 0: numbers, never dereferenced here
 *   pool     ┌ extent 0 ┬ extent 1 ┬ … ┬ host_extents ┬ … ┬ device 1 …   extent e owns the slot
 *            │ class 0  │ class 1  │   │   class 2    │   │              numbers [e * per,
 *            └──────────┴──────────┴───┴──────────────┴───┴─             (e + 1) * per)
 *
 *   per = extent_bytes / slot_bytes_min; each device has device_extents of them
 *   class 0  slots of 2 MiB, packed from the extent's start; as many as fit, at most `per`
 *
 * A tier is host memory, or one device. A class is of one size and one tier, and so is all that
 * moves: a class has extents of its own tier alone, and what drains or idles in one tier is nothing
 * to the others.
 *
 *   extent:  FREE ──▶ OPEN ⇄ FULL      OPEN has a free slot; FREE again when its last slot is home
 *                      └──▶ DRAINING   nothing is taken from it; emptied it joins another class,
 *                                      or it is given up on and is OPEN or FULL again
 *
 * Called by the session layer (take for a grant, give for one that came home), admit, evict, drain
 * and quarantine. Always: a slot is FREE in its descriptor exactly while it is in its extent's
 * stack or was never taken since the extent joined its class; an extent that has a slot in use is
 * of its class's tier.
 */
#ifndef CISTERN_SIDECAR_BLOCK_POOL_H
#define CISTERN_SIDECAR_BLOCK_POOL_H

#include "shm/slot.h"
#include "sidecar/block/arena.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define POOL_CLASSES_MAX 255u
#define POOL_PAGE_BYTES 4096u
#define POOL_NONE UINT32_MAX

static_assert(SLOT_TIER_HOST == 0 && SLOT_TIER_LAST + 1 == SLOT_TIERS, "a tier is an index");

struct blocks;

enum extent_where { EXTENT_FREE = 0, EXTENT_OPEN = 1, EXTENT_FULL = 2, EXTENT_DRAINING = 3 };

struct pool_extent {
    uint32_t before; /* in the list that `where` says, or POOL_NONE */
    uint32_t after;
    uint32_t class; /* its class; of a free one the last it had, or POOL_NONE */
    uint32_t used; /* slots that are lent, hot or in quarantine */
    uint32_t fresh; /* slots [0, fresh) were taken at least once since it joined the class */
    uint32_t stack; /* first of the slots that were given back, or POOL_NONE */
    uint32_t heir; /* DRAINING: the class that gets it, of the same tier */
    uint32_t cursor; /* DRAINING: where the next pass goes on */
    uint32_t passes; /* DRAINING: times that its slots were all looked at */
    uint32_t given_up; /* times that it did not drain, since it joined its class */
    uint32_t where; /* enum extent_where */
};

struct pool_list {
    uint32_t first; /* POOL_NONE: empty */
    uint32_t last;
    uint32_t count;
};

struct pool_class {
    uint64_t slot_bytes;
    enum slot_tier tier;
    bool tierless; /* adopted without a slot in use: of the tier that is asked for first */
    uint32_t users; /* sessions whose blocks are of this size */
    uint32_t extent_slots; /* slots in one extent */
    uint32_t slots; /* in all its extents but the draining ones */
    uint32_t free; /* of those, free ones */
    uint64_t used_at; /* its side's evicted_bytes when a slot was taken or a block touched last */
    struct pool_list open;
    struct pool_list full;
};

/* One tier's part of the pool. */
struct pool_side {
    struct pool_list free; /* extents without a class */
    struct pool_list draining;
    uint64_t evicted_bytes; /* in all its classes, ever: the clock of pool_idle() */
    bool off; /* its memory cannot be used by this server: no class of it is taken */
};

/* What a pool is made of; fixed at open. */
struct pool_shape {
    uint64_t extent_bytes;
    uint64_t slot_bytes_min;
    uint32_t host_extents; /* the first ones */
    uint32_t device_extents; /* of each device, one device behind the other */
    uint32_t devices;
};

struct pool {
    uint64_t extent_bytes;
    uint64_t slot_bytes_min;
    uint32_t per; /* slot numbers an extent owns */
    uint32_t extent_count; /* of all tiers */
    uint32_t host_extents;
    uint32_t device_extents;
    uint32_t devices;
    uint32_t class_count;
    struct pool_extent *extents;
    uint32_t *next; /* one a slot: links of an extent's stack, and of the quarantine */
    struct pool_side sides[SLOT_TIERS];
    struct pool_class classes[POOL_CLASSES_MAX];
};

/* Called by blocks_open(). */
uint64_t pool_arena_bytes(uint32_t extent_count, uint32_t slots);
void pool_open(struct pool *pool, const struct pool_shape *shape, struct arena *arena);

static inline uint32_t pool_shape_extents(const struct pool_shape *shape)
{
    return shape->host_extents + shape->devices * shape->device_extents;
}

/* Take a free slot of a class into `state` (RESERVED or LOADING).
 * Returns 0, or STATUS_BUSY if neither a slot nor an extent of its tier is free: evict_room(). */
int pool_take(struct blocks *blocks, uint32_t class, enum slot_state state, uint32_t *out_slot,
    uint64_t *out_generation);

/* Give a slot back that is RESERVED, LOADING or EVICTING (after the sweep). */
void pool_give(struct blocks *blocks, uint32_t slot);

/* Slots that pool_take() could deliver for a class now. */
uint64_t pool_available(const struct pool *pool, uint32_t class);

/* Of a pool that a former server left, by adopt_blocks(), once for each extent, while all are free:
 * it is in `class`, which is of its tier, and which of its slots are in use is what their
 * descriptors say. */
void pool_adopt_extent(struct blocks *blocks, uint32_t extent, uint32_t class);

/* Take an extent out of service for the class `heir`, of the same tier; drain goes on with it. */
void pool_drain(struct blocks *blocks, uint32_t extent, uint32_t heir);

/* Put a draining extent that did not empty back into service. */
void pool_undrain(struct blocks *blocks, uint32_t extent);

/* Make a draining extent the last of those of its tier. */
void pool_drain_later(struct blocks *blocks, uint32_t extent);

/* The device behind this tier cannot be used: pool_class_take() says so from now on. Its slots keep
 * their numbers. */
static inline void pool_tier_off(struct pool *pool, enum slot_tier tier)
{
    assert(tier != SLOT_TIER_HOST && tier < SLOT_TIERS);
    pool->sides[tier].off = true;
}

/* Tiers that the pool has: 0 is host memory, the others its devices. */
static inline uint32_t pool_tiers(const struct pool *pool)
{
    return 1 + pool->devices;
}

/* How many extents a tier has, and the number of its first; 0 of a tier that there is not. */
static inline uint32_t pool_tier_extents(const struct pool *pool, enum slot_tier tier)
{
    if (tier == SLOT_TIER_HOST) {
        return pool->host_extents;
    }
    return (uint32_t)tier < pool_tiers(pool) ? pool->device_extents : 0;
}

static inline uint32_t pool_tier_first(const struct pool *pool, enum slot_tier tier)
{
    return tier == SLOT_TIER_HOST
               ? 0
               : pool->host_extents + slot_device_of(tier) * pool->device_extents;
}

/* How many slot numbers a tier has, and the first of them; 0 of a tier that there is not. */
static inline uint32_t pool_tier_slots(
    const struct pool *pool, enum slot_tier tier, uint32_t *out_first)
{
    uint32_t extents = pool_tier_extents(pool, tier);
    *out_first = extents == 0 ? 0 : pool_tier_first(pool, tier) * pool->per;
    return extents * pool->per;
}

/* Was all that its tier holds evicted once over since anybody used this class? Its model is gone.
 * */
static inline bool pool_idle(const struct pool *pool, uint32_t class)
{
    enum slot_tier tier = pool->classes[class].tier;
    return pool->sides[tier].evicted_bytes - pool->classes[class].used_at >
           pool->extent_bytes * pool_tier_extents(pool, tier);
}

static inline uint32_t pool_extent_of(const struct pool *pool, uint32_t slot)
{
    return slot / pool->per;
}

static inline enum slot_tier pool_extent_tier(const struct pool *pool, uint32_t extent)
{
    return extent < pool->host_extents
               ? SLOT_TIER_HOST
               : slot_tier_of_device((extent - pool->host_extents) / pool->device_extents);
}

/* Of any slot, in use or not. */
static inline enum slot_tier pool_tier(const struct pool *pool, uint32_t slot)
{
    return pool_extent_tier(pool, pool_extent_of(pool, slot));
}

/* The class of a slot that is in use. */
static inline uint32_t pool_class_of(const struct pool *pool, uint32_t slot)
{
    uint32_t class = pool->extents[pool_extent_of(pool, slot)].class;
    assert(class < pool->class_count);
    return class;
}

/* Bytes that a slot of the class has room for. */
static inline uint64_t pool_slot_bytes(const struct pool *pool, uint32_t class)
{
    return pool->classes[class].slot_bytes;
}

/* Where a slot begins, from the start of its tier's memory, if those of its extent have
 * `slot_bytes`. */
static inline uint64_t pool_place(const struct pool *pool, uint32_t slot, uint64_t slot_bytes)
{
    uint32_t extent = pool_extent_of(pool, slot);
    uint64_t within = slot - extent * pool->per;
    uint32_t first = pool_tier_first(pool, pool_extent_tier(pool, extent));
    return (extent - first) * pool->extent_bytes + within * slot_bytes;
}

/* Where a slot in use begins, in bytes from the start of its tier's memory. */
static inline uint64_t pool_offset(const struct pool *pool, uint32_t slot)
{
    return pool_place(pool, slot, pool_slot_bytes(pool, pool_class_of(pool, slot)));
}

/* Extents that a class has, without those that drain. */
static inline uint32_t pool_class_extents(const struct pool *pool, uint32_t class)
{
    return pool->classes[class].open.count + pool->classes[class].full.count;
}

#endif
