/* baseline_redis: what a hit costs where the cache is Redis on the same host, over a unix socket.
 *
 * Called by scenario_hit. The server is our own: on a temporary socket, without persistence, on the
 * sidecar's core, ended by its pid.
 */
#ifndef CISTERN_BENCH_BASELINE_REDIS_H
#define CISTERN_BENCH_BASELINE_REDIS_H

#include "bench/pin_cpu.h"
#include "bench/stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Store `keys` values of `value_bytes`, then GET random ones: one sample of nanoseconds each.
 * Returns false after one line on stderr that says why, for instance that there is no
 * redis-server. */
bool baseline_redis_get_ns(const struct pin_cpu_plan *plan, uint64_t seed, uint64_t keys,
    uint64_t value_bytes, size_t count, struct stats *out_samples);

#endif
