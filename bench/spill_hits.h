/* spill_hits: what hits on hot blocks feel while other blocks go to the disk.
 *
 * Called by scenario_nvme. A sidecar with a cold tier and a flood of commits share one core, so
 * that every block that leaves the full pool is written; a reader on another core times its hits,
 * in turn with the flood and without.
 */
#ifndef CISTERN_BENCH_SPILL_HITS_H
#define CISTERN_BENCH_SPILL_HITS_H

#include "bench/options.h"
#include "bench/stats.h"

struct spill_hits {
    struct stats idle_p50_ns, idle_p99_ns; /* a round each */
    struct stats spill_p50_ns, spill_p99_ns;
    struct stats ratio; /* p99 while spilling by p99 while idle, of one round */
    struct stats gb_per_s; /* written to the disk meanwhile */
    uint64_t missed; /* hits that missed: the hot blocks were evicted */
};

/* Measure in `folder`, on the disk in question. Returns false after a line on stderr; the result is
 * closed with spill_hits_close() in any case. */
bool spill_hits_measure(
    const struct options *options, const char *folder, struct spill_hits *out_hits);
void spill_hits_close(struct spill_hits *hits);

#endif
