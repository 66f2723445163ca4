/* cache: see the header. */
#include "bench/engines/llama/cache.h"

#include "bench/clock.h"

#include <stdio.h>

#define OPEN_TIMEOUT_NS (CLOCK_NS_PER_S / 2)
#define TRY_EVERY_NS (2 * CLOCK_NS_PER_S)
#define LEND_TIMEOUT_NS (50 * CLOCK_NS_PER_MS)
#define GRANTS_AHEAD 8u /* the blocks of a step, as a rule */
#define PINS_MAX 65536u

/* Say what changed, once. What only concerns the moment (a full pool) is no news; a miss is an
 * answer as good as any. */
static void note(struct cache *cache, int status)
{
    int kind = status > CISTERN_OK ? CISTERN_OK : status;
    if ((kind <= CISTERN_BUSY && kind > CISTERN_NO_SERVER) || kind == cache->status) {
        return;
    }
    cache->status = kind;
    if (kind == CISTERN_OK) {
        fputs("cistern-llama: the cache is there again\n", stderr);
        return;
    }
    fprintf(stderr, "cistern-llama: goes on without the cache: %s (%s); %s\n",
        cistern_status_name(status), cistern_why(), cistern_status_advice(status));
}

static void attach(struct cache *cache)
{
    int64_t now = clock_now_ns();
    if (cache->space == NULL || cache->handle != NULL || now < cache->next_try_ns) {
        return;
    }
    struct cistern_options options = {.size = sizeof options,
        .space = cache->space,
        .socket_path = cache->socket_path,
        .threads_max = 1,
        .pins_per_thread = cache->blocks_max < PINS_MAX ? cache->blocks_max : PINS_MAX,
        .grants_ahead = GRANTS_AHEAD,
        .timeout_ns = OPEN_TIMEOUT_NS};
    note(cache, cistern_open(&options, &cache->handle));
    cache->next_try_ns = clock_now_ns() + TRY_EVERY_NS;
}

void cache_open(const struct cistern_namespace *space, const char *socket_path, uint32_t blocks_max,
    struct cache *out_cache)
{
    *out_cache =
        (struct cache){.space = space, .socket_path = socket_path, .blocks_max = blocks_max};
    attach(out_cache);
}

void cache_close(struct cache *cache)
{
    cistern_close(&cache->handle);
}

uint32_t cache_keys(
    struct cache *cache, const uint32_t *tokens, uint32_t token_count, struct cistern_key *out_keys)
{
    size_t count = 0;
    attach(cache);
    if (cache->handle == NULL) {
        return 0;
    }
    int status = cistern_keys(cache->handle, NULL, tokens, token_count, out_keys, &count);
    if (status != CISTERN_OK) {
        note(cache, status);
        return 0;
    }
    return (uint32_t)count; /* of the sidecar this says nothing: no message was sent */
}

struct cache_finding cache_find(struct cache *cache, const struct cistern_key *keys, uint32_t count,
    int64_t block_ns, struct cistern_view *out_views)
{
    struct cache_finding finding = {0};
    struct cistern_match match = {.size = sizeof match};
    size_t hot = 0;
    size_t pinned = 0;
    if (cache->handle == NULL || count == 0) {
        return finding;
    }
    int status = cistern_match(cache->handle, keys, count, &match);
    if (status == CISTERN_OK && match.cold > 0) {
        /* Late is a miss: what is hot by then is used. */
        (void)cistern_fetch(
            cache->handle, keys, match.hot + match.cold, match.cold * block_ns, &hot);
    }
    if (status == CISTERN_OK) {
        status = cistern_acquire(cache->handle, keys, count, out_views, &pinned);
    }
    note(cache, status);
    finding.pinned = status == CISTERN_OK ? (uint32_t)pinned : 0;
    finding.fetched = finding.pinned > match.hot ? finding.pinned - match.hot : 0;
    return finding;
}

void cache_release(struct cache *cache, struct cistern_view *views, uint32_t count)
{
    if (cache->handle != NULL && count > 0) {
        (void)cistern_release(cache->handle, views, count);
    }
}

bool cache_lend(struct cache *cache, struct cistern_slot *out_slot)
{
    size_t count = 0;
    if (cache->handle == NULL) {
        return false;
    }
    int status = cistern_reserve(cache->handle, 1, LEND_TIMEOUT_NS, out_slot, &count);
    note(cache, status);
    return status == CISTERN_OK;
}

bool cache_publish(struct cache *cache, struct cistern_slot *slot, const struct cistern_key *keys,
    uint32_t index, uint64_t bytes)
{
    const struct cistern_key *parent = index == 0 ? NULL : &keys[index - 1];
    int status = cistern_commit(cache->handle, slot, &keys[index], parent, bytes);
    note(cache, status);
    return status == CISTERN_OK;
}

void cache_abort(struct cache *cache, struct cistern_slot *slot)
{
    (void)cistern_abort(cache->handle, slot);
}
