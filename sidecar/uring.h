/* uring: the one place that speaks io_uring.
 *
 * A ring belongs to one thread: the one that opened it makes every call. Called by loop_uring.
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
    int result; /* poll events, or -errno */
    bool more; /* further answers with this tag follow by themselves */
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

/* Hand over what is queued, then wait for an answer: at most `timeout_ns`; 0: just look (no system
 * call if nothing was queued and nothing happened); -1: until one comes or a signal does.
 * Returns 0 or STATUS_IO. */
int uring_wait(struct uring *uring, int64_t timeout_ns);

/* Take the next answer; false: there is none. */
bool uring_next(struct uring *uring, struct uring_done *out_done);

/* Accepts a ring that is not open. */
void uring_close(struct uring *uring);

#endif
