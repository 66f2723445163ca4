/* reattach: see reattach.h. */
#include "libclient/reattach.h"

#include "libclient/answer.h"
#include "libclient/moment.h"
#include "libclient/why.h"
#include "shm/status.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define BACKOFF_LEAST_NS (10 * MOMENT_MS)
#define BACKOFF_MOST_NS (1000 * MOMENT_MS)
#define STEP_NS (20 * MOMENT_MS)
#define LOOK_NS (50 * MOMENT_MS)

/* Make an attachment the current one. Under `trying`. */
static int adopt(struct cistern *handle, struct greet_gift *gift)
{
    (void)pthread_mutex_lock(&handle->lock);
    uint32_t id = ++handle->attach_count;
    (void)pthread_mutex_unlock(&handle->lock);
    struct attach *attach = NULL;
    int status = attach_open(&handle->hello, gift, id, &attach);
    if (status != STATUS_OK) {
        return status;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
    (void)pthread_mutex_lock(&handle->lock);
    if (epoll_ctl(handle->epoll, EPOLL_CTL_ADD, attach->socket, &event) != 0) {
        status = why_failed(STATUS_IO, "the sidecar's socket cannot be watched");
        attach_close(&attach, false);
    } else {
        handle->current = attach;
        /* Release: who reads the new era finds the attachment, under the lock, in any case. */
        shared32_store_release(&handle->era, shared32_load_relaxed(&handle->era) + 1);
    }
    reattach_sweep(handle);
    (void)pthread_mutex_unlock(&handle->lock);
    return status;
}

/* One step towards an attachment, `wait_ns` at most. Under `trying`. */
static int step(struct cistern *handle, uint64_t wait_ns)
{
    struct greet_gift gift;
    int status = greet_step(&handle->greet, handle->path, &handle->hello, wait_ns, &gift);
    return status == STATUS_OK ? adopt(handle, &gift) : status;
}

int reattach_first(struct cistern *handle, uint64_t deadline_ns)
{
    (void)pthread_mutex_lock(&handle->trying);
    int status;
    do {
        status = step(handle, STEP_NS);
        if (status == STATUS_BUSY && handle->greet.socket < 0) {
            (void)poll(NULL, 0, 1); /* its queue of new clients is full */
        }
    } while (status == STATUS_BUSY && moment_now_ns() < deadline_ns);
    if (status == STATUS_BUSY) {
        status =
            why_failed(STATUS_NO_SERVER, "%s: the sidecar did not answer in time", handle->path);
    }
    (void)pthread_mutex_unlock(&handle->trying);
    return status;
}

int reattach_try(struct cistern *handle)
{
    if (moment_now_ns() < shared64_load_relaxed(&handle->next_try_ns)) {
        return why_failed(STATUS_NO_SERVER, "%s: the sidecar is gone", handle->path);
    }
    if (pthread_mutex_trylock(&handle->trying) != 0) {
        return why_failed(STATUS_NO_SERVER, "%s: another thread attaches again", handle->path);
    }
    int status = STATUS_OK;
    if ((shared32_load_relaxed(&handle->era) & 1) == 0) {
        status = step(handle, STEP_NS);
        if (status == STATUS_OK) {
            handle->backoff_ns = 0;
            shared64_store_relaxed(
                &handle->reattaches, shared64_load_relaxed(&handle->reattaches) + 1);
        } else {
            uint64_t longer = handle->backoff_ns * 2;
            longer = longer < BACKOFF_LEAST_NS ? BACKOFF_LEAST_NS : longer;
            handle->backoff_ns = longer > BACKOFF_MOST_NS ? BACKOFF_MOST_NS : longer;
            shared64_store_relaxed(&handle->next_try_ns, moment_now_ns() + handle->backoff_ns);
        }
    }
    if (status == STATUS_BUSY) {
        (void)why_failed(status, "%s: the sidecar did not answer yet", handle->path);
    }
    (void)pthread_mutex_unlock(&handle->trying);
    return status == STATUS_OK ? STATUS_OK : STATUS_NO_SERVER;
}

int reattach_lost(struct cistern *handle, struct attach *attach)
{
    (void)pthread_mutex_lock(&handle->lock);
    if (handle->current == attach) {
        handle->current = NULL;
        shared32_store_release(&handle->era, shared32_load_relaxed(&handle->era) + 1);
        (void)epoll_ctl(handle->epoll, EPOLL_CTL_DEL, attach->socket, NULL);
        /* Other threads may be polling it: it is closed when the last of them has moved on. */
        (void)shutdown(attach->socket, SHUT_RDWR);
        attach->next = handle->old;
        handle->old = attach;
        answer_lost(handle, attach->id);
        shared64_store_relaxed(&handle->next_try_ns, 0);
    }
    (void)pthread_mutex_unlock(&handle->lock);
    return why_failed(STATUS_NO_SERVER, "%s: the sidecar is gone", handle->path);
}

int reattach_look(struct cistern *handle, struct attach *attach)
{
    struct pollfd look = {.fd = attach->socket, .events = POLLRDHUP};
    bool gone = shared64_load_relaxed(&attach->index.header->epoch) != attach->epoch;
    /* poll(), not a peek: unread bytes would hide the hang-up behind them. */
    gone = gone || (poll(&look, 1, 0) > 0 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0);
    return gone ? reattach_lost(handle, attach) : STATUS_OK;
}

void reattach_glance(struct cistern *handle, struct attach *attach)
{
    uint64_t now = moment_coarse_ns();
    if (now >= shared64_load_relaxed(&handle->next_look_ns)) {
        shared64_store_relaxed(&handle->next_look_ns, now + LOOK_NS);
        (void)reattach_look(handle, attach);
    }
}

void reattach_sweep(struct cistern *handle)
{
    struct attach **link = &handle->old;
    while (*link != NULL) {
        struct attach *attach = *link;
        if (attach_is_idle(attach)) {
            *link = attach->next;
            attach_close(&attach, false);
        } else {
            link = &attach->next;
        }
    }
}

struct attach *reattach_find(struct cistern *handle, uint32_t id)
{
    if (handle->current != NULL && handle->current->id == id) {
        return handle->current;
    }
    struct attach *attach = handle->old;
    while (attach != NULL && attach->id != id) {
        attach = attach->next;
    }
    return attach;
}

void reattach_close(struct cistern *handle, bool forked)
{
    greet_close(&handle->greet);
    attach_close(&handle->current, forked);
    while (handle->old != NULL) {
        struct attach *attach = handle->old;
        handle->old = attach->next;
        attach_close(&attach, forked);
    }
}
