/* nvme_channel: two queues between the front of tier_nvme and one I/O thread, and their bells.
 *
 *   front  ── ask ──▶ ring of ops ──▶ thread        wake_fd, rung only while the thread sleeps
 *          ◀── answer ── ring of ops ──             event_fd, rung only while the front sleeps
 *
 * Called by tier_nvme (front) and nvme_thread (thread). The rings are those of shm/ring.h, ordering
 * 1; the bells are those of shm/bell.h, ordering 2. Always: an op is in one queue or with one side;
 * each ring has room for all ops, so nothing waits for room. One exception: "a part is there" is
 * sent beside its op, which stays with the thread; at most one for each load.
 */
#ifndef CISTERN_SIDECAR_TIER_NVME_CHANNEL_H
#define CISTERN_SIDECAR_TIER_NVME_CHANNEL_H

#include "shm/ring.h"
#include "sidecar/tier/nvme_op.h"

#include <stdbool.h>

#define NVME_CHANNEL_OPS 1024u /* more than an I/O thread is ever sent */

struct nvme_channel {
    /* the front's, and the thread's, private ends */
    struct ring_writer ask_in;
    struct ring_reader answer_out;
    uint32_t naps; /* the front's: odd while it sleeps */
    uint32_t thread_nap_rung; /* the front's: which sleep of the thread it ended last */
    int event_fd; /* borrowed; counts, does not block */
    _Alignas(128) struct ring_reader ask_out;
    struct ring_writer answer_in;
    uint32_t thread_naps; /* the thread's: odd while it sleeps */
    uint32_t front_nap_rung; /* the thread's: which sleep of the front it ended last */
    int wake_fd; /* owned; blocks */

    /* shared words: one writer each, a line each */
    _Alignas(128) _Atomic uint32_t ask_tail; /* front */
    _Alignas(128) _Atomic uint32_t ask_head; /* thread */
    _Alignas(128) _Atomic uint32_t answer_tail; /* thread */
    _Alignas(128) _Atomic uint32_t answer_head; /* front */
    _Alignas(128) _Atomic uint32_t front_sleeping; /* front: naps */
    _Alignas(128) _Atomic uint32_t thread_sleeping; /* thread: thread_naps */
    _Alignas(128) _Atomic uint64_t rung; /* thread: times it rang event_fd */
    _Atomic uint32_t down; /* thread: it answers everything with IO */
    _Atomic uint64_t written_bytes; /* thread: to the device, since it was opened */
    _Atomic uint64_t read_bytes; /* thread */
    _Atomic uint64_t errors; /* thread: transfers that failed */
    _Atomic uint64_t corrupt; /* thread: records of an earlier life that were damaged */
    _Alignas(128) _Atomic uint64_t ask_words[NVME_CHANNEL_OPS];
    _Alignas(128) _Atomic uint64_t answer_words[2 * NVME_CHANNEL_OPS];
};

/* Returns 0 or STATUS_NO_MEMORY. */
int nvme_channel_open(int event_fd, struct nvme_channel **out_channel);
void nvme_channel_close(struct nvme_channel *channel);

/* Front: hand an op over. One system call, and only if the thread sleeps. */
void nvme_channel_ask(struct nvme_channel *channel, struct nvme_op *op);

/* Front: take an answer; NULL: none. `*out_part`: the op stays with the thread. */
struct nvme_op *nvme_channel_take(struct nvme_channel *channel, bool *out_part);

/* Front: "I sleep"; true: there is an answer after all. And "I am awake". */
bool nvme_channel_front_sleep(struct nvme_channel *channel);
void nvme_channel_front_wake(struct nvme_channel *channel);

/* Thread: take an op; NULL: none. */
struct nvme_op *nvme_channel_next(struct nvme_channel *channel);

/* Thread: "I sleep"; true: there is an op after all. And "I am awake". */
bool nvme_channel_sleep(struct nvme_channel *channel);
void nvme_channel_wake(struct nvme_channel *channel);

/* Thread: put an answer; the front sees it after nvme_channel_show(). */
void nvme_channel_put(struct nvme_channel *channel, struct nvme_op *op, bool part);
void nvme_channel_show(struct nvme_channel *channel);

/* Thread: add to a number of its own. */
static inline void nvme_channel_add(_Atomic uint64_t *number, uint64_t count)
{
    shared64_store_relaxed(number, shared64_load_relaxed(number) + count);
}

#endif
