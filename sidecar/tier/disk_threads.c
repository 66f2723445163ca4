/* disk_threads: an engine of a few threads with plain pread and pwrite, for hosts that refuse
 * io_uring. See disk.h for the rules.
 *
 * One mutex guards the three lists; a thread holds it only to take or to put an operation. Reads
 * are taken before writes. A finished operation rings wake_fd, so the owner's one wait serves both.
 */
#include "sidecar/tier/disk.h"

#include "shm/status.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define THREADS_LEAST 4u
#define THREADS_MOST 8u

struct engine {
    struct disk disk;
    int fd;
    int wake_fd;
    uint32_t threads;
    pthread_t thread[THREADS_MOST];
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool stop; /* under the lock, as all below */
    struct disk_list reads;
    struct disk_list writes;
    struct disk_list done;
};

static ssize_t transfer(int fd, const struct disk_op *op)
{
    uint64_t left = op->bytes - op->done_bytes;
    struct iovec memory = {
        .iov_base = (char *)op->data + op->done_bytes,
        .iov_len = left < DISK_BYTES_MOST ? left : DISK_BYTES_MOST,
    };
    off_t at = (off_t)(op->offset + op->done_bytes);
    if (op->kind == DISK_READ) {
        return preadv2(fd, &memory, 1, at, 0);
    }
    return pwritev2(fd, &memory, 1, at, op->kind == DISK_WRITE_THROUGH ? RWF_DSYNC : 0);
}

/* All of it, however the system cuts it. */
static void carry_out(int fd, struct disk_op *op)
{
    if (op->kind == DISK_SYNC) {
        op->result = fdatasync(fd) == 0 ? 0 : -errno;
        return;
    }
    while (op->result == 0 && op->done_bytes < op->bytes) {
        ssize_t moved = transfer(fd, op);
        if (moved > 0) {
            op->done_bytes += (uint64_t)moved;
            op->tries = 0;
        } else if (moved == 0) {
            op->result = -ENODATA;
        } else if ((errno != EINTR && errno != EAGAIN) || ++op->tries > DISK_TRIES) {
            op->result = -errno;
        }
    }
}

static void ring(int wake_fd)
{
    uint64_t one = 1;
    ssize_t written = write(wake_fd, &one, sizeof one);
    assert(written == (ssize_t)sizeof one || errno == EAGAIN);
    (void)written;
}

static void *work(void *context)
{
    struct engine *engine = context;
    (void)pthread_mutex_lock(&engine->lock);
    for (;;) {
        struct disk_op *op = disk_list_take(&engine->reads);
        op = op == NULL ? disk_list_take(&engine->writes) : op;
        if (op == NULL) {
            if (engine->stop) {
                break;
            }
            (void)pthread_cond_wait(&engine->work, &engine->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&engine->lock);
        carry_out(engine->fd, op);
        (void)pthread_mutex_lock(&engine->lock);
        bool first = engine->done.first == NULL;
        disk_list_put(&engine->done, op);
        if (first) {
            ring(engine->wake_fd);
        }
    }
    (void)pthread_mutex_unlock(&engine->lock);
    return NULL;
}

static void engine_close(struct disk *disk)
{
    struct engine *engine = (struct engine *)disk;
    if (engine == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&engine->lock);
    engine->stop = true;
    (void)pthread_cond_broadcast(&engine->work);
    (void)pthread_mutex_unlock(&engine->lock);
    for (uint32_t i = 0; i < engine->threads; i++) {
        (void)pthread_join(engine->thread[i], NULL);
    }
    (void)pthread_cond_destroy(&engine->work);
    (void)pthread_mutex_destroy(&engine->lock);
    free(engine);
}

static int engine_open(
    const struct disk_options *options, struct disk **out_disk, char *why, size_t why_bytes)
{
    struct engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        (void)snprintf(why, why_bytes, "no memory");
        return STATUS_NO_MEMORY;
    }
    engine->disk.ops = &disk_threads;
    engine->fd = options->fd;
    engine->wake_fd = options->wake_fd;
    disk_list_open(&engine->reads);
    disk_list_open(&engine->writes);
    disk_list_open(&engine->done);
    (void)pthread_mutex_init(&engine->lock, NULL);
    (void)pthread_cond_init(&engine->work, NULL);
    uint32_t wanted = options->depth / 2;
    wanted = wanted < THREADS_LEAST ? THREADS_LEAST : wanted;
    wanted = wanted > THREADS_MOST ? THREADS_MOST : wanted;
    while (engine->threads < wanted &&
           pthread_create(&engine->thread[engine->threads], NULL, work, engine) == 0) {
        (void)pthread_setname_np(engine->thread[engine->threads], "cistern-disk");
        engine->threads++;
    }
    if (engine->threads == 0) {
        (void)snprintf(why, why_bytes, "no thread could be started; remedy: raise ulimit -u");
        engine_close(&engine->disk);
        return STATUS_NO_MEMORY;
    }
    (void)snprintf(why, why_bytes, "%u threads with pread and pwrite", engine->threads);
    *out_disk = &engine->disk;
    return STATUS_OK;
}

static void engine_start(struct disk *disk, struct disk_op *op)
{
    struct engine *engine = (struct engine *)disk;
    disk_begin(op);
    (void)pthread_mutex_lock(&engine->lock);
    disk_list_put(op->kind == DISK_READ ? &engine->reads : &engine->writes, op);
    (void)pthread_cond_signal(&engine->work);
    (void)pthread_mutex_unlock(&engine->lock);
}

/* A thread has it already. */
static void engine_submit(struct disk *disk)
{
    (void)disk;
}

static void engine_wait(struct disk *disk, int64_t timeout_ns)
{
    struct engine *engine = (struct engine *)disk;
    struct pollfd watch = {.fd = engine->wake_fd, .events = POLLIN};
    struct timespec limit = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    if (ppoll(&watch, 1, &limit, NULL) == 1) {
        uint64_t rung;
        ssize_t got = read(engine->wake_fd, &rung, sizeof rung);
        assert(got == (ssize_t)sizeof rung || got < 0);
        (void)got;
    }
}

static struct disk_op *engine_next(struct disk *disk)
{
    struct engine *engine = (struct engine *)disk;
    (void)pthread_mutex_lock(&engine->lock);
    struct disk_op *op = disk_list_take(&engine->done);
    (void)pthread_mutex_unlock(&engine->lock);
    return op;
}

const struct disk_ops disk_threads = {
    .name = "threads",
    .open = engine_open,
    .start = engine_start,
    .submit = engine_submit,
    .wait = engine_wait,
    .next = engine_next,
    .close = engine_close,
};
