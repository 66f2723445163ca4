/* loop_uring: the event loop on io_uring. Called by loop.c alone.
 *
 * A level watch is a poll that fires once and is queued again after its callback; queueing looks at
 * the descriptor anew, which makes it level. An edge watch is one poll that repeats: a bell costs
 * one answer a ring, and no system call but the wait itself.
 */
#include "sidecar/loop_backend.h"

#include "shm/status.h"
#include "sidecar/uring.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

struct state {
    struct uring uring;
    bool owed; /* some watch could not be queued or cancelled: try again in the next turn */
};

static int loop_uring_open(struct loop *loop, char *why, size_t why_bytes)
{
    struct state *state = calloc(1, sizeof *state);
    if (state == NULL) {
        return STATUS_NO_MEMORY;
    }
    loop->backend_state = state;
    return uring_open(&state->uring, why, why_bytes);
}

static void arm(struct state *state, struct loop_watch *watch)
{
    assert(!watch->armed && !watch->dead);
    watch->armed = uring_poll(&state->uring, watch->fd, watch->kind == LOOP_EDGE, watch);
    if (!watch->armed) {
        state->owed = true;
    }
}

static int loop_uring_watch(struct loop *loop, struct loop_watch *watch)
{
    arm(loop->backend_state, watch);
    return watch->armed ? STATUS_OK : STATUS_NO_MEMORY;
}

static void cancel(struct state *state, struct loop_watch *watch)
{
    watch->cancelled = uring_cancel(&state->uring, watch);
    if (!watch->cancelled) {
        state->owed = true;
    }
}

static void loop_uring_unwatch(struct loop *loop, struct loop_watch *watch)
{
    if (watch->armed) {
        cancel(loop->backend_state, watch);
    }
}

/* What the kernel did not take when it should have. */
static void pay(struct loop *loop)
{
    struct state *state = loop->backend_state;
    state->owed = false;
    for (struct loop_watch *watch = loop->watches; watch != NULL; watch = watch->next) {
        if (!watch->dead && !watch->armed) {
            arm(state, watch);
        } else if (watch->dead && watch->armed && !watch->cancelled) {
            cancel(state, watch);
        }
    }
}

static int handle(struct state *state, const struct uring_done *done)
{
    struct loop_watch *watch = done->tag;
    if (watch == NULL) {
        return 0;
    }
    watch->armed = done->more;
    int called = 0;
    if (done->result >= 0) {
        called = loop_report(watch, (uint32_t)done->result);
    } else if (done->result != -ECANCELED) {
        called = loop_report(watch, POLLERR);
        /* A descriptor that cannot be polled will not be better in the next turn. */
        return called;
    }
    if (!watch->dead && !watch->armed) {
        arm(state, watch);
    }
    return called;
}

static int loop_uring_turn(struct loop *loop, int64_t timeout_ns)
{
    struct state *state = loop->backend_state;
    if (state->owed) {
        pay(loop);
    }
    int status = uring_wait(&state->uring, timeout_ns);
    if (status != STATUS_OK) {
        return status;
    }
    int called = 0;
    struct uring_done done;
    for (uint32_t i = 0; i < LOOP_BATCH && uring_next(&state->uring, &done); i++) {
        called += handle(state, &done);
    }
    return called;
}

static void loop_uring_close(struct loop *loop)
{
    struct state *state = loop->backend_state;
    if (state != NULL) {
        uring_close(&state->uring);
        free(state);
        loop->backend_state = NULL;
    }
}

const struct loop_backend loop_uring = {
    .name = "io_uring",
    .open = loop_uring_open,
    .watch = loop_uring_watch,
    .unwatch = loop_uring_unwatch,
    .turn = loop_uring_turn,
    .close = loop_uring_close,
};
