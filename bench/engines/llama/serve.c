/* serve: see the header. */
#include "bench/engines/llama/serve.h"

#include "bench/clock.h"
#include "bench/engines/llama/block.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK_NS_GUESS (100 * CLOCK_NS_PER_MS)
#define STITCH_TRIES 2

static const struct stitch_target unified = {.streams = 1, .stream = 0};

bool serve_open(
    struct engine *engine, struct cache *cache, uint32_t block_tokens, struct serve *out_serve)
{
    uint32_t blocks = engine->context_tokens / block_tokens + 1;
    *out_serve = (struct serve){.engine = engine,
        .cache = cache,
        .block_tokens = block_tokens,
        .block_ns = BLOCK_NS_GUESS,
        .keys = calloc(blocks, sizeof *out_serve->keys),
        .views = calloc(blocks, sizeof *out_serve->views),
        .found = calloc(blocks, sizeof *out_serve->found),
        .blocks_max = blocks};
    return out_serve->keys != NULL && out_serve->views != NULL && out_serve->found != NULL;
}

void serve_close(struct serve *serve)
{
    free(serve->keys);
    free(serve->views);
    free(serve->found);
    free(serve->stitched);
    *serve = (struct serve){0};
}

static double since_ms(int64_t start_ns)
{
    return (double)(clock_now_ns() - start_ns) / (double)CLOCK_NS_PER_MS;
}

static bool make_room(struct serve *serve, uint64_t bytes)
{
    if (bytes > serve->stitched_bytes) {
        free(serve->stitched);
        serve->stitched = malloc(bytes);
        serve->stitched_bytes = serve->stitched == NULL ? 0 : bytes;
    }
    return serve->stitched != NULL;
}

/* Join the pinned blocks up to the first bad one. Returns how many; their bytes are private
 * then. */
static uint32_t stitch_pinned(struct serve *serve, uint32_t pinned, struct serve_answer *answer)
{
    const struct blob_shape *shape = serve->engine->shape;
    uint32_t wanted = pinned;
    for (int tries = 0; wanted > 0 && tries < STITCH_TRIES; tries++) {
        const char *why = NULL;
        if (!make_room(serve, stitch_bytes(shape, wanted, serve->block_tokens, &unified))) {
            return 0;
        }
        uint32_t good = stitch_blocks(
            shape, serve->found, wanted, serve->block_tokens, &unified, serve->stitched, &why);
        if (good == wanted) {
            return good;
        }
        if (tries == 0) {
            fprintf(stderr, "cistern-llama: block %u of a prompt is not used: %s\n", good, why);
        }
        answer->refused_blocks++;
        wanted = good;
    }
    return 0; /* it changes under our eyes: whoever writes there shall not keep us busy */
}

/* Import what the cache has. Returns the blocks that the engine has now. */
static uint32_t reuse(struct serve *serve, uint32_t count, struct serve_answer *answer)
{
    int64_t start = clock_now_ns();
    struct cache_finding finding =
        cache_find(serve->cache, serve->keys, count, serve->block_ns, serve->views);
    answer->find_ms += since_ms(start);
    answer->fetched_blocks = finding.fetched;
    if (finding.pinned == 0) {
        return 0;
    }
    start = clock_now_ns();
    for (uint32_t i = 0; i < finding.pinned; i++) {
        serve->found[i] =
            (struct stitch_view){.data = serve->views[i].data, .bytes = serve->views[i].bytes};
    }
    uint32_t good = stitch_pinned(serve, finding.pinned, answer);
    cache_release(serve->cache, serve->views, finding.pinned);
    uint64_t bytes = stitch_bytes(serve->engine->shape, good, serve->block_tokens, &unified);
    if (good > 0 && !engine_import(serve->engine, serve->stitched, bytes)) {
        good = 0;
    }
    answer->import_ms = since_ms(start);
    return good;
}

/* Export, seal and publish a block. Returns false if nothing can be stored now. */
static bool store_block(struct serve *serve, uint32_t index, struct serve_answer *answer)
{
    struct engine *engine = serve->engine;
    struct cistern_slot slot;
    uint64_t bytes = block_bytes(engine->shape, serve->block_tokens);
    uint64_t blob = bytes - sizeof(struct block_header);
    uint32_t first = index * serve->block_tokens;
    if (!cache_lend(serve->cache, &slot)) {
        return false;
    }
    uint8_t *data = slot.data;
    /* The engine may have lost rows of it: only what is whole is published. */
    if (slot.bytes < bytes ||
        engine_export(
            engine, first, serve->block_tokens, data + sizeof(struct block_header), blob) != blob ||
        block_seal(engine->shape, first, serve->block_tokens, data) != NULL) {
        cache_abort(serve->cache, &slot);
        return true;
    }
    bool published = cache_publish(serve->cache, &slot, serve->keys, index, bytes);
    answer->stored_blocks += published ? 1 : 0;
    return published;
}

/* Store the blocks of the tokens from `first` to `end`, which were computed last. */
static void store(struct serve *serve, uint32_t first, uint32_t end, uint32_t key_count,
    struct serve_answer *answer)
{
    int64_t start = clock_now_ns();
    uint32_t last = end / serve->block_tokens < key_count ? end / serve->block_tokens : key_count;
    uint32_t index = first / serve->block_tokens;
    while (index < last && store_block(serve, index, answer)) {
        index++; /* the first one that finds no slot ends it: the prompt waits once at most */
    }
    answer->store_ms += since_ms(start);
}

static bool compute(struct serve *serve, const struct serve_request *request, uint32_t first,
    uint32_t end, struct serve_answer *answer)
{
    int64_t start = clock_now_ns();
    if (!engine_decode(serve->engine, request->tokens + first, first, end - first)) {
        return false;
    }
    int64_t spent = clock_now_ns() - start;
    answer->compute_ms += (double)spent / (double)CLOCK_NS_PER_MS;
    if (end - first >= serve->block_tokens) {
        serve->block_ns = spent / ((end - first) / serve->block_tokens);
    }
    return true;
}

static int32_t likeliest(const float *logits, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return (int32_t)best;
}

static bool generate(
    struct serve *serve, const struct serve_request *request, struct serve_answer *answer)
{
    struct engine *engine = serve->engine;
    int64_t start = clock_now_ns();
    while (answer->token_count < request->generate) {
        int32_t *last = &answer->tokens[answer->token_count - 1];
        if (engine_ends(engine, *last)) {
            break;
        }
        if (!engine_decode(engine, last, request->token_count + answer->token_count - 1, 1)) {
            return false;
        }
        last[1] = likeliest(engine_logits(engine), engine->vocabulary);
        answer->token_count++;
    }
    answer->generate_ms = since_ms(start);
    return true;
}

bool serve_prompt(
    struct serve *serve, const struct serve_request *request, struct serve_answer *answer)
{
    struct engine *engine = serve->engine;
    uint32_t count = request->token_count;
    assert(count > 0 && request->generate > 0);
    assert(count + request->generate <= engine->context_tokens);
    int64_t start = clock_now_ns();
    uint32_t keys =
        engine->shape == NULL
            ? 0
            : cache_keys(serve->cache, (const uint32_t *)request->tokens, count, serve->keys);
    answer->find_ms = since_ms(start);
    engine_forget(engine);
    /* Logits are no part of what is stored: at least one token is computed. */
    uint32_t whole = (count - 1) / serve->block_tokens;
    uint32_t first = reuse(serve, keys < whole ? keys : whole, answer) * serve->block_tokens;
    answer->reused_tokens = first;
    whole *= serve->block_tokens;
    while (first < whole) {
        uint32_t end = whole - first < engine->step_tokens ? whole : first + engine->step_tokens;
        if (!compute(serve, request, first, end, answer)) {
            return false;
        }
        store(serve, first, end, keys, answer);
        first = end;
    }
    if (!compute(serve, request, first, count, answer)) {
        return false;
    }
    const float *logits = engine_logits(engine);
    answer->logits_sum = XXH3_64bits(logits, engine->vocabulary * sizeof *logits);
    answer->tokens[0] = likeliest(logits, engine->vocabulary);
    answer->token_count = 1;
    answer->first_ms = since_ms(start);
    store(serve, first, count, keys, answer);
    return generate(serve, request, answer);
}
