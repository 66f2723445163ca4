/* disk_uring: an engine on one ring: registered file, registered memory, no system call but the
 * one that hands over and waits. See disk.h for the rules.
 *
 * The pool is registered piece by piece, one a turn, so that a large one does not keep the first
 * load waiting; until then, and where the kernel refuses, transfers are plain ones.
 */
#include "sidecar/tier/disk.h"

#include "shm/status.h"
#include "sidecar/uring.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <stdio.h>
#include <stdlib.h>

#define PIECE_BYTES (UINT64_C(1) << 30) /* the kernel's limit of one buffer */
#define BUFFERS_MOST 16384u /* the kernel's limit of a ring */
#define STAGING_BUFFER 0u
#define POOL_BUFFER 1u

struct engine {
    struct disk disk;
    struct uring uring;
    int fd;
    int wake_fd;
    bool fixed_file;
    bool wake_armed; /* a read of wake_fd is in the ring */
    bool staging_fixed;
    uint64_t wake_value;
    char *staging;
    uint64_t staging_bytes;
    const char *pool;
    uint64_t pool_bytes;
    uint32_t pieces; /* of the pool */
    uint32_t pieces_fixed; /* registered so far, from the start of the pool */
    bool pieces_over; /* all are, or the kernel wants no more */
    struct disk_list ready; /* started, not in the ring yet */
    struct disk_list done;
};

/* Reads before writes: a client may wait for a read, nobody for a write. */
static uint16_t priority_of(const struct disk_op *op)
{
    return op->kind == DISK_READ ? IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 0)
                                 : IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 6);
}

/* Which registered buffer holds all of it? -1: none. */
static int find_buffer(const struct engine *engine, const char *data, uint64_t bytes)
{
    uintptr_t at = (uintptr_t)data;
    uintptr_t staging = (uintptr_t)engine->staging;
    if (engine->staging_fixed && at >= staging && at + bytes <= staging + engine->staging_bytes) {
        return (int)STAGING_BUFFER;
    }
    uintptr_t pool = (uintptr_t)engine->pool;
    if (at < pool || at + bytes > pool + engine->pool_bytes) {
        return -1;
    }
    uint64_t first = (at - pool) / PIECE_BYTES;
    uint64_t last = (at - pool + bytes - 1) / PIECE_BYTES;
    return first == last && last < engine->pieces_fixed ? (int)(POOL_BUFFER + first) : -1;
}

static bool submit(struct engine *engine, struct disk_op *op)
{
    if (op->kind == DISK_SYNC) {
        return uring_sync(&engine->uring, engine->fd, engine->fixed_file, op);
    }
    uint64_t left = op->bytes - op->done_bytes;
    struct uring_transfer transfer = {
        .fd = engine->fd,
        .fixed_file = engine->fixed_file,
        .write = op->kind != DISK_READ,
        .through = op->kind == DISK_WRITE_THROUGH,
        .priority = priority_of(op),
        .bytes = (uint32_t)(left < DISK_BYTES_MOST ? left : DISK_BYTES_MOST),
        .offset = op->offset + op->done_bytes,
        .data = (char *)op->data + op->done_bytes,
    };
    transfer.buffer = find_buffer(engine, transfer.data, transfer.bytes);
    return uring_transfer(&engine->uring, &transfer, op);
}

static void register_piece(struct engine *engine)
{
    uint32_t piece = engine->pieces_fixed;
    if (piece == engine->pieces) {
        engine->pieces_over = true;
        return;
    }
    uint64_t at = (uint64_t)piece * PIECE_BYTES;
    uint64_t left = engine->pool_bytes - at;
    char why[DISK_NOTE - 64];
    if (uring_register_buffer(&engine->uring, POOL_BUFFER + piece, engine->pool + at,
            left < PIECE_BYTES ? left : PIECE_BYTES, why, sizeof why) == STATUS_OK) {
        engine->pieces_fixed++;
    } else {
        engine->pieces_over = true;
        (void)snprintf(engine->disk.note, sizeof engine->disk.note,
            "pool not registered, transfers cost more: %s", why);
    }
}

static void register_staging(struct engine *engine, char *why, size_t why_bytes)
{
    char reason[DISK_NOTE];
    uint64_t pieces = (engine->pool_bytes + PIECE_BYTES - 1) / PIECE_BYTES;
    engine->pieces = pieces < BUFFERS_MOST - 1 ? (uint32_t)pieces : BUFFERS_MOST - 1;
    if (uring_reserve_buffers(&engine->uring, engine->pieces + POOL_BUFFER) != STATUS_OK) {
        engine->pieces_over = true;
        (void)snprintf(why, why_bytes, ", memory not registered (remedy: Linux 5.19 or later)");
    } else if (uring_register_buffer(&engine->uring, STAGING_BUFFER, engine->staging,
                   engine->staging_bytes, reason, sizeof reason) != STATUS_OK) {
        engine->pieces_over = true;
        (void)snprintf(why, why_bytes, ", memory not registered: %.200s", reason);
    } else {
        engine->staging_fixed = true;
        (void)snprintf(why, why_bytes, ", registered memory");
    }
}

static int engine_open(
    const struct disk_options *options, struct disk **out_disk, char *why, size_t why_bytes)
{
    struct engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        (void)snprintf(why, why_bytes, "no memory");
        return STATUS_NO_MEMORY;
    }
    *engine = (struct engine){
        .disk = {.ops = &disk_uring},
        .fd = options->fd,
        .wake_fd = options->wake_fd,
        .staging = options->staging,
        .staging_bytes = options->staging_bytes,
        .pool = options->pool,
        .pool_bytes = options->pool_bytes,
    };
    disk_list_open(&engine->ready);
    disk_list_open(&engine->done);
    char ring[DISK_NOTE];
    char memory[DISK_NOTE];
    int status = uring_open(&engine->uring, ring, sizeof ring);
    if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes, "%s", ring);
        free(engine);
        return status;
    }
    engine->fixed_file = uring_register_file(&engine->uring, options->fd) == STATUS_OK;
    register_staging(engine, memory, sizeof memory);
    (void)snprintf(why, why_bytes, "%s%s", ring, memory);
    *out_disk = &engine->disk;
    return STATUS_OK;
}

static void engine_start(struct disk *disk, struct disk_op *op)
{
    struct engine *engine = (struct engine *)disk;
    disk_begin(op);
    disk_list_put(&engine->ready, op);
}

/* The kernel answered: all, a part, or an error. */
static void settle(struct engine *engine, struct disk_op *op, int result)
{
    bool again = result == -EAGAIN || result == -EINTR;
    if (result > 0) {
        op->done_bytes += (uint64_t)result;
        op->tries = 0;
    } else if (op->kind != DISK_SYNC && result == 0) {
        op->result = -ENODATA;
    } else if (result < 0 && (!again || ++op->tries > DISK_TRIES)) {
        op->result = result;
    }
    bool whole = op->kind == DISK_SYNC ? result == 0 : op->done_bytes >= op->bytes;
    if (op->result == 0 && !whole) {
        disk_list_put(&engine->ready, op);
        return;
    }
    disk_list_put(&engine->done, op);
}

static void reap(struct engine *engine)
{
    struct uring_done done;
    while (uring_next(&engine->uring, &done)) {
        if (done.tag == engine) {
            engine->wake_armed = false;
        } else if (done.tag != NULL) {
            settle(engine, done.tag, done.result);
        }
    }
}

/* Put what was started into the ring. Returns false if the kernel takes no more now. */
static bool fill_ring(struct engine *engine)
{
    while (engine->ready.first != NULL && submit(engine, engine->ready.first)) {
        (void)disk_list_take(&engine->ready);
    }
    return engine->ready.first == NULL;
}

static void engine_submit(struct disk *disk)
{
    struct engine *engine = (struct engine *)disk;
    (void)fill_ring(engine);
    uring_submit(&engine->uring);
}

static void engine_wait(struct disk *disk, int64_t timeout_ns)
{
    struct engine *engine = (struct engine *)disk;
    if (!engine->pieces_over) {
        register_piece(engine);
        timeout_ns = 0;
    }
    if (!engine->wake_armed) {
        engine->wake_armed =
            uring_read_event(&engine->uring, engine->wake_fd, &engine->wake_value, engine);
    }
    if (!fill_ring(engine)) {
        timeout_ns = 0;
    }
    (void)uring_wait(&engine->uring, engine->done.first != NULL ? 0 : timeout_ns);
    reap(engine);
}

static struct disk_op *engine_next(struct disk *disk)
{
    return disk_list_take(&((struct engine *)disk)->done);
}

static void engine_close(struct disk *disk)
{
    struct engine *engine = (struct engine *)disk;
    if (engine != NULL) {
        uring_close(&engine->uring);
        free(engine);
    }
}

const struct disk_ops disk_uring = {
    .name = "io_uring",
    .open = engine_open,
    .start = engine_start,
    .submit = engine_submit,
    .wait = engine_wait,
    .next = engine_next,
    .close = engine_close,
};
