/* private_cache: what one process's own cache would have hit. Called by scenario_reuse.
 *
 * A simulation, exact for hit rates: LRU over blocks of equal size, touched and inserted deepest
 * block first, so that the victim is always a leaf. At arrival the longest resident prefix is
 * counted; only then are the request's blocks touched and inserted (the usual order; cold misses
 * are misses).
 */
#ifndef CISTERN_BENCH_PRIVATE_CACHE_H
#define CISTERN_BENCH_PRIVATE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct private_cache {
    uint32_t *next; /* towards older; block numbers, `unique` is the list's head; owned */
    uint32_t *previous; /* towards newer; owned */
    uint32_t unique;
    uint64_t capacity; /* blocks */
    uint64_t resident;
};

/* `unique` blocks exist, `capacity` of them fit. Returns false if there is no memory. */
bool private_cache_open(struct private_cache *out_cache, uint32_t unique, uint64_t capacity_blocks);
void private_cache_close(struct private_cache *cache);

/* One request. Returns how many of its first blocks were resident when it arrived. */
uint32_t private_cache_request(
    struct private_cache *cache, const uint32_t *blocks, uint32_t block_count);

#endif
