/* sim_daemon: the sidecar's own policies, called as the sidecar calls them: a worker touches what
 * it found, deepest block first, computes the rest and commits that from the root on.
 */
#include "bench/policy/sim.h"
#include "bench/rng.h"
#include "shm/status.h"
#include "sidecar/block/arena.h"
#include "sidecar/block/policy.h"

#include <assert.h>
#include <stdlib.h>

struct daemon_sim {
    struct arena arena;
    struct policy_memory memory;
    struct policy policy;
    uint32_t *slot_of; /* by block; POLICY_NONE: not resident */
    uint32_t *block_of; /* by slot */
    uint32_t free; /* the one slot more than capacity: where the next block comes */
    uint32_t used;
    uint32_t capacity;
};

static void close_sim(void *sim)
{
    struct daemon_sim *cache = sim;
    if (cache != NULL) {
        arena_close(&cache->arena);
        free(cache->slot_of);
        free(cache->block_of);
        free(cache);
    }
}

static void *open_sim(const struct trace *trace, uint32_t capacity, enum policy_kind kind)
{
    struct daemon_sim *cache = calloc(1, sizeof *cache);
    if (cache == NULL) {
        return NULL;
    }
    cache->capacity = capacity;
    cache->slot_of = malloc((size_t)trace->unique * sizeof cache->slot_of[0]);
    cache->block_of = malloc(((size_t)capacity + 1) * sizeof cache->block_of[0]);
    if (cache->slot_of == NULL || cache->block_of == NULL ||
        arena_open(policy_arena_bytes(kind, capacity + 1), &cache->arena) != STATUS_OK) {
        close_sim(cache);
        return NULL;
    }
    for (uint64_t block = 0; block < trace->unique; block++) {
        cache->slot_of[block] = POLICY_NONE;
    }
    policy_memory_open(&cache->memory, kind, capacity + 1, &cache->arena);
    policy_open(&cache->policy, &cache->memory);
    policy_resize(&cache->policy, capacity);
    return cache;
}

static bool has(const void *sim, uint32_t block)
{
    const struct daemon_sim *cache = sim;
    return cache->slot_of[block] != POLICY_NONE;
}

/* The sidecar makes room ahead of need, so the block that came last may be the one that goes. */
static void evict(struct daemon_sim *cache)
{
    uint32_t victim = POLICY_NONE;
    /* A call passes over thousands of parents at most; a chain as long as the cache takes some. */
    for (uint32_t i = 0; i <= cache->capacity / POLICY_PASSES_LEAST; i++) {
        if (policy_victims(&cache->policy, 1, &victim) == 1) {
            break;
        }
    }
    assert(victim != POLICY_NONE);
    policy_evicted(&cache->policy, victim);
    cache->slot_of[cache->block_of[victim]] = POLICY_NONE;
    cache->free = victim;
}

static void request(void *sim, const uint32_t *blocks, uint32_t count)
{
    struct daemon_sim *cache = sim;
    for (uint32_t i = count; i-- > 0;) {
        if (cache->slot_of[blocks[i]] != POLICY_NONE) {
            policy_touch(&cache->policy, cache->slot_of[blocks[i]]);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (cache->slot_of[blocks[i]] != POLICY_NONE) {
            continue;
        }
        uint32_t slot = cache->free;
        uint32_t parent = i == 0 ? POLICY_NONE : cache->slot_of[blocks[i - 1]];
        policy_insert(&cache->policy, slot, rng_mix(blocks[i] + RNG_STEP),
            i > 0 && parent == POLICY_NONE ? POLICY_MISSING : parent);
        cache->slot_of[blocks[i]] = slot;
        cache->block_of[slot] = blocks[i];
        if (cache->used < cache->capacity) {
            cache->used++;
            cache->free = cache->used;
        } else {
            evict(cache);
        }
    }
}

static void *open_lru(const struct trace *trace, uint32_t capacity)
{
    return open_sim(trace, capacity, POLICY_LRU);
}

static void *open_arc(const struct trace *trace, uint32_t capacity)
{
    return open_sim(trace, capacity, POLICY_ARC);
}

static void *open_adaptive(const struct trace *trace, uint32_t capacity)
{
    return open_sim(trace, capacity, POLICY_ADAPTIVE);
}

const struct sim_ops sim_lru = {
    .name = "lru", .open = open_lru, .has = has, .request = request, .close = close_sim};
const struct sim_ops sim_arc = {
    .name = "arc", .open = open_arc, .has = has, .request = request, .close = close_sim};
const struct sim_ops sim_adaptive = {
    .name = "adaptive", .open = open_adaptive, .has = has, .request = request, .close = close_sim};
