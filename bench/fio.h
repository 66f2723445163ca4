/* fio: the baseline of the scenario nvme: fio(1) with the same file size, block size, depth and
 * flags as the tier. Run as a child, one run at a time; its JSON is read.
 */
#ifndef CISTERN_BENCH_FIO_H
#define CISTERN_BENCH_FIO_H

#include <stdbool.h>
#include <stdint.h>

struct fio_job {
    const char *file; /* writes: made and written once by fio_prepare(); reads: it only reads it */
    uint64_t file_bytes;
    uint64_t block_bytes;
    uint64_t run_bytes; /* to move in this run */
    uint32_t depth;
    bool write; /* in order, as the tier appends; else random reads */
};

struct fio_result {
    double bytes_per_s;
    double cpu_s_per_gb;
    double p50_us; /* from submission to completion */
    double p99_us;
};

/* Is there an fio? */
bool fio_found(void);

/* Write the whole file once, so that no run pays for blocks that were never written. */
bool fio_prepare(const struct fio_job *job);

/* Returns false after a line on stderr. */
bool fio_run(const struct fio_job *job, struct fio_result *out_result);

#endif
