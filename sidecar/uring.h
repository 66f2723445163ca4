/* uring: the one place that speaks io_uring.
 *
 * A ring belongs to one thread: the one that opened it makes every call. Called by loop_uring, and
 * by tier/disk_uring for files.
 * Always: any refusal of the host is a status and a sentence, never a crash, and a tag is handed
 * back exactly once with `more` false.
 */
#ifndef CISTERN_SIDECAR_URING_H
#define CISTERN_SIDECAR_URING_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uring {
    struct io_uring ring;
    bool open;
};

/* One answer of the kernel. */
struct uring_done {
    void *tag; /* as given; NULL: of a cancel, nothing to do */
    int result; /* poll events, bytes transferred, or -errno */
    bool more; /* further answers with this tag follow by themselves */
};

/* One transfer of a file; memory and file stay the caller's until its answer. */
struct uring_transfer {
    int fd;
    bool fixed_file; /* `fd` is the file that was registered */
    bool write;
    bool through; /* a write that is answered when it is durable */
    int buffer; /* the registered buffer that holds the memory; -1: none does */
    uint16_t priority; /* as ioprio_set(2) has it; 0: the thread's own */
    uint32_t bytes;
    uint64_t offset;
    void *data;
};

/* Open a ring with the cheapest completions that the kernel has.
 * Returns 0 or STATUS_UNSUPPORTED; `why` says what was opened, or who refuses and the remedy. */
int uring_open(struct uring *out_uring, char *why, size_t why_bytes);

/* Queue "tell me when `fd` can be read or hangs up": once, or at every change. `tag` is not NULL.
 * Returns false if the kernel takes nothing at the moment. */
bool uring_poll(struct uring *uring, int fd, bool every_change, void *tag);

/* Hand over now: let go of what was queued with `tag`; its last answer says ECANCELED if it was
 * still waiting. Returns false if the kernel takes nothing at the moment. */
bool uring_cancel(struct uring *uring, void *tag);

/* Register one file, so that the kernel need not look it up for each transfer. Returns 0 or
 * STATUS_UNSUPPORTED. */
int uring_register_file(struct uring *uring, int fd);

/* Make room for `count` buffers, once. Returns 0 or STATUS_UNSUPPORTED. */
int uring_reserve_buffers(struct uring *uring, uint32_t count);

/* Pin memory of at most 1 GiB as buffer `index`: transfers in it cost less. May take milliseconds.
 * Returns 0, or STATUS_LIMIT or STATUS_UNSUPPORTED, with `why` and the remedy. */
int uring_register_buffer(struct uring *uring, uint32_t index, const void *data, size_t bytes,
    char *why, size_t why_bytes);

/* Queue a transfer. `tag` is not NULL. Returns false if the kernel takes nothing at the moment. */
bool uring_transfer(struct uring *uring, const struct uring_transfer *transfer, void *tag);

/* Queue "make what was written durable". */
bool uring_sync(struct uring *uring, int fd, bool fixed_file, void *tag);

/* Queue the read of an eventfd that blocks; the answer comes when it was rung. */
bool uring_read_event(struct uring *uring, int fd, uint64_t *out_value, void *tag);

/* Hand over what is queued, now. What the kernel does not take stays queued. */
void uring_submit(struct uring *uring);

/* Hand over what is queued, then wait for an answer: at most `timeout_ns`; 0: just look (no system
 * call if nothing was queued and nothing happened); -1: until one comes or a signal does.
 * Returns 0 or STATUS_IO. */
int uring_wait(struct uring *uring, int64_t timeout_ns);

/* Take the next answer; false: there is none. */
bool uring_next(struct uring *uring, struct uring_done *out_done);

/* Accepts a ring that is not open. */
void uring_close(struct uring *uring);

#endif
