/* uses: see uses.h. */
#include "sidecar/block/uses.h"

#include "shm/counter.h"
#include "sidecar/block/blocks.h"

#define SLACK 8u /* a size may be off by one part in so many before counting starts again */

uint64_t uses_arena_bytes(void)
{
    return 2 * whatif_arena_bytes();
}

void uses_open(struct uses *uses, uint64_t pool_blocks, struct arena *arena)
{
    uses->pool_blocks = pool_blocks;
    uses->cold_blocks = 0;
    whatif_open(&uses->pool, pool_blocks, arena);
    whatif_open(&uses->cold, pool_blocks, arena);
}

void uses_note(struct uses *uses, uint32_t key_hash)
{
    /* The sample is chosen by other bits than the bucket: spread what there is over all of them. */
    uint64_t spread = key_hash * UINT64_C(0x9e3779b97f4a7c15);
    spread ^= spread >> 32;
    whatif_use(&uses->pool, spread);
    if (uses->cold_blocks > 0) {
        whatif_use(&uses->cold, spread);
    }
}

/* The mean room of a block, of those classes that have any; 0: none has. */
static uint64_t mean_bytes(const struct pool *pool)
{
    uint64_t slots = 0;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < pool->class_count; i++) {
        slots += pool->classes[i].slots;
        bytes += pool->classes[i].slots * pool->classes[i].slot_bytes;
    }
    return slots == 0 ? 0 : bytes / slots;
}

static uint64_t tier_bytes(const struct tiers *tiers)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; tiers != NULL && i < tiers->count; i++) {
        bytes += tiers->seen[i].capacity_bytes;
    }
    return bytes;
}

static void fit(struct whatif *whatif, uint64_t *blocks, uint64_t now)
{
    uint64_t off = now > *blocks ? now - *blocks : *blocks - now;
    if (now > 0 && off > *blocks / SLACK) {
        whatif_resize(whatif, now);
        *blocks = now;
    }
}

static void tell(
    _Atomic uint64_t *counters, const struct whatif *whatif, enum counter uses, enum counter half)
{
    struct whatif_rates rates;
    whatif_rates(whatif, &rates);
    counter_set(counters, uses, rates.uses);
    for (uint32_t i = 0; i < WHATIF_SIZES; i++) {
        counter_set(counters, (enum counter)(half + i), rates.hits[i]);
    }
}

void uses_tick(struct blocks *blocks)
{
    struct uses *uses = &blocks->uses;
    const struct pool *pool = &blocks->pool;
    uint64_t mean = mean_bytes(pool);
    if (mean > 0) {
        uint64_t pool_blocks = pool->extent_bytes * pool->extent_count / mean;
        uint64_t below = tier_bytes(blocks->cold.tiers) / mean;
        fit(&uses->pool, &uses->pool_blocks, pool_blocks);
        fit(&uses->cold, &uses->cold_blocks, below > 0 ? pool_blocks + below : 0);
    }
    tell(blocks->counters, &uses->pool, COUNTER_whatif_uses, COUNTER_whatif_hits_half);
    if (uses->cold_blocks > 0) {
        tell(
            blocks->counters, &uses->cold, COUNTER_whatif_cold_uses, COUNTER_whatif_cold_hits_half);
    }
}
