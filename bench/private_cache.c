/* private_cache: a doubly linked list in two arrays; a block that is not resident points to
 * itself. */
#include "bench/private_cache.h"

#include <assert.h>
#include <stdlib.h>

static bool is_resident(const struct private_cache *cache, uint32_t block)
{
    return cache->next[block] != block;
}

static void unlink_block(struct private_cache *cache, uint32_t block)
{
    cache->next[cache->previous[block]] = cache->next[block];
    cache->previous[cache->next[block]] = cache->previous[block];
    cache->next[block] = block;
    cache->previous[block] = block;
    cache->resident--;
}

static void link_newest(struct private_cache *cache, uint32_t block)
{
    uint32_t head = cache->unique;
    cache->next[block] = cache->next[head];
    cache->previous[block] = head;
    cache->previous[cache->next[head]] = block;
    cache->next[head] = block;
    cache->resident++;
}

bool private_cache_open(struct private_cache *out_cache, uint32_t unique, uint64_t capacity_blocks)
{
    struct private_cache cache = {.unique = unique, .capacity = capacity_blocks};
    cache.next = malloc(((size_t)unique + 1) * sizeof cache.next[0]);
    cache.previous = malloc(((size_t)unique + 1) * sizeof cache.previous[0]);
    if (cache.next == NULL || cache.previous == NULL) {
        private_cache_close(&cache);
        return false;
    }
    for (uint32_t block = 0; block <= unique; block++) {
        cache.next[block] = block;
        cache.previous[block] = block;
    }
    *out_cache = cache;
    return true;
}

void private_cache_close(struct private_cache *cache)
{
    free(cache->next);
    free(cache->previous);
    *cache = (struct private_cache){0};
}

uint32_t private_cache_request(
    struct private_cache *cache, const uint32_t *blocks, uint32_t block_count)
{
    uint32_t hits = 0;
    while (hits < block_count && is_resident(cache, blocks[hits])) {
        hits++;
    }
    for (uint32_t i = block_count; i-- > 0 && cache->capacity > 0;) {
        assert(blocks[i] < cache->unique);
        if (is_resident(cache, blocks[i])) {
            unlink_block(cache, blocks[i]);
        } else if (cache->resident == cache->capacity) {
            unlink_block(cache, cache->previous[cache->unique]);
        }
        link_newest(cache, blocks[i]);
    }
    return hits;
}
