/* reattach: see reattach.h. */
#include "libclient/reattach.h"

#include "libclient/answer.h"
#include "libclient/moment.h"
#include "libclient/why.h"
#include "shm/status.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define QUICK_NS (1000 * MOMENT_MS) /* a sidecar that died is mostly replaced in a fraction of it */
#define QUICK_STEP_NS (2 * MOMENT_MS)
#define BACKOFF_LEAST_NS (10 * MOMENT_MS)
#define BACKOFF_MOST_NS (1000 * MOMENT_MS)
#define STEP_NS (20 * MOMENT_MS)
#define LOOK_NS (50 * MOMENT_MS)

/* What the handle holds, with a user more of each. */
static struct attach_known take_known(struct cistern *handle, const struct hello *hello)
{
    bool device = (hello->flags & HELLO_DEVICE) != 0;
    struct attach_known known = {.gpu = device ? &handle->card.gpu : NULL,
        .writable = (handle->flags & CISTERN_DEVICE_READ) == 0};
    (void)pthread_mutex_lock(&handle->lock);
    known.mapping = handle->mapping;
    known.slabs = handle->slabs;
    if (known.mapping != NULL) {
        known.mapping->users++;
    }
    if (known.slabs != NULL) {
        known.slabs->users++;
    }
    (void)pthread_mutex_unlock(&handle->lock);
    return known;
}

/* Under the lock. */
static void close_attach(struct cistern *handle, struct attach *attach, bool forked)
{
    slabs_drop(&attach->slabs, &handle->aside);
    attach_close(&attach, forked);
}

/* The memory that the handle holds from now on is that of its attachment. Under the lock. */
static void hold(struct cistern *handle, struct attach *attach)
{
    mapping_drop(&handle->mapping);
    handle->mapping = attach->mapping;
    handle->mapping->users++;
    slabs_drop(&handle->slabs, &handle->aside);
    handle->slabs = attach->slabs;
    if (handle->slabs != NULL) {
        handle->slabs->users++;
    }
}

/* Make an attachment the current one. Under both locks. */
static int stand(struct cistern *handle, struct attach *attach)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
    if (epoll_ctl(handle->epoll, EPOLL_CTL_ADD, attach->socket, &event) != 0) {
        close_attach(handle, attach, false);
        return why_failed(STATUS_IO, "the sidecar's socket cannot be watched");
    }
    if (handle->refused[0] != '\0') {
        (void)snprintf(attach->device_why, sizeof attach->device_why, "%s", handle->refused);
        handle->refused[0] = '\0'; /* the next sidecar is asked again */
    }
    handle->current = attach;
    hold(handle, attach);
    /* Release: who reads the new era finds the attachment, under the lock, in any case. */
    shared32_store_release(&handle->era, shared32_load_relaxed(&handle->era) + 1);
    return STATUS_OK;
}

/* An attachment from what a welcome brought. Under `trying`. */
static int adopt(struct cistern *handle, const struct hello *hello, struct greet_gift *gift)
{
    struct attach *attach = NULL;
    bool offered = gift->welcome.device_slabs > 0;
    struct attach_known known = take_known(handle, hello);
    int status = attach_open(hello, gift, ++handle->attach_count, &known, &attach);
    (void)pthread_mutex_lock(&handle->lock);
    if (attach == NULL || attach->mapping != known.mapping) {
        mapping_drop(&known.mapping);
    }
    if (attach == NULL || attach->slabs != known.slabs) {
        slabs_drop(&known.slabs, &handle->aside);
    }
    if (attach != NULL && offered && attach->slabs == NULL) {
        /* The sidecar believes that we read its device: tell it that we do not, by attaching anew
         * (README, decision 27). */
        (void)snprintf(handle->refused, sizeof handle->refused, "%s", attach->device_why);
        close_attach(handle, attach, false);
        status = STATUS_BUSY;
    } else if (attach != NULL) {
        status = stand(handle, attach);
    }
    reattach_sweep(handle);
    (void)pthread_mutex_unlock(&handle->lock);
    card_sweep(handle);
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
    if (handle->refused[0] != '\0' || shared32_load_relaxed(&handle->card_lost) != 0) {
        hello.flags &= ~HELLO_DEVICE;
        memset(hello.device, 0, sizeof hello.device);
    }
    int status = greet_step(&handle->greet, handle->path, &hello, wait_ns, &gift);
    if (status != STATUS_OK && status != STATUS_BUSY) {
        /* Nobody is there to take the memory over: it shall not live on because of us. */
        (void)pthread_mutex_lock(&handle->lock);
        mapping_drop(&handle->mapping);
        slabs_drop(&handle->slabs, &handle->aside);
        (void)pthread_mutex_unlock(&handle->lock);
        card_sweep(handle);
    }
    return status == STATUS_OK ? adopt(handle, &hello, &gift) : status;
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

/* The current attachment is an old one from here on. Under the lock. */
static void detach(struct cistern *handle)
{
    struct attach *attach = handle->current;
    handle->current = NULL;
    shared32_store_release(&handle->era, shared32_load_relaxed(&handle->era) + 1);
    (void)epoll_ctl(handle->epoll, EPOLL_CTL_DEL, attach->socket, NULL);
    attach->next = handle->old;
    handle->old = attach;
    shared64_store_relaxed(&handle->lost_ns, moment_now_ns());
    answer_lost(handle, attach->id);
    shared64_store_relaxed(&handle->next_try_ns, 0);
}

int reattach_lost(struct cistern *handle, struct attach *attach)
{
    (void)pthread_mutex_lock(&handle->lock);
    if (handle->current == attach) {
        detach(handle);
        /* Other threads may be polling it: it is closed when the last of them has moved on. */
        (void)shutdown(attach->socket, SHUT_RDWR);
    }
    (void)pthread_mutex_unlock(&handle->lock);
    return why_failed(STATUS_NO_SERVER, "%s: the sidecar is gone", handle->path);
}

void reattach_leave(struct cistern *handle)
{
    (void)pthread_mutex_lock(&handle->lock);
    if (handle->current != NULL && handle->current->slabs != NULL) {
        detach(handle); /* its socket stays, for the goodbye when nothing of it is in use */
    }
    (void)pthread_mutex_unlock(&handle->lock);
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
        card_sweep(handle);
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
            close_attach(handle, attach, false);
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
    slabs_drop(&handle->slabs, &handle->aside);
    while (handle->old != NULL) {
        struct attach *attach = handle->old;
        handle->old = attach->next;
        remember(handle, attach);
        close_attach(handle, attach, forked);
    }
    if (!forked) {
        tell_formers(handle); /* before the goodbye: it is heard in this order */
    }
    if (handle->current != NULL) {
        close_attach(handle, handle->current, forked);
        handle->current = NULL;
    }
}
