/* nvme_run: moves blocks to and from a disk through tier_nvme, as block/spill and block/fetch
 * would. Called by scenario_nvme.
 */
#ifndef CISTERN_BENCH_NVME_RUN_H
#define CISTERN_BENCH_NVME_RUN_H

#include "bench/fio.h"
#include "sidecar/tier/tier_nvme.h"

struct nvme_run {
    struct tier *tier;
    struct log log;
    void *memory; /* the pool and a bit; owned */
    uint8_t *pool; /* where blocks come from and go to */
    uint64_t pool_bytes;
    uint64_t block_bytes;
    uint32_t depth;
    uint64_t next; /* number of the next new block */
    uint64_t first; /* of the oldest that is still there */
    uint64_t random;
    double *latency_us; /* of one run; owned */
    uint64_t latency_room;
    char why[1024];
};

/* A tier in `directory`, its file written once. Returns false after a line on stderr. */
bool nvme_run_open(struct nvme_run *out_run, const char *directory, uint64_t file_bytes,
    uint64_t block_bytes, uint32_t depth, uint64_t seed);
void nvme_run_close(struct nvme_run *run);

/* Store new blocks, `bytes` in all. Twice `depth` are asked for at a time: those beyond it wait in
 * the tier, as those of block/spill do, so the device has something to do while blocks are handed
 * over. Returns false after a line on stderr; so do the others. */
bool nvme_run_spill(struct nvme_run *run, uint64_t bytes, struct fio_result *out_result);

/* Load random blocks that are there, `depth` at a time: waiting in the tier is no part of their
 * latency. */
bool nvme_run_fetch(struct nvme_run *run, uint64_t bytes, struct fio_result *out_result);

/* The same, twice `depth` at a time, as the cold tail of a prefix is asked for: all at once. */
bool nvme_run_prefix(struct nvme_run *run, uint64_t bytes, struct fio_result *out_result);

#endif
