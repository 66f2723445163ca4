/* footprint: what a client handle costs in memory, and an idle sidecar in time.
 *
 * Called by scenario_server, which has many handles open. Read from /proc: the lanes are mappings
 * of files named cistern-lane-…, the time is what the scheduler counted.
 */
#ifndef CISTERN_BENCH_FOOTPRINT_H
#define CISTERN_BENCH_FOOTPRINT_H

#include <stdint.h>
#include <sys/types.h>

/* Bytes of all lanes that this process has mapped; 0 if /proc does not say. */
uint64_t footprint_lane_bytes(void);

/* CPU time that a process has used, in ns; 0 if /proc does not say. */
uint64_t footprint_cpu_ns(pid_t pid);

#endif
