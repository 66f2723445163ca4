/* mover_thread: see mover_thread.h. */
#include "sidecar/device/mover_thread.h"

#include "shm/status.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define NAP_NS 20000 /* between two looks at what is under way */
#define SECOND_NS UINT64_C(1000000000)
#define SLACK_NS 1000 /* how late a nap may end; 50 us if nobody asks */

static_assert(
    (MOVER_COPIES & (MOVER_COPIES - 1)) == 0 && (MOVER_BATCHES & (MOVER_BATCHES - 1)) == 0,
    "indices run free");
static_assert(MOVER_WAYS * MOVER_BATCHES <= MARK_SLOTS, "each batch finds a mark");
static_assert(sizeof(struct move_copy) % 8 == 0 && sizeof(struct move_done) % 8 == 0,
    "entries are whole words");

/* The device is lost: the driver's own words, if it has some. */
static void lose(struct mover_thread *mover, const char *what)
{
    if (shared32_load_relaxed(&mover->lost) == 0) {
        char text[128] = "no stream";
        const struct copy_stream *stream = &mover->way[MOVER_UP].stream;
        if (stream->gpu != NULL) {
            driver_say(mover->gpu->driver, mover->gpu->driver->cuStreamQuery(stream->stream), text,
                sizeof text);
        }
        (void)snprintf(mover->why, sizeof mover->why, "%s on %s: %s", what, mover->gpu->name, text);
        shared32_store_release(&mover->lost, 1);
        channel_alarm(mover->channel);
    }
}

static bool is_lost(const struct mover_thread *mover)
{
    return shared32_load_relaxed(&mover->lost) != 0;
}

static void answer(struct mover_thread *mover, const struct move_copy *copy, int status)
{
    struct move_done done = {.cookie = copy->cookie, .status = status};
    channel_put(mover->channel, &done);
}

/* Take over what was asked. */
static bool take(struct mover_thread *mover)
{
    struct move_copy copy;
    bool took = false;
    while (channel_next(mover->channel, &copy)) {
        struct mover_way *way = &mover->way[copy.to_device ? MOVER_UP : MOVER_DOWN];
        way->queue[way->tail++ & (MOVER_COPIES - 1)] = copy;
        took = true;
    }
    return took;
}

/* The next copies of a way as the driver wants them. Returns how many. */
static uint32_t collect(
    const struct mover_thread *mover, struct mover_way *way, struct copy out_list[])
{
    uint32_t count = 0;
    uint64_t bytes = 0;
    while (way->begun != way->tail && count < MOVER_BATCH_COPIES && bytes < MOVER_BATCH_BYTES) {
        const struct move_copy *copy = &way->queue[way->begun++ & (MOVER_COPIES - 1)];
        uint64_t host = (uint64_t)(uintptr_t)mover->host + copy->host_offset;
        uint64_t device = slab_address(mover->slabs, copy->device_offset);
        out_list[count++] = (struct copy){.to = copy->to_device ? device : host,
            .from = copy->to_device ? host : device,
            .bytes = copy->bytes};
        bytes += copy->bytes;
    }
    return count;
}

/* Put batches into the stream of a way, as long as there is room. */
static bool begin(struct mover_thread *mover, struct mover_way *way)
{
    bool begun = false;
    while (way->begun != way->tail && way->batch_begun - way->batch_done < MOVER_BATCHES &&
           !is_lost(mover)) {
        struct copy list[MOVER_BATCH_COPIES];
        struct mover_batch *batch = &way->batch[way->batch_begun++ & (MOVER_BATCHES - 1)];
        *batch = (struct mover_batch){.count = collect(mover, way, list)};
        int status = copy_start(mover->gpu, way->stream.stream, list, batch->count);
        if (status == STATUS_DEVICE_LOST) {
            lose(mover, "copies cannot be started");
        }
        /* Some of them may be in the stream nevertheless: they are over when it is. */
        batch->status = status == STATUS_OK ? STATUS_OK : STATUS_IO;
        int marked = mark_take(&mover->marks, way->stream.stream, &batch->mark);
        batch->marked = marked == STATUS_OK;
        if (marked == STATUS_DEVICE_LOST) {
            lose(mover, "the end of copies cannot be marked");
        }
        begun = true;
    }
    return begun;
}

/* Answer what is over. */
static bool finish(struct mover_thread *mover, struct mover_way *way)
{
    bool finished = false;
    while (way->batch_done != way->batch_begun && !is_lost(mover)) {
        const struct mover_batch *batch = &way->batch[way->batch_done & (MOVER_BATCHES - 1)];
        int status =
            batch->marked ? mark_passed(&mover->marks, &batch->mark) : copy_done(&way->stream);
        if (status == STATUS_PENDING) {
            break;
        }
        if (status != STATUS_OK) {
            lose(mover, "copies failed");
            break;
        }
        if (batch->marked) {
            mark_drop(&mover->marks, &batch->mark);
        }
        for (uint32_t i = 0; i < batch->count; i++) {
            answer(mover, &way->queue[way->done++ & (MOVER_COPIES - 1)], batch->status);
        }
        way->batch_done++;
        finished = true;
    }
    return finished;
}

/* Nothing more goes to the device: what it never got can be answered. */
static bool refuse(struct mover_thread *mover)
{
    bool refused = false;
    for (uint32_t i = 0; i < MOVER_WAYS; i++) {
        struct mover_way *way = &mover->way[i];
        while (way->begun != way->tail) {
            answer(mover, &way->queue[--way->tail & (MOVER_COPIES - 1)], STATUS_DEVICE_LOST);
            refused = true;
        }
    }
    return refused;
}

static bool is_under_way(const struct mover_thread *mover)
{
    return !is_lost(mover) &&
           (mover->way[MOVER_UP].batch_done != mover->way[MOVER_UP].batch_begun ||
               mover->way[MOVER_DOWN].batch_done != mover->way[MOVER_DOWN].batch_begun);
}

/* Until something may be there to do. */
static void wait(struct mover_thread *mover)
{
    if (is_under_way(mover)) {
        (void)nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
        return;
    }
    if (!channel_sleep(mover->channel) && shared32_load_acquire(&mover->stop) == 0) {
        uint64_t rings;
        ssize_t got = read(mover->channel->wake_fd, &rings, sizeof rings);
        (void)got; /* a signal ends it as well, and the caller looks again */
    }
    channel_wake(mover->channel);
}

/* What it needs beside the device. Returns 0, or a status and `why`. */
static int prepare(struct mover_thread *mover)
{
    char why[MOVER_WHY];
    int status = mover_lock_take(mover->lock, mover->gpu, mover->host, mover->host_bytes);
    for (uint32_t i = 0; i < MOVER_WAYS && status == STATUS_OK; i++) {
        status = copy_open(mover->gpu, &mover->way[i].stream);
    }
    if (status == STATUS_OK) {
        /* Events: a question finds an error as well, where a word would never come. */
        status = mark_open(mover->gpu, MARK_EVENT, mover->page, &mover->marks, why, sizeof why);
    }
    return status;
}

static void turns(struct mover_thread *mover)
{
    bool stop = false;
    while (!stop) {
        bool busy = take(mover);
        bool answered = false;
        for (uint32_t i = 0; i < MOVER_WAYS; i++) {
            busy = begin(mover, &mover->way[i]) || busy;
        }
        for (uint32_t i = 0; i < MOVER_WAYS; i++) {
            answered = finish(mover, &mover->way[i]) || answered;
        }
        if (is_lost(mover)) {
            answered = refuse(mover) || answered;
        }
        if (answered) {
            channel_show(mover->channel);
        } else if (!busy) {
            wait(mover);
        }
        stop = shared32_load_acquire(&mover->stop) != 0;
    }
}

static void *work(void *context)
{
    struct mover_thread *mover = context;
    struct driver_context *former = NULL;
    (void)prctl(PR_SET_TIMERSLACK, SLACK_NS, 0, 0, 0);
    bool inside = gpu_enter(mover->gpu, &former) == STATUS_OK;
    if (!inside || prepare(mover) != STATUS_OK) {
        lose(mover, "copies cannot be prepared");
    }
    channel_alarm(mover->channel); /* the server logs what was found */
    turns(mover);
    for (uint32_t i = 0; i < MOVER_WAYS; i++) {
        copy_close(&mover->way[i].stream); /* waits for what is under way */
    }
    mark_close(&mover->marks);
    if (inside) {
        gpu_leave(mover->gpu, former);
    }
    return NULL;
}

int mover_thread_open(struct mover_thread *mover, int event_fd)
{
    const struct channel_shape shape = {.asks = MOVER_COPIES,
        .ask_words = sizeof(struct move_copy) / 8,
        .answers = MOVER_COPIES,
        .answer_words = sizeof(struct move_done) / 8};
    mover->page = aligned_alloc(MARK_WORD_BYTES, MARK_WORD_BYTES);
    int status =
        mover->page == NULL ? STATUS_NO_MEMORY : channel_open(event_fd, &shape, &mover->channel);
    if (status == STATUS_OK) {
        memset(mover->page, 0, MARK_WORD_BYTES);
        mover->running = pthread_create(&mover->thread, NULL, work, mover) == 0;
        status = mover->running ? STATUS_OK : STATUS_NO_MEMORY;
    }
    if (status != STATUS_OK) {
        mover_thread_close(mover);
        return status;
    }
    (void)pthread_setname_np(mover->thread, "cistern-mover");
    return STATUS_OK;
}

void mover_thread_stop(struct mover_thread *mover)
{
    if (mover->running) {
        shared32_store_release(&mover->stop, 1);
        channel_rouse(mover->channel);
    }
}

bool mover_thread_join(struct mover_thread *mover, uint64_t patience_ns)
{
    struct timespec limit;
    (void)clock_gettime(CLOCK_REALTIME, &limit);
    uint64_t until_ns = (uint64_t)limit.tv_nsec + patience_ns;
    limit.tv_sec += (time_t)(until_ns / SECOND_NS);
    limit.tv_nsec = (long)(until_ns % SECOND_NS);
    if (mover->running && pthread_timedjoin_np(mover->thread, NULL, &limit) == 0) {
        mover->running = false;
    }
    return !mover->running;
}

void mover_thread_close(struct mover_thread *mover)
{
    assert(!mover->running);
    channel_close(mover->channel);
    free(mover->page);
    mover->channel = NULL;
    mover->page = NULL;
}
