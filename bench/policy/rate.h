/* rate: what part of a trace one cache would have answered. Called by scenario_policy. */
#ifndef CISTERN_BENCH_POLICY_RATE_H
#define CISTERN_BENCH_POLICY_RATE_H

#include "bench/policy/sim.h"
#include "bench/trace.h"

#include <stdbool.h>
#include <stdint.h>

/* Parts of 1. Residency counts as it is when a request arrives, before anything is moved. */
struct rate {
    double plain; /* references whose block is resident */
    double prefix; /* and all blocks of the request before it, too */
    double token_prefix; /* input tokens that lie in such blocks */
};

/* Replay the trace through a cache of `capacity` blocks that is empty at first. Returns false if
 * there is no memory. */
bool rate_replay(
    const struct sim_ops *ops, const struct trace *trace, uint32_t capacity, struct rate *out_rate);

/* The same for an endless cache. Always: no policy is above it. Returns false if there is no
 * memory. */
bool rate_ceiling(const struct trace *trace, struct rate *out_rate);

#endif
