/* floor_disk: moves blocks between a file and memory, and nothing else: what the disk gives to
 * somebody who has as much memory as a pool.
 *
 * Called by scenario_nvme. fio has `depth` blocks of memory and uses them over and over; where the
 * disk is a hypervisor's, that copies, they never leave its cache. Blocks of a pool do.
 */
#ifndef CISTERN_BENCH_FLOOR_DISK_H
#define CISTERN_BENCH_FLOOR_DISK_H

#include "bench/fio.h"

/* Move job->run_bytes by io_uring with O_DIRECT, `depth` blocks at a time, from or into `memory`,
 * all of it in turn, looking at nothing: writes go over the file in order, reads come from places
 * drawn from `random`. `memory` is aligned as the file wants it, and holds more than `depth`
 * blocks. Returns false after a line on stderr. */
bool floor_disk_run(const struct fio_job *job, void *memory, uint64_t memory_bytes,
    uint64_t *random, struct fio_result *out_result);

#endif
