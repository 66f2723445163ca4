/* engine_run: a sidecar with a disk, two workers on it, one without cache, and a flood that pushes
 * blocks to the disk. Called by scenario_engine.
 */
#ifndef CISTERN_BENCH_ENGINE_RUN_H
#define CISTERN_BENCH_ENGINE_RUN_H

#include "bench/daemon.h"
#include "bench/engine_worker.h"

#include <cistern.h>
#include <limits.h>

#define ENGINE_RUN_BLOCK_TOKENS 64u

struct engine_run {
    const struct options *options;
    char program[PATH_MAX];
    char model[PATH_MAX];
    char cold_folder[PATH_MAX]; /* "": none */
    uint32_t context_tokens;
    uint32_t threads; /* of a worker */
    uint64_t block_bytes;
    uint64_t pool_blocks;
    struct daemon daemon;
    struct engine_worker alone; /* without cache: what is right, and what it costs */
    struct engine_worker workers[2];
    cistern_t *flood;
    uint64_t flooded_blocks;
};

/* Find program and model. Returns false, after a line on stderr, if they are not there: then there
 * is nothing to measure. */
bool engine_run_find(const struct options *options, struct engine_run *out_run);

/* Start everything, for prompts of up to `prompt_tokens` tokens. Returns false after a line on
 * stderr. */
bool engine_run_start(struct engine_run *run, uint32_t prompt_tokens, uint32_t generate);

/* Push everything that is hot out of the pool. */
bool engine_run_flood(struct engine_run *run);

/* Accepts a half-started one. */
void engine_run_stop(struct engine_run *run);

#endif
