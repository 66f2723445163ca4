/* loop_backend: what a backend of the event loop implements. For loop.c and loop_*.c alone.
 *
 *   loop_watch() ──▶ backend->watch          a watch is in loop->watches until it is freed
 *   loop_turn()  ──▶ backend->turn ──▶ loop_report() for each event ──▶ the callback
 *   loop_unwatch() ──▶ backend->unwatch      the watch is dead: it reports nothing any more, and is
 *                                            freed at the end of a turn, once not `armed`
 */
#ifndef CISTERN_SIDECAR_LOOP_BACKEND_H
#define CISTERN_SIDECAR_LOOP_BACKEND_H

#include "sidecar/loop.h"

#include <stdbool.h>

#define LOOP_BATCH 64u /* events a turn reports at most; the rest waits for the next turn */

/* Owned by the loop. `dead` never becomes false again. */
struct loop_watch {
    struct loop_watch *next;
    struct loop_watch *previous;
    loop_callback *callback;
    void *context;
    int fd;
    enum loop_kind kind;
    bool dead;
    bool armed; /* io_uring: a poll of it is in the kernel, which knows it by this address */
    bool cancelled; /* io_uring: the kernel was asked to let go */
};

struct loop_backend {
    const char *name;

    /* Make the backend's part and store it in loop->backend_state. Called once, on the loop's
     * thread. Returns 0, STATUS_UNSUPPORTED (refused: `why` says by whom, and the remedy),
     * STATUS_NO_MEMORY or STATUS_IO. Required. */
    int (*open)(struct loop *loop, char *why, size_t why_bytes);

    /* Begin to report. Does not block. Returns 0, STATUS_IO or STATUS_NO_MEMORY. Required. */
    int (*watch)(struct loop *loop, struct loop_watch *watch);

    /* The watch died: let go of its descriptor. May run inside turn(). Does not block, cannot fail.
     * Required. */
    void (*unwatch)(struct loop *loop, struct loop_watch *watch);

    /* Wait, then call loop_report() for at most LOOP_BATCH events. The only operation that blocks.
     * Returns how many callbacks ran, or STATUS_IO. Required. */
    int (*turn)(struct loop *loop, int64_t timeout_ns);

    /* Undo open(). Accepts a half-made backend. Required. */
    void (*close)(struct loop *loop);
};

struct loop {
    const struct loop_backend *backend;
    void *backend_state;
    struct loop_watch *watches; /* alive, or dead and not yet freed */
    uint32_t dead; /* of those */
};

extern const struct loop_backend loop_epoll;
extern const struct loop_backend loop_uring;

/* Tell the owner of the watch, unless it is dead. `poll_events` are POLLIN and the like. Returns
 * how many callbacks ran: 0 or 1. */
int loop_report(struct loop_watch *watch, uint32_t poll_events);

#endif
