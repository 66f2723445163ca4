/* pool: see pool.h. Every move of an extent is made by move(); every change of what a class has by
 * join() and part(), which also tell the class's policy. */
#include "sidecar/block/pool.h"

#include "shm/status.h"
#include "sidecar/block/blocks.h"

#include <assert.h>
#include <stddef.h>

uint64_t pool_arena_bytes(uint32_t extent_count, uint32_t slots)
{
    return arena_bytes(extent_count, sizeof(struct pool_extent)) +
           arena_bytes(slots, sizeof(uint32_t));
}

/* The list that an extent is in. */
static struct pool_list *list_of(struct pool *pool, uint32_t at)
{
    const struct pool_extent *extent = &pool->extents[at];
    struct pool_side *side = &pool->sides[pool_extent_tier(pool, at)];
    switch ((enum extent_where)extent->where) {
    case EXTENT_FREE:
        return &side->free;
    case EXTENT_OPEN:
        return &pool->classes[extent->class].open;
    case EXTENT_FULL:
        return &pool->classes[extent->class].full;
    case EXTENT_DRAINING:
        return &side->draining;
    }
    assert(0);
    return NULL;
}

static void list_append(struct pool *pool, struct pool_list *list, uint32_t at)
{
    pool->extents[at].before = list->last;
    pool->extents[at].after = POOL_NONE;
    if (list->last != POOL_NONE) {
        pool->extents[list->last].after = at;
    } else {
        list->first = at;
    }
    list->last = at;
    list->count++;
}

static void list_cut(struct pool *pool, struct pool_list *list, uint32_t at)
{
    const struct pool_extent *extent = &pool->extents[at];
    if (extent->before != POOL_NONE) {
        pool->extents[extent->before].after = extent->after;
    } else {
        list->first = extent->after;
    }
    if (extent->after != POOL_NONE) {
        pool->extents[extent->after].before = extent->before;
    } else {
        list->last = extent->before;
    }
    assert(list->count > 0);
    list->count--;
}

/* Joining a list at its end: what was given up on is tried again last. */
static void move(struct pool *pool, uint32_t at, enum extent_where where)
{
    list_cut(pool, list_of(pool, at), at);
    pool->extents[at].where = where;
    list_append(pool, list_of(pool, at), at);
}

void pool_open(struct pool *pool, const struct pool_shape *shape, struct arena *arena)
{
    const struct pool_list none = {.first = POOL_NONE, .last = POOL_NONE};
    uint32_t per = (uint32_t)(shape->extent_bytes / shape->slot_bytes_min);
    uint32_t extent_count = pool_shape_extents(shape);
    *pool = (struct pool){
        .extent_bytes = shape->extent_bytes,
        .slot_bytes_min = shape->slot_bytes_min,
        .per = per,
        .extent_count = extent_count,
        .host_extents = shape->host_extents,
        .device_extents = shape->device_extents,
        .devices = shape->devices,
        .extents = arena_take(arena, extent_count, sizeof(struct pool_extent)),
        .next = arena_take(arena, (uint64_t)extent_count * per, sizeof(uint32_t)),
    };
    for (uint32_t i = 0; i < SLOT_TIERS; i++) {
        pool->sides[i] = (struct pool_side){.free = none, .draining = none};
    }
    for (uint32_t i = 0; i < extent_count; i++) {
        pool->extents[i].class = POOL_NONE;
        list_append(pool, list_of(pool, i), i);
    }
}

/* The class has the extent's slots to give from now on. */
static void join(struct blocks *blocks, const struct pool_extent *extent)
{
    struct pool_class *class = &blocks->pool.classes[extent->class];
    uint32_t free = class->extent_slots - extent->used;
    class->slots += class->extent_slots;
    class->free += free;
    counter_add(blocks->counters, COUNTER_slots_free, free);
    policy_resize(&blocks->policies[extent->class], class->slots);
}

/* The reverse of join(). */
static void part(struct blocks *blocks, const struct pool_extent *extent)
{
    struct pool_class *class = &blocks->pool.classes[extent->class];
    uint32_t free = class->extent_slots - extent->used;
    assert(class->slots >= class->extent_slots && class->free >= free);
    class->slots -= class->extent_slots;
    class->free -= free;
    counter_add(blocks->counters, COUNTER_slots_free, UINT64_C(0) - free);
    policy_resize(&blocks->policies[extent->class], class->slots);
}

/* An empty extent begins a new life in `class`. */
static void begin(struct blocks *blocks, uint32_t at, uint32_t class)
{
    struct pool *pool = &blocks->pool;
    struct pool_extent *extent = &pool->extents[at];
    assert(extent->used == 0 && (extent->where == EXTENT_FREE || extent->where == EXTENT_DRAINING));
    assert(pool->classes[class].tier == pool_extent_tier(pool, at));
    if (extent->class != POOL_NONE && extent->class != class) {
        counter_add(blocks->counters, COUNTER_extents_moved, 1);
    }
    extent->class = class;
    extent->fresh = 0;
    extent->given_up = 0;
    extent->stack = POOL_NONE;
    ledger_class(&blocks->ledger, at, class);
    move(pool, at, EXTENT_OPEN);
    join(blocks, extent);
}

/* A free slot of an open extent; those used last first, because their lines are still in the cache.
 * */
static uint32_t pop(struct pool *pool, uint32_t at)
{
    struct pool_extent *extent = &pool->extents[at];
    uint32_t slot = extent->stack;
    if (slot != POOL_NONE) {
        extent->stack = pool->next[slot];
    } else {
        assert(extent->fresh < pool->classes[extent->class].extent_slots);
        slot = at * pool->per + extent->fresh++;
    }
    extent->used++;
    return slot;
}

int pool_take(struct blocks *blocks, uint32_t class, enum slot_state state, uint32_t *out_slot,
    uint64_t *out_generation)
{
    struct pool *pool = &blocks->pool;
    assert(class < pool->class_count);
    struct pool_class *sizes = &pool->classes[class];
    const struct pool_side *side = &pool->sides[sizes->tier];
    sizes->used_at = side->evicted_bytes;
    if (sizes->open.first == POOL_NONE) {
        if (side->free.first == POOL_NONE) {
            return STATUS_BUSY;
        }
        begin(blocks, side->free.first, class);
    }
    uint32_t at = sizes->open.first;
    uint32_t slot = pop(pool, at);
    sizes->free--;
    counter_add(blocks->counters, COUNTER_slots_free, UINT64_MAX);
    if (pool->extents[at].used == sizes->extent_slots) {
        move(pool, at, EXTENT_FULL);
    }
    if (state == SLOT_RESERVED) {
        counter_add(blocks->counters, COUNTER_slots_lent, 1);
    }
    uint64_t generation = slot_reserve(&blocks->index.lines[slot], state);
    *out_slot = slot;
    *out_generation = generation;
    return STATUS_OK;
}

void pool_give(struct blocks *blocks, uint32_t slot)
{
    struct pool *pool = &blocks->pool;
    assert(slot < blocks->index.slots);
    struct slot_line *line = &blocks->index.lines[slot];
    enum slot_state state = slot_state_of(shared64_load_relaxed(&line->state));
    if (state == SLOT_RESERVED) {
        counter_add(blocks->counters, COUNTER_slots_lent, UINT64_MAX);
    } else if (state == SLOT_EVICTING) {
        counter_add(blocks->counters, COUNTER_slots_hot, UINT64_MAX);
    }
    slot_free(line);

    uint32_t at = pool_extent_of(pool, slot);
    struct pool_extent *extent = &pool->extents[at];
    pool->next[slot] = extent->stack;
    extent->stack = slot;
    assert(extent->used > 0);
    extent->used--;
    if (extent->where == EXTENT_DRAINING) {
        if (extent->used == 0) {
            begin(blocks, at, extent->heir);
        }
        return;
    }
    pool->classes[extent->class].free++;
    counter_add(blocks->counters, COUNTER_slots_free, 1);
    if (extent->used == 0) {
        part(blocks, extent);
        move(pool, at, EXTENT_FREE);
    } else if (extent->where == EXTENT_FULL) {
        move(pool, at, EXTENT_OPEN);
    }
}

uint64_t pool_available(const struct pool *pool, uint32_t class)
{
    assert(class < pool->class_count);
    const struct pool_class *sizes = &pool->classes[class];
    return sizes->free + (uint64_t)pool->sides[sizes->tier].free.count * sizes->extent_slots;
}

void pool_adopt_extent(struct blocks *blocks, uint32_t at, uint32_t class)
{
    struct pool *pool = &blocks->pool;
    struct pool_extent *extent = &pool->extents[at];
    assert(extent->where == EXTENT_FREE && extent->used == 0 && class < pool->class_count);
    assert(pool->classes[class].tier == pool_extent_tier(pool, at));
    uint32_t slots = pool->classes[class].extent_slots;
    extent->class = class;
    extent->stack = POOL_NONE;
    /* From the end, so that the lowest free slot is the first to be taken. */
    for (uint32_t i = slots; i-- > 0;) {
        uint32_t slot = at * pool->per + i;
        uint64_t state = shared64_load_relaxed(&blocks->index.lines[slot].state);
        if (slot_state_of(state) != SLOT_FREE) {
            extent->fresh = extent->fresh == 0 ? i + 1 : extent->fresh;
            extent->used++;
        } else if (extent->fresh > 0) {
            pool->next[slot] = extent->stack;
            extent->stack = slot;
        }
    }
    if (extent->used > 0) {
        move(pool, at, extent->used == slots ? EXTENT_FULL : EXTENT_OPEN);
        join(blocks, extent);
    }
}

void pool_drain(struct blocks *blocks, uint32_t at, uint32_t heir)
{
    struct pool *pool = &blocks->pool;
    struct pool_extent *extent = &pool->extents[at];
    assert(extent->where == EXTENT_OPEN || extent->where == EXTENT_FULL);
    assert(heir < pool->class_count && heir != extent->class);
    assert(pool->classes[heir].tier == pool_extent_tier(pool, at));
    part(blocks, extent);
    extent->heir = heir;
    extent->cursor = 0;
    extent->passes = 0;
    move(pool, at, EXTENT_DRAINING);
    if (extent->used == 0) {
        begin(blocks, at, heir);
    }
}

void pool_undrain(struct blocks *blocks, uint32_t at)
{
    struct pool *pool = &blocks->pool;
    struct pool_extent *extent = &pool->extents[at];
    assert(extent->where == EXTENT_DRAINING && extent->used > 0);
    extent->given_up++;
    bool full = extent->used == pool->classes[extent->class].extent_slots;
    move(pool, at, full ? EXTENT_FULL : EXTENT_OPEN);
    join(blocks, extent);
}

void pool_drain_later(struct blocks *blocks, uint32_t at)
{
    assert(blocks->pool.extents[at].where == EXTENT_DRAINING);
    move(&blocks->pool, at, EXTENT_DRAINING);
}
