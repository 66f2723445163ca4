/* uring: opens, feeds and empties a ring. See uring.h for the rules. */
#include "sidecar/uring.h"

#include "shm/status.h"
#include "sidecar/host.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#define ENTRIES 256u
#define ANSWERS 8192u /* more than a server has watches; beyond it the kernel keeps a backlog */

/* The cheapest first. With DEFER_TASKRUN an answer is made when we ask for it, instead of by an
 * interrupt, and a flag in shared memory says whether asking is worth a system call. */
static const struct {
    unsigned flags;
    const char *name;
} ways[] = {
    {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        "deferred completions"},
    {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, "cooperative completions"},
    {0, "plain completions"},
};

static void word_refusal(int error, char *why, size_t why_bytes)
{
    int disabled = host_io_uring_disabled("");
    if (error == EPERM && disabled > 0) {
        (void)snprintf(why, why_bytes,
            "kernel.io_uring_disabled is %d; remedy: sysctl kernel.io_uring_disabled=0%s", disabled,
            disabled == 1 ? ", or join the group of kernel.io_uring_group" : "");
    } else if (error == EPERM || error == EACCES) {
        (void)snprintf(why, why_bytes,
            "%s, by a seccomp filter or security module; remedy: allow io_uring_setup, "
            "io_uring_enter and io_uring_register in the container's seccomp profile",
            strerror(error));
    } else if (error == ENOSYS) {
        (void)snprintf(why, why_bytes,
            "the kernel, or a seccomp filter, has no io_uring; remedy: Linux 5.13 or later, and a "
            "seccomp profile that allows it");
    } else if (error == ENOMEM) {
        (void)snprintf(
            why, why_bytes, "no memory for the ring; remedy: raise the memlock limit (ulimit -l)");
    } else {
        (void)snprintf(why, why_bytes, "%s", strerror(error));
    }
}

/* A filter may allow the set-up and refuse the use: ask once. Returns 0 or -errno. */
static int try_ring(struct uring *uring)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);
    assert(entry != NULL);
    io_uring_prep_nop(entry);
    io_uring_sqe_set_data(entry, NULL);
    int result = io_uring_submit_and_wait(&uring->ring, 1);
    struct uring_done done;
    if (result >= 0 && !uring_next(uring, &done)) {
        return -EIO;
    }
    return result < 0 ? result : done.result;
}

int uring_open(struct uring *out_uring, char *why, size_t why_bytes)
{
    assert(why_bytes > 0);
    struct uring uring = {.open = false};
    int result = -EINVAL;
    size_t way = 0;
    for (; way < sizeof ways / sizeof ways[0]; way++) {
        struct io_uring_params wish = {
            .flags = ways[way].flags | IORING_SETUP_CQSIZE, .cq_entries = ANSWERS};
        result = io_uring_queue_init_params(ENTRIES, &uring.ring, &wish);
        if (result != -EINVAL) {
            break;
        }
    }
    if (result < 0) {
        word_refusal(-result, why, why_bytes);
        return STATUS_UNSUPPORTED;
    }
    uring.open = true;
    /* Waits with a timeout came with 5.11; polls that repeat came with resource tags in 5.13. */
    unsigned needed = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_RSRC_TAGS;
    if ((uring.ring.features & needed) != needed) {
        (void)snprintf(why, why_bytes, "the kernel is too old; remedy: Linux 5.13 or later");
        result = -EINVAL;
    } else if ((result = try_ring(&uring)) < 0) {
        word_refusal(-result, why, why_bytes);
    }
    if (result < 0) {
        uring_close(&uring);
        return STATUS_UNSUPPORTED;
    }
    (void)snprintf(why, why_bytes, "io_uring, with %s", ways[way].name);
    *out_uring = uring;
    return STATUS_OK;
}

static struct io_uring_sqe *take_entry(struct uring *uring)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);
    if (entry == NULL && io_uring_submit(&uring->ring) > 0) {
        entry = io_uring_get_sqe(&uring->ring);
    }
    return entry;
}

bool uring_poll(struct uring *uring, int fd, bool every_change, void *tag)
{
    assert(tag != NULL);
    struct io_uring_sqe *entry = take_entry(uring);
    if (entry == NULL) {
        return false;
    }
    if (every_change) {
        io_uring_prep_poll_multishot(entry, fd, POLLIN | POLLRDHUP);
    } else {
        io_uring_prep_poll_add(entry, fd, POLLIN | POLLRDHUP);
    }
    io_uring_sqe_set_data(entry, tag);
    return true;
}

bool uring_cancel(struct uring *uring, void *tag)
{
    struct io_uring_sqe *entry = take_entry(uring);
    if (entry == NULL) {
        return false;
    }
    io_uring_prep_poll_remove(entry, (uint64_t)(uintptr_t)tag);
    io_uring_sqe_set_data(entry, NULL);
    /* Now, because the poll holds the file: its peer would wait for the hang-up until our next
     * turn. If it fails the entry stays queued and goes with the next one. */
    (void)io_uring_submit(&uring->ring);
    return true;
}

int uring_register_file(struct uring *uring, int fd)
{
    return io_uring_register_files(&uring->ring, &fd, 1) == 0 ? STATUS_OK : STATUS_UNSUPPORTED;
}

int uring_reserve_buffers(struct uring *uring, uint32_t count)
{
    return io_uring_register_buffers_sparse(&uring->ring, count) == 0 ? STATUS_OK
                                                                      : STATUS_UNSUPPORTED;
}

int uring_register_buffer(struct uring *uring, uint32_t index, const void *data, size_t bytes,
    char *why, size_t why_bytes)
{
    union { /* the kernel writes there if a transfer asks it to, else it only reads */
        const void *given;
        void *taken;
    } address = {.given = data};
    struct iovec memory = {.iov_base = address.taken, .iov_len = bytes};
    __u64 tag = 0;
    int result = io_uring_register_buffers_update_tag(&uring->ring, index, &memory, &tag, 1);
    if (result == 1) {
        return STATUS_OK;
    }
    if (result == -ENOMEM) {
        (void)snprintf(why, why_bytes,
            "the memlock limit does not allow to pin %zu MiB more; remedy: ulimit -l unlimited, "
            "LimitMEMLOCK=infinity in the unit, or CAP_IPC_LOCK",
            bytes >> 20);
        return STATUS_LIMIT;
    }
    (void)snprintf(why, why_bytes, "%s; remedy: Linux 5.19 or later, and memory of a memfd",
        result < 0 ? strerror(-result) : "the kernel took no buffer");
    return STATUS_UNSUPPORTED;
}

bool uring_transfer(struct uring *uring, const struct uring_transfer *transfer, void *tag)
{
    assert(tag != NULL);
    struct io_uring_sqe *entry = take_entry(uring);
    if (entry == NULL) {
        return false;
    }
    int fd = transfer->fixed_file ? 0 : transfer->fd;
    bool fixed = transfer->buffer >= 0;
    int code = transfer->write ? (fixed ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE)
                               : (fixed ? IORING_OP_READ_FIXED : IORING_OP_READ);
    io_uring_prep_rw(code, entry, fd, transfer->data, transfer->bytes, transfer->offset);
    if (fixed) {
        entry->buf_index = (uint16_t)transfer->buffer;
    }
    if (transfer->through) {
        entry->rw_flags = RWF_DSYNC;
    }
    entry->ioprio = transfer->priority;
    io_uring_sqe_set_flags(entry, transfer->fixed_file ? IOSQE_FIXED_FILE : 0);
    io_uring_sqe_set_data(entry, tag);
    return true;
}

bool uring_sync(struct uring *uring, int fd, bool fixed_file, void *tag)
{
    struct io_uring_sqe *entry = take_entry(uring);
    if (entry == NULL) {
        return false;
    }
    io_uring_prep_fsync(entry, fixed_file ? 0 : fd, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_flags(entry, fixed_file ? IOSQE_FIXED_FILE : 0);
    io_uring_sqe_set_data(entry, tag);
    return true;
}

bool uring_read_event(struct uring *uring, int fd, uint64_t *out_value, void *tag)
{
    struct io_uring_sqe *entry = take_entry(uring);
    if (entry == NULL) {
        return false;
    }
    io_uring_prep_read(entry, fd, out_value, sizeof *out_value, 0);
    io_uring_sqe_set_data(entry, tag);
    return true;
}

void uring_submit(struct uring *uring)
{
    (void)io_uring_submit(&uring->ring);
}

int uring_wait(struct uring *uring, int64_t timeout_ns)
{
    struct io_uring *ring = &uring->ring;
    int result = 0;
    bool ready = io_uring_cq_ready(ring) > 0;
    if (timeout_ns == 0 || ready) {
        if (io_uring_sq_ready(ring) > 0) {
            result = io_uring_submit_and_get_events(ring);
        } else if ((IO_URING_READ_ONCE(*ring->sq.kflags) &
                       (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0) {
            result = io_uring_get_events(ring);
        }
    } else {
        struct io_uring_cqe *first = NULL;
        struct __kernel_timespec limit = {
            .tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
        result =
            io_uring_submit_and_wait_timeout(ring, &first, 1, timeout_ns < 0 ? NULL : &limit, NULL);
    }
    /* EBUSY: more answers than fit, take some first. EAGAIN: no memory for the request now. */
    bool passing = result == -ETIME || result == -EINTR || result == -EBUSY || result == -EAGAIN;
    return result >= 0 || passing ? STATUS_OK : STATUS_IO;
}

bool uring_next(struct uring *uring, struct uring_done *out_done)
{
    struct io_uring_cqe *answer = NULL;
    if (io_uring_peek_batch_cqe(&uring->ring, &answer, 1) == 0) {
        return false;
    }
    *out_done = (struct uring_done){
        .tag = io_uring_cqe_get_data(answer),
        .result = answer->res,
        .more = (answer->flags & IORING_CQE_F_MORE) != 0,
    };
    io_uring_cqe_seen(&uring->ring, answer);
    return true;
}

void uring_close(struct uring *uring)
{
    if (uring->open) {
        io_uring_queue_exit(&uring->ring);
        uring->open = false;
    }
}
