/* replay: what an inference worker does with its share of a trace. Called by scenario_reuse.
 *
 *   request i arrives ─▶ keys ─▶ match, acquire ─▶ verify in place ─▶ release
 *   (worker i mod W)              │ the rest
 *                                 ▼
 *                      claim ─▶ "compute" ─▶ reserve, fill, commit ─▶ the next worker's hit
 *
 * "Compute" is a sleep as long as the modelled prefill would take. A turn starts when it is due and
 * the turn before it in its run was answered, by whichever worker. Every reused block is compared
 * with what its key says it must hold, byte for byte. The parent makes the shared memory; each
 * worker writes its own result, and the flags of its own requests.
 */
#ifndef CISTERN_BENCH_REPLAY_H
#define CISTERN_BENCH_REPLAY_H

#include "bench/trace.h"
#include "bench/workers.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Samples of one kind that a worker keeps; later ones are counted and dropped. */
#define REPLAY_SAMPLES_MAX 65536u

enum replay_sample {
    REPLAY_LOOKUP, /* µs: match and acquire of a request's whole prefix */
    REPLAY_COMMIT, /* µs: from a commit until the sidecar has handled it: any process sees it */
    REPLAY_CLAIM, /* µs: one claim, asked and answered */
    REPLAY_SAMPLE_KINDS
};

struct replay_result {
    uint64_t requests;
    uint64_t reused_blocks; /* found at arrival */
    uint64_t waited_blocks; /* found later: another worker was computing them */
    uint64_t reused_tokens; /* of both */
    uint64_t foreign_blocks; /* of both: those that another process had computed */
    uint64_t reused_bytes;
    uint64_t wrong_bytes;
    uint64_t computed_tokens;
    uint64_t computed_blocks;
    uint64_t unstored_blocks; /* computed, but no slot was to be had */
    uint64_t duplicate_claims; /* blocks that somebody else was computing when we asked */
    int64_t drift_max_ns; /* latest start after it was due and possible */
    int64_t hash_ns; /* time in cistern_keys() */
    int64_t verify_ns;
    int64_t fill_ns;
    int64_t cpu_ns; /* of the worker, all of the above included */
    uint64_t violations; /* the library's own count; must be 0 */
    size_t sample_count[REPLAY_SAMPLE_KINDS];
    uint64_t sample_dropped[REPLAY_SAMPLE_KINDS];
    double samples[REPLAY_SAMPLE_KINDS][REPLAY_SAMPLES_MAX];
};

/* Made by the parent before the fork; pointers are the same in all workers. */
struct replay {
    const struct trace *trace;
    const char *socket_path;
    uint64_t block_bytes;
    int workers;
    double prefill_tokens_per_s;
    double speedup;
    size_t shared_bytes;
    /* Shared memory from here on. */
    _Atomic uint32_t *ready; /* workers that attached */
    _Atomic int64_t *start_ns; /* 0 until all did */
    _Atomic uint64_t *answered_count;
    _Atomic uint8_t *answered; /* a flag a request */
    _Atomic uint8_t *writer; /* a block: 1 + the worker that computed it last */
    struct replay_result *results; /* one a worker */
};

/* Make the shared memory of `replay`, whose settings are set. Returns false if there is none. */
bool replay_share(struct replay *replay);
void replay_unshare(struct replay *replay);

/* A worker's body, for workers_start(); `context` is the struct replay. */
int replay_body(int number, void *context);

#endif
