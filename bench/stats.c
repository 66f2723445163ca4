/* stats: percentiles by nearest rank over sorted samples. */
#include "bench/stats.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool stats_open(struct stats *out_stats, size_t room)
{
    double *samples = calloc(room == 0 ? 1 : room, sizeof samples[0]);
    if (samples == NULL) {
        return false;
    }
    *out_stats = (struct stats){.samples = samples, .room = room};
    return true;
}

void stats_borrow(struct stats *out_stats, double *samples, size_t count)
{
    *out_stats = (struct stats){.samples = samples, .count = count, .room = count};
}

void stats_close(struct stats *stats)
{
    free(stats->samples);
    *stats = (struct stats){0};
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

double stats_percentile(struct stats *stats, double percent)
{
    assert(percent >= 0 && percent <= 100);
    if (stats->count == 0) {
        return 0;
    }
    if (!stats->sorted) {
        qsort(stats->samples, stats->count, sizeof stats->samples[0], compare);
        stats->sorted = true;
    }
    double rank = ceil(percent / 100 * (double)stats->count);
    size_t index = rank < 1 ? 0 : (size_t)rank - 1;
    return stats->samples[index < stats->count ? index : stats->count - 1];
}

double stats_median(struct stats *stats)
{
    return stats_percentile(stats, 50);
}

double stats_median_of(const double *samples, size_t count)
{
    double few[STATS_FEW];
    struct stats stats;
    assert(count <= STATS_FEW);
    memcpy(few, samples, count * sizeof *few);
    stats_borrow(&stats, few, count);
    return stats_median(&stats);
}

double stats_mean(const struct stats *stats)
{
    double sum = 0;
    for (size_t i = 0; i < stats->count; i++) {
        sum += stats->samples[i];
    }
    return stats->count == 0 ? 0 : sum / (double)stats->count;
}

double stats_min(struct stats *stats)
{
    return stats_percentile(stats, 0);
}

double stats_max(struct stats *stats)
{
    return stats_percentile(stats, 100);
}
