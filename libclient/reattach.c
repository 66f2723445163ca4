/* reattach: see reattach.h. */
#include "libclient/reattach.h"

#include "libclient/answer.h"
#include "libclient/moment.h"
#include "libclient/why.h"
#include "shm/status.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define QUICK_NS (1000 * MOMENT_MS) /* a sidecar that died is mostly replaced in a fraction of it */
#define QUICK_STEP_NS (2 * MOMENT_MS)
#define BACKOFF_LEAST_NS (10 * MOMENT_MS)
#define BACKOFF_MOST_NS (1000 * MOMENT_MS)
#define STEP_NS (20 * MOMENT_MS)
#define LOOK_NS (50 * MOMENT_MS)

/* Make an attachment the current one. Under `trying`. */
static int adopt(struct cistern *handle, struct greet_gift *gift)
{
    (void)pthread_mutex_lock(&handle->lock);
    uint32_t id = ++handle->attach_count;
    struct mapping *known = handle->mapping;
    if (known != NULL) {
        known->users++;
    }
    (void)pthread_mutex_unlock(&handle->lock);
    struct attach *attach = NULL;
    int status = attach_open(&handle->hello, gift, id, known, &attach);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
    (void)pthread_mutex_lock(&handle->lock);
    if (attach == NULL || attach->mapping != known) {
        mapping_drop(&known);
    }
    if (attach == NULL) {
        (void)pthread_mutex_unlock(&handle->lock);
        return status;
    }
    if (epoll_ctl(handle->epoll, EPOLL_CTL_ADD, attach->socket, &event) != 0) {
        status = why_failed(STATUS_IO, "the sidecar's socket cannot be watched");
        attach_close(&attach, false);
    } else {
        handle->current = attach;
        mapping_drop(&handle->mapping);
        handle->mapping = attach->mapping;
        handle->mapping->users++;
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
    struct hello hello = handle->hello;
    (void)pthread_mutex_lock(&handle->lock);
    if (handle->former_count > 0) {
        /* In the hello itself, so that what the old lane was promised can be promised to us. */
        hello.former = handle->formers[0].session;
        hello.former_epoch = handle->formers[0].epoch;
    }
    (void)pthread_mutex_unlock(&handle->lock);
    int status = greet_step(&handle->greet, handle->path, &hello, wait_ns, &gift);
    if (status != STATUS_OK && status != STATUS_BUSY) {
        /* Nobody is there to take the memory over: it shall not live on because of us. */
        (void)pthread_mutex_lock(&handle->lock);
        mapping_drop(&handle->mapping);
        (void)pthread_mutex_unlock(&handle->lock);
    }
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

/* How long to wait until the next try, and in it. Under `trying`. */
static uint64_t next_backoff(const struct cistern *handle, uint64_t now)
{
    if (now - shared64_load_relaxed(&handle->lost_ns) < QUICK_NS) {
        return QUICK_STEP_NS;
    }
    uint64_t longer = handle->backoff_ns * 2;
    longer = longer < BACKOFF_LEAST_NS ? BACKOFF_LEAST_NS : longer;
    return longer > BACKOFF_MOST_NS ? BACKOFF_MOST_NS : longer;
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
        uint64_t patience = handle->backoff_ns < STEP_NS ? handle->backoff_ns : STEP_NS;
        status = step(handle, patience < QUICK_STEP_NS ? QUICK_STEP_NS : patience);
        if (status == STATUS_OK) {
            handle->backoff_ns = 0;
            shared64_store_relaxed(
                &handle->reattaches, shared64_load_relaxed(&handle->reattaches) + 1);
        } else {
            uint64_t now = moment_now_ns();
            handle->backoff_ns = next_backoff(handle, now);
            shared64_store_relaxed(&handle->next_try_ns, now + handle->backoff_ns);
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
        shared64_store_relaxed(&handle->lost_ns, moment_now_ns());
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

/* What of it is not in use any more may be told to the next sidecar. */
static void remember(struct cistern *handle, const struct attach *attach)
{
    if (handle->former_count < CORE_FORMERS_MAX) {
        handle->formers[handle->former_count++] =
            (struct core_former){.epoch = attach->epoch, .session = attach->session};
    }
}

/* A sidecar that took the memory over holds our old lanes for us, until it hears this. */
static void tell_formers(struct cistern *handle)
{
    while (handle->current != NULL && handle->former_count > 0) {
        const struct core_former *former = &handle->formers[handle->former_count - 1];
        struct hello hello = {.magic = HELLO_MAGIC,
            .abi = LAYOUT_ABI,
            .kind = HELLO_FORMER,
            .former = former->session,
            .former_epoch = former->epoch};
        if (hello_send(handle->current->socket, &hello, sizeof hello, NULL, 0) != STATUS_OK) {
            return; /* at the next sweep */
        }
        handle->former_count--;
    }
}

void reattach_sweep(struct cistern *handle)
{
    struct attach **link = &handle->old;
    while (*link != NULL) {
        struct attach *attach = *link;
        if (attach_is_idle(attach)) {
            *link = attach->next;
            remember(handle, attach);
            attach_close(&attach, false);
        } else {
            link = &attach->next;
        }
    }
    tell_formers(handle);
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
    mapping_drop(&handle->mapping);
    while (handle->old != NULL) {
        struct attach *attach = handle->old;
        handle->old = attach->next;
        remember(handle, attach);
        attach_close(&attach, forked);
    }
    if (!forked) {
        tell_formers(handle); /* before the goodbye: it is heard in this order */
    }
    attach_close(&handle->current, forked);
}
