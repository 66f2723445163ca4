/* copy_run: puts or gets of one block size, in turn with memcpy over sets as large. Called by
 * copy_table, for scenario_put and scenario_get.
 *
 * Rounds alternate, so that noise meets both sides; each round's ratio is a sample of its own. Both
 * sides touch blocks in equal patterns in sets far larger than the last-level cache; the sidecar's
 * pool and the set that stands for it are shared memory, the caller's buffers private memory.
 */
#ifndef CISTERN_BENCH_COPY_RUN_H
#define CISTERN_BENCH_COPY_RUN_H

#include "bench/baseline_memcpy.h"
#include "bench/options.h"
#include "bench/pin_cpu.h"

#include <stdbool.h>
#include <stdint.h>

#define COPY_RUN_SIZES 4
#define COPY_RUN_ROUNDS 4u /* a run */
#define COPY_RUN_ROUND_BYTES (UINT64_C(64) << 20)

extern const uint64_t copy_run_sizes[COPY_RUN_SIZES];

enum copy_direction { COPY_PUT, COPY_GET };

/* What all sizes share. The sets are touched once: first touches are slow. */
struct copy_run {
    const struct options *options;
    struct pin_cpu_plan plan;
    uint64_t pool_bytes;
    uint64_t buffer_bytes;
    struct baseline_memcpy_set buffers; /* the caller's: puts read them, gets fill them */
    struct baseline_memcpy_set stand_in; /* as large as the pool, for memcpy */
};

struct copy_run_result {
    uint64_t block_bytes;
    double gb_per_s; /* medians over rounds; GB = 10^9 bytes */
    double memcpy_gb_per_s;
    double ratio; /* median of the rounds' ratios */
    double ratio_min;
    double ratio_max;
    double p50_us; /* one call */
    double p99_us;
    double p999_us;
    uint64_t grant_waits; /* puts that had to wait for the sidecar */
    uint64_t missed; /* gets of a block that had left */
};

/* Returns false after a line on stderr. */
bool copy_run_open(const struct options *options, struct copy_run *out_run);
void copy_run_close(struct copy_run *run);

/* Start a sidecar, measure one size, stop it. Returns false after a line on stderr. */
bool copy_run_size(struct copy_run *run, enum copy_direction direction, uint64_t block_bytes,
    struct copy_run_result *out_result);

#endif
