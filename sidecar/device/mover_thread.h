/* mover_thread: the one thread that asks a device for copies.
 *
 *   channel ──▶ queue, up:   waiting … │ batch, batch, … in the stream │ done ──▶ channel
 *               queue, down: waiting … │ batch, batch, … in the stream │ done
 *
 * Called by movers, on the server's thread; all but mover_thread_… runs on its own. Each direction
 * has a stream and a queue, so that both run at one time, and keeps a few batches in its stream, so
 * that the device never waits for us. An event behind a batch says that it is over; the thread asks
 * for it between short sleeps, and sleeps on its bell when nothing is under way. Always: what is
 * answered is written by nobody any more. After an error that stays this cannot be said of what a
 * stream has: those copies are never answered, and end with the process.
 */
#ifndef CISTERN_SIDECAR_DEVICE_MOVER_THREAD_H
#define CISTERN_SIDECAR_DEVICE_MOVER_THREAD_H

#include "cuda/copy.h"
#include "cuda/mark.h"
#include "cuda/slab.h"
#include "sidecar/block/move.h"
#include "sidecar/channel.h"
#include "sidecar/device/mover_lock.h"

#include <pthread.h>

#define MOVER_COPIES 256u /* asked of one device and not answered, at most; a power of two */
#define MOVER_BATCHES 4u /* in one stream; a power of two */
#define MOVER_BATCH_COPIES 64u
#define MOVER_BATCH_BYTES (UINT64_C(8) << 20) /* begun with less than so many */
#define MOVER_WHY 256u

struct mover_batch {
    struct mark mark;
    bool marked; /* else it is over when its stream is empty */
    uint32_t count; /* of copies */
    int status; /* of each: 0, or STATUS_IO */
};

/* One direction. Indices run free: done <= begun <= tail. */
struct mover_way {
    struct copy_stream stream;
    struct move_copy queue[MOVER_COPIES];
    uint32_t done;
    uint32_t begun;
    uint32_t tail;
    struct mover_batch batch[MOVER_BATCHES];
    uint32_t batch_done;
    uint32_t batch_begun;
};

enum mover_direction { MOVER_UP, MOVER_DOWN, MOVER_WAYS };

struct mover_thread {
    const struct gpu *gpu; /* borrowed, as all here */
    const struct slab_pool *slabs;
    struct mover_lock *lock;
    unsigned char *host;
    uint64_t host_bytes;
    struct channel *channel; /* owned: struct move_copy there, struct move_done back */
    pthread_t thread;
    bool running; /* the front's, as the next */
    uint32_t under_way;
    _Atomic uint32_t stop; /* front: wait for what the streams have, and end */
    _Atomic uint32_t lost; /* thread: an error that stays; `why` stands then */
    char why[MOVER_WHY];
    struct mover_way way[MOVER_WAYS]; /* the thread's, as the next */
    struct marks marks;
    struct mark_page *page; /* owned; of marks that are events no word is used */
};

/* What a thread is to work with: gpu, slabs, lock and host are set, all else is 0. Returns 0 or
 * STATUS_NO_MEMORY. */
int mover_thread_open(struct mover_thread *mover, int event_fd);

/* Ask it to end: what is in its streams is waited for, what is not is dropped. */
void mover_thread_stop(struct mover_thread *mover);

/* Wait for its end, at most so long. Returns false if it did not come: then a call of the driver
 * hangs, the thread still uses its memory, and nothing of it can be closed. */
bool mover_thread_join(struct mover_thread *mover, uint64_t patience_ns);

/* Ended, or never started. */
void mover_thread_close(struct mover_thread *mover);

#endif
