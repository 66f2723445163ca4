/* serve: one prompt from its tokens to an answer, with as little computing as the cache allows.
 *
 *     keys ─▶ find, pin ─▶ stitch ─▶ release ─▶ import ─▶ compute steps of whole blocks ─▶ the rest
 *                                                             └▶ export each block into a slot
 *
 * Always: a block that is stored was computed in a step of whole blocks, and the tokens behind the
 * last whole block are computed in a step of their own, with and without the cache. So a logit does
 * not depend on what was found: the engine is asked the same at the end (README.md, decision 3).
 */
#ifndef CISTERN_BENCH_ENGINES_LLAMA_SERVE_H
#define CISTERN_BENCH_ENGINES_LLAMA_SERVE_H

#include "bench/engines/llama/cache.h"
#include "bench/engines/llama/engine.h"
#include "bench/engines/llama/stitch.h"

struct serve {
    struct engine *engine; /* borrowed, as the cache */
    struct cache *cache;
    uint32_t block_tokens;
    int64_t block_ns; /* what computing a block took last */
    struct cistern_key *keys; /* owned, as the rest: for blocks_max blocks */
    struct cistern_view *views;
    struct stitch_view *found;
    uint32_t blocks_max;
    uint8_t *stitched; /* kept between requests: touching new memory would be half of the time */
    uint64_t stitched_bytes;
};

struct serve_request {
    int32_t *tokens; /* borrowed */
    uint32_t token_count; /* at least 1; with `generate`, at most what the context holds */
    uint32_t generate; /* tokens to answer with at most; at least 1 */
};

struct serve_answer {
    int32_t *tokens; /* room of the caller for `generate` */
    uint32_t token_count;
    uint32_t reused_tokens;
    uint32_t fetched_blocks; /* that were cold when we asked */
    uint32_t refused_blocks; /* whose contents were not believed */
    uint32_t stored_blocks;
    uint64_t logits_sum; /* XXH3-64 of the logits of the first token */
    double find_ms; /* keys, search, fetch */
    double import_ms; /* checking, stitching, handing over */
    double compute_ms; /* the prompt's tokens that were not reused */
    double store_ms;
    double first_ms; /* all of it, until the first token is known */
    double generate_ms; /* the tokens behind the first */
};

/* Returns false if there is no memory. */
bool serve_open(
    struct engine *engine, struct cache *cache, uint32_t block_tokens, struct serve *out_serve);

void serve_close(struct serve *serve);

/* Returns false if the engine refuses to compute; never because of the cache. */
bool serve_prompt(
    struct serve *serve, const struct serve_request *request, struct serve_answer *answer);

#endif
