/* tier_nvme: cold blocks in preallocated files on local disks: regions, O_DIRECT, checksummed.
 *
 * Opened by the server. The front (this thread) knows what lies where; one I/O thread a directory
 * reads, writes, encodes and verifies: through io_uring, or a small pool of threads with plain
 * pread and pwrite where the host refuses io_uring. Always: see tier.h.
 */
#ifndef CISTERN_SIDECAR_TIER_TIER_NVME_H
#define CISTERN_SIDECAR_TIER_TIER_NVME_H

#include "sidecar/log.h"
#include "sidecar/tier/record.h"
#include "sidecar/tier/tier.h"

#define TIER_NVME_DIRS 8u
#define TIER_NVME_FILE "cistern.tier" /* in each directory */

enum tier_nvme_io { TIER_NVME_AUTO, TIER_NVME_URING, TIER_NVME_THREADS };

struct tier_nvme_options {
    const char *directories[TIER_NVME_DIRS]; /* exist, writable; blocks are striped over them */
    uint32_t directory_count;
    uint64_t bytes; /* of each directory's file; preallocated */
    uint64_t region_bytes; /* a power of two, 16 MiB to 1 GiB; 0: choose by `bytes` */
    uint64_t block_bytes_most; /* the largest block that can come */
    uint64_t written_bytes_a_day; /* endurance: device writes allowed a day, of all; 0: no bound */
    enum codec codec;
    const char *key_file; /* NULL or "": not encrypted */
    enum tier_nvme_io io;
    uint32_t depth; /* I/Os under way for each directory; 0: choose */
    const void *pool; /* memory that blocks come from and go to: registered with the kernel */
    uint64_t pool_bytes; /* 0: none; blocks may lie elsewhere too */
    struct log *log;
};

/* Open the files, make them if they are not there. What an earlier life left is found in the
 * background: FOUND events come through poll(), and a load before that may miss.
 * Returns 0; STATUS_BUSY: another process has the directory; STATUS_IO, STATUS_INVALID,
 * STATUS_NO_MEMORY, STATUS_DENIED; `why` says what, where, and the remedy, also what was chosen
 * when it is 0. */
int tier_nvme_open(
    const struct tier_nvme_options *options, struct tier **out_tier, char *why, size_t why_bytes);

#endif
