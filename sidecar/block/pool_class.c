/* pool_class: see pool_class.h. */
#include "sidecar/block/pool_class.h"

#include "shm/status.h"
#include "sidecar/block/blocks.h"

#include <assert.h>

/* A class with no user and no extent. */
static struct pool_class make(const struct pool *pool, uint64_t slot_bytes, enum slot_tier tier)
{
    const struct pool_list none = {.first = POOL_NONE, .last = POOL_NONE};
    struct pool_class class = {
        .slot_bytes = slot_bytes,
        .tier = tier,
        .extent_slots = (uint32_t)(pool->extent_bytes / slot_bytes),
        .open = none,
        .full = none,
    };
    assert(class.extent_slots >= 1);
    return class;
}

/* Does an extent belong to the class, or is one on its way to it? */
static bool has_extents(const struct pool *pool, uint32_t class)
{
    const struct pool_class *at = &pool->classes[class];
    if (at->open.count > 0 || at->full.count > 0) {
        return true;
    }
    uint32_t extent = pool->sides[at->tier].draining.first;
    while (extent != POOL_NONE) {
        if (pool->extents[extent].class == class || pool->extents[extent].heir == class) {
            return true;
        }
        extent = pool->extents[extent].after;
    }
    return false;
}

/* Where a new class can go: behind the others, or in the place of one that nobody uses. POOL_NONE
 * if there is no such place. */
static uint32_t find_place(const struct pool *pool)
{
    if (pool->class_count < POOL_CLASSES_MAX) {
        return pool->class_count;
    }
    for (uint32_t i = 0; i < pool->class_count; i++) {
        if (pool->classes[i].users == 0 && !has_extents(pool, i)) {
            return i;
        }
    }
    return POOL_NONE;
}

/* The class of this size and tier; else one of this size that has no tier yet. */
static uint32_t find_class(const struct pool *pool, uint64_t slot_bytes, enum slot_tier tier)
{
    uint32_t tierless = POOL_NONE;
    for (uint32_t i = 0; i < pool->class_count; i++) {
        const struct pool_class *class = &pool->classes[i];
        if (class->slot_bytes != slot_bytes) {
            continue;
        }
        if (!class->tierless && class->tier == tier) {
            return i;
        }
        tierless = class->tierless && tierless == POOL_NONE ? i : tierless;
    }
    return tierless;
}

uint32_t pool_class_find(const struct pool *pool, uint64_t slot_bytes, enum slot_tier tier)
{
    uint32_t class = find_class(pool, slot_bytes, tier);
    return class == POOL_NONE || pool->classes[class].tierless ? POOL_NONE : class;
}

int pool_class_take(
    struct pool *pool, uint64_t block_bytes, enum slot_tier tier, uint32_t *out_class)
{
    if (block_bytes == 0) {
        return STATUS_INVALID;
    }
    if (pool_tier_extents(pool, tier) == 0 || pool->sides[tier].off) {
        return STATUS_UNSUPPORTED;
    }
    if (block_bytes > pool->extent_bytes) {
        return STATUS_TOO_LARGE;
    }
    uint64_t slot_bytes = (block_bytes + POOL_PAGE_BYTES - 1) / POOL_PAGE_BYTES * POOL_PAGE_BYTES;
    if (slot_bytes < pool->slot_bytes_min) {
        slot_bytes = pool->slot_bytes_min;
    }
    uint32_t at = find_class(pool, slot_bytes, tier);
    if (at == POOL_NONE) {
        at = find_place(pool);
        if (at == POOL_NONE) {
            return STATUS_LIMIT;
        }
        pool->classes[at] = make(pool, slot_bytes, tier);
        pool->class_count += at == pool->class_count ? 1 : 0;
    }
    pool->classes[at].tier = tier;
    pool->classes[at].tierless = false;
    pool->classes[at].users++;
    *out_class = at;
    return STATUS_OK;
}

void pool_class_drop(struct pool *pool, uint32_t class)
{
    assert(class < pool->class_count && pool->classes[class].users > 0);
    pool->classes[class].users--;
}

/* Is a slot of the extent in use? */
static bool is_used(const struct blocks *blocks, uint32_t extent)
{
    const struct pool *pool = &blocks->pool;
    for (uint32_t i = 0; i < pool->per; i++) {
        const struct slot_line *line = &blocks->index.lines[extent * pool->per + i];
        if (slot_state_of(shared64_load_relaxed(&line->state)) != SLOT_FREE) {
            return true;
        }
    }
    return false;
}

/* The first extent in use that the ledger says is of the class, or POOL_NONE. What it says of a
 * free extent is old: the number may have been another class's then. */
static uint32_t find_extent(const struct blocks *blocks, uint32_t class)
{
    for (uint32_t i = 0; i < blocks->pool.extent_count; i++) {
        if (ledger_class_of(&blocks->ledger, i) == class && is_used(blocks, i)) {
            return i;
        }
    }
    return POOL_NONE;
}

int pool_class_adopt(struct blocks *blocks, uint32_t class, uint64_t slot_bytes)
{
    struct pool *pool = &blocks->pool;
    if (class >= POOL_CLASSES_MAX || slot_bytes < pool->slot_bytes_min ||
        slot_bytes > pool->extent_bytes || slot_bytes % POOL_PAGE_BYTES != 0) {
        return STATUS_MALFORMED;
    }
    struct pool_class adopted = make(pool, slot_bytes, SLOT_TIER_HOST);
    if (pool->devices > 0) {
        uint32_t extent = find_extent(blocks, class);
        adopted.tierless = extent == POOL_NONE;
        adopted.tier = adopted.tierless ? SLOT_TIER_HOST : pool_extent_tier(pool, extent);
    }
    pool->classes[class] = adopted;
    pool->class_count = class >= pool->class_count ? class + 1 : pool->class_count;
    return STATUS_OK;
}
