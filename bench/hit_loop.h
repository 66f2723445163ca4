/* hit_loop: the loops that time a hit. Called by scenario_hit, scenario_server and scenario_scale.
 *
 * The clock costs as much as a hot hit, so a sample is a group of hits divided by their number.
 * Keys were drawn before and lie in order in an array, so that choosing them costs no cache miss.
 */
#ifndef CISTERN_BENCH_HIT_LOOP_H
#define CISTERN_BENCH_HIT_LOOP_H

#include "bench/stats.h"
#include <cistern.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HIT_LOOP_GROUP 16u
#define HIT_LOOP_BATCH 64u

/* Keys of `count` random picks among numbers below `entries` of `seed`'s stream. NULL: no memory.
 * */
struct cistern_key *hit_loop_draw(uint64_t seed, uint64_t picks, uint64_t entries, size_t count);

/* Acquire and release each key alone; a sample is the nanoseconds of one hit, by groups. `chained`:
 * each waits for the one before, which is a hit's latency; else the processor may overlap them.
 * Returns how many missed. */
uint64_t hit_loop_single(cistern_t *handle, const struct cistern_key *keys, size_t count,
    bool chained, struct stats *out_samples);

/* The same in batches of HIT_LOOP_BATCH keys: a sample is the nanoseconds of one block. */
uint64_t hit_loop_batch(
    cistern_t *handle, const struct cistern_key *keys, size_t count, struct stats *out_samples);

#endif
