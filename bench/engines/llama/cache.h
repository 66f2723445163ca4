/* cache: the worker's side of libcistern: attach, find, lend, publish, and go on without it.
 *
 * One thread. Always: nothing here fails a request. Whatever the sidecar does, the answer is fewer
 * blocks; what is wrong is said once on stderr when it begins, and once when it is over.
 */
#ifndef CISTERN_BENCH_ENGINES_LLAMA_CACHE_H
#define CISTERN_BENCH_ENGINES_LLAMA_CACHE_H

#include <cistern.h>
#include <stdbool.h>
#include <stdint.h>

struct cache {
    cistern_t *handle; /* NULL: not attached */
    const struct cistern_namespace *space; /* borrowed; NULL: no cache is wanted */
    const char *socket_path; /* NULL: the library's default */
    uint32_t blocks_max; /* of a prompt: so many are pinned at once */
    int64_t next_try_ns; /* attach again not before */
    int status; /* what the last warning was about; 0: all is well */
};

/* What was found of a prefix. */
struct cache_finding {
    uint32_t pinned; /* views that are set: give them back by cache_release() */
    uint32_t fetched; /* of them: brought up from a lower tier for this request */
};

/* Attach, or try again later. */
void cache_open(const struct cistern_namespace *space, const char *socket_path, uint32_t blocks_max,
    struct cache *out_cache);

void cache_close(struct cache *cache);

/* Keys of the full blocks of a prompt. Attaches first if that was lost. Returns how many; 0 without
 * a sidecar. `out_keys` has room for `blocks_max`. */
uint32_t cache_keys(struct cache *cache, const uint32_t *tokens, uint32_t token_count,
    struct cistern_key *out_keys);

/* Pin the longest prefix of `count` keys. Waits for what is cold as long as computing it would
 * take: `block_ns` a block. */
struct cache_finding cache_find(struct cache *cache, const struct cistern_key *keys, uint32_t count,
    int64_t block_ns, struct cistern_view *out_views);

void cache_release(struct cache *cache, struct cistern_view *views, uint32_t count);

/* A slot to fill with a block; waits for 50 ms at most. Returns false: nothing can be kept now. */
bool cache_lend(struct cache *cache, struct cistern_slot *out_slot);

/* Publish a filled slot under keys[index], a block of keys[index - 1]'s prefix. Returns false if
 * the sidecar is gone. */
bool cache_publish(struct cache *cache, struct cistern_slot *slot, const struct cistern_key *keys,
    uint32_t index, uint64_t bytes);

/* Give a slot back unused. */
void cache_abort(struct cache *cache, struct cistern_slot *slot);

#endif
