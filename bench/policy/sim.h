/* sim: one cache under one policy, as the replay sees it. Called by bench/policy/rate.
 *
 * The siblings sim_lru, sim_arc and sim_adaptive run the sidecar's own code (sim_daemon.c); s3fifo,
 * sieve, lrfu and optimum are references, written for the replay alone. All hold blocks of equal
 * size and name them by their number in the trace.
 */
#ifndef CISTERN_BENCH_POLICY_SIM_H
#define CISTERN_BENCH_POLICY_SIM_H

#include "bench/trace.h"

#include <stdbool.h>
#include <stdint.h>

#define SIM_NONE UINT32_MAX

struct sim_ops {
    const char *name;
    /* An empty cache for `capacity` blocks of this trace, at least 1. NULL: out of memory. The
     * trace is borrowed until close. */
    void *(*open)(const struct trace *trace, uint32_t capacity);
    bool (*has)(const void *sim, uint32_t block);
    /* The next request of the trace: touch what is there, insert what is not. */
    void (*request)(void *sim, const uint32_t *blocks, uint32_t count);
    /* Accepts NULL. */
    void (*close)(void *sim);
};

extern const struct sim_ops sim_lru;
extern const struct sim_ops sim_arc;
extern const struct sim_ops sim_adaptive;
extern const struct sim_ops sim_s3fifo;
extern const struct sim_ops sim_sieve;
extern const struct sim_ops sim_lrfu;
extern const struct sim_ops sim_optimum;

#endif
