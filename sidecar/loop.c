/* loop: chooses a backend, keeps the watches. See loop.h for the rules. */
#include "sidecar/loop.h"

#include "shm/status.h"
#include "sidecar/loop_backend.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

static int open_backend(
    struct loop *loop, const struct loop_backend *backend, char *why, size_t why_bytes)
{
    loop->backend = backend;
    int status = backend->open(loop, why, why_bytes);
    if (status != STATUS_OK) {
        backend->close(loop);
    }
    return status;
}

int loop_open(struct loop **out_loop, enum loop_choice choice, char *why, size_t why_bytes)
{
    assert(why_bytes > 0);
    why[0] = '\0';
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL) {
        return STATUS_NO_MEMORY;
    }
    if (choice == LOOP_EPOLL) {
        (void)snprintf(why, why_bytes, "epoll, as asked");
    } else {
        char refusal[256] = "";
        if (open_backend(loop, &loop_uring, refusal, sizeof refusal) == STATUS_OK) {
            (void)snprintf(why, why_bytes, "%s", refusal);
            *out_loop = loop;
            return STATUS_OK;
        }
        (void)snprintf(why, why_bytes, "epoll, because io_uring is refused: %s", refusal);
    }
    int status = open_backend(loop, &loop_epoll, why, why_bytes);
    if (status != STATUS_OK) {
        free(loop);
        return status;
    }
    *out_loop = loop;
    return STATUS_OK;
}

const char *loop_name(const struct loop *loop)
{
    return loop->backend->name;
}

static void unlink_watch(struct loop *loop, struct loop_watch *watch)
{
    if (watch->previous != NULL) {
        watch->previous->next = watch->next;
    } else {
        loop->watches = watch->next;
    }
    if (watch->next != NULL) {
        watch->next->previous = watch->previous;
    }
}

int loop_watch(struct loop *loop, int fd, enum loop_kind kind, loop_callback *callback,
    void *context, struct loop_watch **out_watch)
{
    assert(fd >= 0 && callback != NULL);
    struct loop_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        return STATUS_NO_MEMORY;
    }
    *watch = (struct loop_watch){
        .callback = callback, .context = context, .fd = fd, .kind = kind, .next = loop->watches};
    int status = loop->backend->watch(loop, watch);
    if (status != STATUS_OK) {
        free(watch);
        return status;
    }
    if (watch->next != NULL) {
        watch->next->previous = watch;
    }
    loop->watches = watch;
    *out_watch = watch;
    return STATUS_OK;
}

void loop_unwatch(struct loop *loop, struct loop_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    assert(!watch->dead);
    watch->dead = true;
    loop->dead++;
    loop->backend->unwatch(loop, watch);
}

int loop_report(struct loop_watch *watch, uint32_t poll_events)
{
    uint32_t what = 0;
    what |= (poll_events & POLLIN) != 0 ? LOOP_READABLE : 0;
    what |= (poll_events & (POLLHUP | POLLRDHUP)) != 0 ? LOOP_HANGUP : 0;
    what |= (poll_events & (POLLERR | POLLNVAL)) != 0 ? LOOP_BROKEN : 0;
    if (watch->dead || what == 0) {
        return 0;
    }
    watch->callback(watch->context, what);
    return 1;
}

/* Free the dead watches of which the kernel will say nothing more. */
static void reap(struct loop *loop)
{
    struct loop_watch *next = NULL;
    for (struct loop_watch *watch = loop->watches; watch != NULL && loop->dead > 0; watch = next) {
        next = watch->next;
        if (watch->dead && !watch->armed) {
            unlink_watch(loop, watch);
            free(watch);
            loop->dead--;
        }
    }
}

int loop_turn(struct loop *loop, int64_t timeout_ns)
{
    assert(timeout_ns >= -1);
    int called = loop->backend->turn(loop, timeout_ns);
    if (loop->dead > 0) {
        reap(loop);
    }
    return called;
}

void loop_close(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    loop->backend->close(loop);
    struct loop_watch *next = NULL;
    for (struct loop_watch *watch = loop->watches; watch != NULL; watch = next) {
        next = watch->next;
        free(watch);
    }
    free(loop);
}
