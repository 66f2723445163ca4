/* nvme_thread: the I/O thread of one directory, as the front of tier_nvme sees it.
 *
 * Started and joined by tier_nvme; all else goes through its channel. Always: an op that was sent
 * comes back, whatever breaks, and no transfer is under way when its op is back.
 */
#ifndef CISTERN_SIDECAR_TIER_NVME_THREAD_H
#define CISTERN_SIDECAR_TIER_NVME_THREAD_H

#include "sidecar/tier/nvme_channel.h"
#include "sidecar/tier/nvme_file.h"
#include "sidecar/tier/record.h"

#include <pthread.h>

/* All is borrowed until the thread is joined. */
struct nvme_thread_options {
    struct nvme_channel *channel;
    const struct nvme_file *file;
    const struct disk_ops *engine; /* NULL: io_uring, or threads if the host refuses it */
    struct record_rules rules;
    uint64_t block_bytes_most;
    uint32_t depth;
    const void *pool;
    uint64_t pool_bytes;
    uint64_t *generations; /* one a region: filled before HEADERS comes back */
};

struct nvme_thread {
    pthread_t thread;
    struct nvme_worker *worker;
};

/* Returns 0, STATUS_NO_MEMORY or STATUS_UNSUPPORTED; `why` says which engine was chosen, and why.
 */
int nvme_thread_start(const struct nvme_thread_options *options, struct nvme_thread *out_thread,
    char *why, size_t why_bytes);

/* After STOP came back. */
void nvme_thread_join(struct nvme_thread *thread);

#endif
