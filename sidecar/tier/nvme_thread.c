/* nvme_thread: one turn after the other: take what was asked, begin what can begin, wait, finish.
 * See nvme_worker.h and nvme_thread.h.
 *
 * The thread waits at one place, in its engine.
 */
#include "sidecar/tier/nvme_thread.h"

#include "shm/status.h"
#include "sidecar/moment.h"
#include "sidecar/tier/nvme_worker.h"

#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOW_BYTES (UINT32_C(256) << 10) /* finished since the front was told last */
#define SECOND_NS UINT64_C(1000000000)
/* Hashing as much takes longer than the system call: the disk shall not wait for it. */
#define SUBMIT_BYTES (UINT32_C(256) << 10)

void nvme_thread_push(struct nvme_queue *queue, struct nvme_op *op)
{
    op->next = NULL;
    *queue->end = op;
    queue->end = &op->next;
    queue->count++;
}

struct nvme_op *nvme_thread_pop(struct nvme_queue *queue)
{
    struct nvme_op *op = queue->first;
    if (op != NULL) {
        queue->first = op->next;
        queue->end = op->next == NULL ? &queue->first : queue->end;
        queue->count--;
    }
    return op;
}

void nvme_thread_begin(struct nvme_worker *worker, struct nvme_io *io, enum disk_kind kind,
    uint64_t offset, void *data, uint64_t bytes)
{
    io->disk = (struct disk_op){.kind = kind, .offset = offset, .data = data, .bytes = bytes};
    if (kind == DISK_READ) {
        worker->reads++;
    } else {
        worker->writes++;
        worker->write_bytes += bytes;
    }
    worker->begun_bytes += bytes;
    worker->disk->ops->start(worker->disk, &io->disk);
}

void nvme_thread_submit(struct nvme_worker *worker)
{
    if (worker->begun_bytes >= SUBMIT_BYTES) {
        worker->begun_bytes = 0;
        worker->disk->ops->submit(worker->disk);
    }
}

void nvme_thread_answer(struct nvme_worker *worker, struct nvme_op *op, int status)
{
    op->status = status;
    worker->answered = true;
    nvme_channel_put(worker->channel, op, false);
}

void nvme_thread_note(struct nvme_worker *worker, const char *format, ...)
{
    struct nvme_op *op = nvme_thread_pop(&worker->notes);
    if (op == NULL) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(op->text, sizeof op->text, format, arguments);
    va_end(arguments);
    nvme_thread_answer(worker, op, STATUS_OK);
}

static void take_asks(struct nvme_worker *worker)
{
    struct nvme_op *op;
    while ((op = nvme_channel_next(worker->channel)) != NULL) {
        switch (op->kind) {
        case NVME_OP_LOAD:
            nvme_thread_push(
                op->wish.urgency == TIER_URGENT ? &worker->urgent : &worker->ahead, op);
            break;
        case NVME_OP_STORE:
            op->payload = NULL;
            op->buffer = NULL;
            nvme_thread_push(&worker->stores, op);
            break;
        case NVME_OP_MOVE:
            op->payload = NULL;
            op->buffer = NULL;
            nvme_thread_push(&worker->moves_new, op);
            break;
        case NVME_OP_REGION:
            nvme_write_region(worker, op);
            break;
        case NVME_OP_HEADERS:
            worker->recover.headers = op;
            break;
        case NVME_OP_FOUND:
            nvme_thread_push(&worker->recover.empty, op);
            break;
        case NVME_OP_NOTE:
            nvme_thread_push(&worker->notes, op);
            break;
        case NVME_OP_STOP:
            worker->stop = op;
            break;
        }
    }
}

/* Hand one finished transfer to who began it. Returns false if there is none. */
static bool reap(struct nvme_worker *worker)
{
    struct disk_op *op = worker->disk->ops->next(worker->disk);
    if (op == NULL) {
        return false;
    }
    struct nvme_io *io = (struct nvme_io *)op;
    if (op->kind == DISK_READ) {
        worker->reads--;
        nvme_channel_add(&worker->channel->read_bytes, op->result == 0 ? op->bytes : 0);
    } else {
        worker->writes--;
        worker->write_bytes -= op->bytes;
        nvme_channel_add(&worker->channel->written_bytes, op->result == 0 ? op->bytes : 0);
    }
    worker->reaped_bytes += op->bytes;
    if (op->result != 0) {
        nvme_watch_failed(worker, op);
    } else if (io != &worker->probe_io) {
        worker->errors_in_row = 0;
    }
    io->done(worker, io);
    return true;
}

/* Asked to stop: is everything over? */
static bool is_over(struct nvme_worker *worker)
{
    bool late = moment_ns() > worker->stop->deadline_ns;
    if (late) { /* what was not begun is given back; what is in the kernel has to be waited for */
        nvme_group_fail(worker, &worker->urgent, STATUS_MISS);
        nvme_group_fail(worker, &worker->ahead, STATUS_MISS);
        nvme_group_fail(worker, &worker->stores, STATUS_BUSY);
        nvme_group_fail(worker, &worker->moves, STATUS_BUSY);
        nvme_group_fail(worker, &worker->moves_new, STATUS_BUSY);
    }
    bool queued = worker->urgent.first != NULL || worker->ahead.first != NULL ||
                  worker->stores.first != NULL || worker->moves.first != NULL ||
                  worker->moves_new.first != NULL || worker->moving > 0;
    bool over = !queued && nvme_write_over(worker, !late && !worker->down);
    return over && worker->reads == 0 && worker->writes == 0;
}

/* What was answered since the last time: the front may be asleep, and a wake-up costs as much as a
 * small read, so it waits for a few (nvme.md, decision 15). */
static void show(struct nvme_worker *worker)
{
    worker->reaped_bytes = 0;
    if (worker->answered) {
        worker->answered = false;
        channel_show(worker->channel->queue);
    }
}

/* Begin what can begin. Returns true if it was the last turn. */
static bool turn(struct nvme_worker *worker, uint64_t now_ns)
{
    take_asks(worker);
    nvme_watch_step(worker, now_ns);
    nvme_read_step(worker);
    nvme_write_step(worker);
    nvme_recover_step(worker);
    nvme_thread_submit(worker);
    bool over = worker->stop != NULL && is_over(worker);
    if (over) {
        nvme_thread_answer(worker, worker->stop, STATUS_OK);
    }
    if (over || worker->reaped_bytes >= SHOW_BYTES) {
        show(worker);
    }
    return over;
}

static void wait(struct nvme_worker *worker, uint64_t now_ns)
{
    show(worker);
    uint64_t until_ns = worker->gone ? now_ns + SECOND_NS : worker->look_ns;
    if (worker->stop != NULL && worker->stop->deadline_ns < until_ns) {
        until_ns = worker->stop->deadline_ns + 1;
    }
    bool more = channel_sleep(worker->channel->queue) || until_ns <= now_ns;
    worker->begun_bytes = 0;
    worker->disk->ops->wait(worker->disk, more ? 0 : (int64_t)(until_ns - now_ns));
    channel_wake(worker->channel->queue);
}

/* One finished transfer a turn: verifying it may take long, and what it made room for shall be on
 * its way before the next one is looked at. */
static void turns(struct nvme_worker *worker)
{
    uint64_t now_ns = moment_ns();
    while (!turn(worker, now_ns)) {
        if (!reap(worker)) {
            wait(worker, now_ns);
        }
        now_ns = moment_ns();
    }
}

/* Open the engine that was asked for, or the best one that the host allows. */
static int open_disk(struct nvme_worker *worker, char *why, size_t why_bytes)
{
    const struct disk_options options = {
        .fd = worker->options.file->fd,
        .wake_fd = worker->channel->queue->wake_fd,
        .depth = worker->options.depth,
        .pool = worker->options.pool,
        .pool_bytes = worker->options.pool_bytes,
        .staging = worker->staging.memory,
        .staging_bytes = worker->staging.bytes,
    };
    if (worker->options.engine != NULL) {
        return worker->options.engine->open(&options, &worker->disk, why, why_bytes);
    }
    int status = disk_uring.open(&options, &worker->disk, why, why_bytes);
    if (status == STATUS_OK) {
        return STATUS_OK;
    }
    char chosen[128];
    char refusal[256];
    (void)snprintf(refusal, sizeof refusal, "%.255s", why);
    status = disk_threads.open(&options, &worker->disk, chosen, sizeof chosen);
    (void)snprintf(why, why_bytes,
        "%s, because io_uring is refused: %s (Docker 25, containerd 2.0 and Kubernetes' default "
        "profile block it, RHEL 9 and 10 switch it off)",
        chosen, refusal);
    return status;
}

static void *run(void *context)
{
    struct nvme_worker *worker = context;
    char why[sizeof worker->why] = "";
    int status = open_disk(worker, why, sizeof why);
    (void)pthread_mutex_lock(&worker->lock);
    memcpy(worker->why, why, sizeof why);
    worker->started = status;
    (void)pthread_cond_signal(&worker->ready);
    (void)pthread_mutex_unlock(&worker->lock);
    if (status == STATUS_OK) {
        turns(worker);
        worker->disk->ops->close(worker->disk);
    }
    return NULL;
}

static void init_queues(struct nvme_worker *worker)
{
    struct nvme_queue *queues[] = {&worker->urgent, &worker->ahead, &worker->stores, &worker->moves,
        &worker->moves_new, &worker->recover.empty, &worker->notes};
    for (size_t i = 0; i < sizeof queues / sizeof queues[0]; i++) {
        queues[i]->end = &queues[i]->first;
    }
}

static void free_worker(struct nvme_worker *worker)
{
    free(worker->recover.order);
    nvme_write_close(worker);
    nvme_staging_close(worker);
    (void)pthread_cond_destroy(&worker->ready);
    (void)pthread_mutex_destroy(&worker->lock);
    free(worker);
}

/* Start the thread with all signals blocked: they belong to the server's own. */
static int start_quiet(struct nvme_worker *worker, pthread_t *out_thread)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(out_thread, NULL, run, worker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) {
        (void)pthread_setname_np(*out_thread, "cistern-io");
    }
    return error == 0 ? STATUS_OK : STATUS_NO_MEMORY;
}

int nvme_thread_start(const struct nvme_thread_options *options, struct nvme_thread *out_thread,
    char *why, size_t why_bytes)
{
    assert(options->file->region_bytes % NVME_FORMAT_PAGE == 0);
    struct nvme_worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL) {
        (void)snprintf(why, why_bytes, "no memory");
        return STATUS_NO_MEMORY;
    }
    worker->options = *options;
    worker->channel = options->channel;
    worker->region_pages = (uint32_t)(options->file->region_bytes / NVME_FORMAT_PAGE);
    worker->started = STATUS_PENDING;
    (void)pthread_mutex_init(&worker->lock, NULL);
    (void)pthread_cond_init(&worker->ready, NULL);
    init_queues(worker);
    pthread_t thread;
    int status = nvme_staging_open(worker);
    status = status == STATUS_OK ? nvme_write_open(worker) : status;
    status = status == STATUS_OK ? start_quiet(worker, &thread) : status;
    if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes, "no memory, or no thread; remedy: a smaller pool");
        free_worker(worker);
        return status;
    }
    (void)pthread_mutex_lock(&worker->lock);
    while (worker->started == STATUS_PENDING) {
        (void)pthread_cond_wait(&worker->ready, &worker->lock);
    }
    status = worker->started;
    (void)snprintf(why, why_bytes, "%s", worker->why);
    (void)pthread_mutex_unlock(&worker->lock);
    if (status != STATUS_OK) {
        (void)pthread_join(thread, NULL);
        free_worker(worker);
        return status;
    }
    *out_thread = (struct nvme_thread){.thread = thread, .worker = worker};
    return STATUS_OK;
}

void nvme_thread_join(struct nvme_thread *thread)
{
    (void)pthread_join(thread->thread, NULL);
    free_worker(thread->worker);
    thread->worker = NULL;
}
