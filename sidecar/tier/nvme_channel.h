/* nvme_channel: two queues between the front of tier_nvme and one I/O thread (sidecar/channel), and
 * the numbers that the thread keeps.
 *
 * Called by tier_nvme (front) and nvme_thread (thread). Always: an op is in one queue or with one
 * side; each ring has room for all ops, so nothing waits for room. One exception: "a part is there"
 * is sent beside its op, which stays with the thread; at most one for each load.
 */
#ifndef CISTERN_SIDECAR_TIER_NVME_CHANNEL_H
#define CISTERN_SIDECAR_TIER_NVME_CHANNEL_H

#include "sidecar/channel.h"
#include "sidecar/tier/nvme_op.h"

#include <stdbool.h>

#define NVME_CHANNEL_OPS 1024u /* more than an I/O thread is ever sent */

struct nvme_channel {
    struct channel *queue; /* owned: addresses of ops */

    /* shared words, all the thread's */
    _Alignas(128) _Atomic uint32_t down; /* it answers everything with IO */
    _Atomic uint64_t written_bytes; /* to the device, since it was opened */
    _Atomic uint64_t read_bytes;
    _Atomic uint64_t errors; /* transfers that failed */
    _Atomic uint64_t corrupt; /* records of an earlier life that were damaged */
};

/* Returns 0 or STATUS_NO_MEMORY. */
int nvme_channel_open(int event_fd, struct nvme_channel **out_channel);
void nvme_channel_close(struct nvme_channel *channel);

/* Front: hand an op over. One system call, and only if the thread sleeps. */
void nvme_channel_ask(struct nvme_channel *channel, struct nvme_op *op);

/* Front: take an answer; NULL: none. `*out_part`: the op stays with the thread. */
struct nvme_op *nvme_channel_take(struct nvme_channel *channel, bool *out_part);

/* Thread: take an op; NULL: none. */
struct nvme_op *nvme_channel_next(struct nvme_channel *channel);

/* Thread: put an answer; the front sees it after channel_show(). */
void nvme_channel_put(struct nvme_channel *channel, struct nvme_op *op, bool part);

/* Thread: add to a number of its own. */
static inline void nvme_channel_add(_Atomic uint64_t *number, uint64_t count)
{
    shared64_store_relaxed(number, shared64_load_relaxed(number) + count);
}

#endif
