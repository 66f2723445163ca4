/* stats: samples of one measured quantity, and what people ask of them. Called by every scenario.
 *
 * A set has room for a fixed number of samples; more are counted and dropped, so that measuring
 * never allocates. Always: percentiles are samples that were really seen (nearest rank).
 */
#ifndef CISTERN_BENCH_STATS_H
#define CISTERN_BENCH_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATS_FEW 64u

struct stats {
    double *samples; /* owned, unless given by stats_borrow() */
    size_t count;
    size_t room;
    uint64_t dropped;
    bool sorted;
};

/* Returns false if there is no memory. */
bool stats_open(struct stats *out_stats, size_t room);

/* Use memory of the caller, which holds `count` samples: read from a worker's shared room. */
void stats_borrow(struct stats *out_stats, double *samples, size_t count);

/* Frees the samples of stats_open() only. Accepts a zeroed one. */
void stats_close(struct stats *stats);

static inline void stats_add(struct stats *stats, double sample)
{
    if (stats->count == stats->room) {
        stats->dropped++;
        return;
    }
    stats->samples[stats->count++] = sample;
    stats->sorted = false;
}

/* The sample at `percent` (0 to 100), by nearest rank; 0 if there are none. Sorts on first use. */
double stats_percentile(struct stats *stats, double percent);

double stats_median(struct stats *stats);
/* The median of at most STATS_FEW samples of the caller, which stay in their order: others of the
 * same rounds are divided by them. */
double stats_median_of(const double *samples, size_t count);

double stats_mean(const struct stats *stats);
double stats_min(struct stats *stats);
double stats_max(struct stats *stats);

#endif
