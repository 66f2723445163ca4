/* loop_epoll: the event loop on epoll: the plain one, always there. Called by loop.c alone. */
#include "sidecar/loop_backend.h"

#include "shm/status.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

struct state {
    int fd;
    bool coarse; /* the kernel has no epoll_pwait2: milliseconds must do */
};

static_assert(EPOLLIN == POLLIN && EPOLLHUP == POLLHUP && EPOLLERR == POLLERR,
    "epoll and poll name their events alike");

static int loop_epoll_open(struct loop *loop, char *why, size_t why_bytes)
{
    struct state *state = calloc(1, sizeof *state);
    if (state == NULL) {
        return STATUS_NO_MEMORY;
    }
    loop->backend_state = state;
    state->fd = epoll_create1(EPOLL_CLOEXEC);
    if (state->fd < 0) {
        (void)snprintf(why, why_bytes, "epoll_create1: %s", strerror(errno));
        return STATUS_IO;
    }
    return STATUS_OK;
}

static int loop_epoll_watch(struct loop *loop, struct loop_watch *watch)
{
    const struct state *state = loop->backend_state;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = watch};
    if (watch->kind == LOOP_EDGE) {
        event.events |= EPOLLET;
    }
    if (epoll_ctl(state->fd, EPOLL_CTL_ADD, watch->fd, &event) != 0) {
        return errno == ENOMEM || errno == ENOSPC ? STATUS_NO_MEMORY : STATUS_IO;
    }
    return STATUS_OK;
}

static void loop_epoll_unwatch(struct loop *loop, struct loop_watch *watch)
{
    const struct state *state = loop->backend_state;
    (void)epoll_ctl(state->fd, EPOLL_CTL_DEL, watch->fd, NULL);
}

static int wait_events(struct state *state, struct epoll_event *events, int64_t timeout_ns)
{
    if (timeout_ns > 0 && !state->coarse) {
        struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000),
            .tv_nsec = (long)(timeout_ns % 1000000000)};
        int count = epoll_pwait2(state->fd, events, LOOP_BATCH, &timeout, NULL);
        /* EPERM: a seccomp filter older than the call. */
        if (count >= 0 || (errno != ENOSYS && errno != EPERM)) {
            return count;
        }
        state->coarse = true;
    }
    int64_t milliseconds = timeout_ns < 0 ? -1 : (timeout_ns + 999999) / 1000000;
    return epoll_wait(
        state->fd, events, LOOP_BATCH, milliseconds > INT32_MAX ? INT32_MAX : (int)milliseconds);
}

static int loop_epoll_turn(struct loop *loop, int64_t timeout_ns)
{
    struct epoll_event events[LOOP_BATCH];
    int count = wait_events(loop->backend_state, events, timeout_ns);
    if (count < 0) {
        return errno == EINTR ? 0 : STATUS_IO;
    }
    int called = 0;
    for (int i = 0; i < count; i++) {
        called += loop_report(events[i].data.ptr, events[i].events);
    }
    return called;
}

static void loop_epoll_close(struct loop *loop)
{
    struct state *state = loop->backend_state;
    if (state != NULL) {
        if (state->fd >= 0) {
            (void)close(state->fd);
        }
        free(state);
        loop->backend_state = NULL;
    }
}

const struct loop_backend loop_epoll = {
    .name = "epoll",
    .open = loop_epoll_open,
    .watch = loop_epoll_watch,
    .unwatch = loop_epoll_unwatch,
    .turn = loop_epoll_turn,
    .close = loop_epoll_close,
};
