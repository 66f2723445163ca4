/* answer: see answer.h. A table of CORE_WAITS_MAX entries: small enough to be searched. */
#include "libclient/answer.h"

#include "libclient/why.h"
#include "shm/bell.h"
#include "shm/status.h"

#include <stdlib.h>
#include <unistd.h>

static struct core_wait *find(struct cistern *handle, uint64_t number)
{
    for (uint32_t i = 0; handle->waits != NULL && i < CORE_WAITS_MAX; i++) {
        if (handle->waits[i].number == number) {
            return &handle->waits[i];
        }
    }
    return NULL;
}

/* Under the lock. */
static int expect(struct cistern *handle, const struct core_wait *asked, uint64_t *out_number)
{
    if (handle->waits == NULL) {
        handle->waits = calloc(CORE_WAITS_MAX, sizeof *handle->waits);
        if (handle->waits == NULL) {
            return why_failed(STATUS_NO_MEMORY, "no memory for asynchronous waits");
        }
    }
    struct core_wait *wait = find(handle, 0);
    if (wait == NULL) {
        return why_failed(STATUS_LIMIT,
            "%u asynchronous waits are under way: call cistern_drain() first", CORE_WAITS_MAX);
    }
    *wait = *asked;
    wait->number = ++handle->wait_number;
    if (wait->status == STATUS_PENDING &&
        (handle->current == NULL || handle->current->id != wait->attach)) {
        wait->status = STATUS_NO_SERVER; /* lost since the call came in */
    }
    handle->wait_count++;
    if (wait->status != STATUS_PENDING) {
        answer_nudge(handle, true);
    }
    *out_number = wait->status == STATUS_PENDING ? wait->number : 0;
    return STATUS_OK;
}

int answer_expect(struct cistern *handle, const struct core_wait *asked, uint64_t *out_number)
{
    (void)pthread_mutex_lock(&handle->lock);
    int status = expect(handle, asked, out_number);
    (void)pthread_mutex_unlock(&handle->lock);
    return status;
}

static void settle(struct cistern *handle, struct core_wait *wait)
{
    *wait = (struct core_wait){0};
    handle->wait_count--;
}

int answer_sent(struct cistern *handle, uint64_t number, int status)
{
    if (status != STATUS_BUSY) {
        return STATUS_PENDING;
    }
    (void)pthread_mutex_lock(&handle->lock);
    struct core_wait *wait = find(handle, number);
    if (wait != NULL) {
        settle(handle, wait);
    }
    (void)pthread_mutex_unlock(&handle->lock);
    return status;
}

/* Foreign: a caller is told only what cistern_wait() may say. */
static int32_t waited(int32_t status)
{
    return status == STATUS_OK || status == STATUS_MINE || status < 0 ? status : STATUS_MISS;
}

/* The same for cistern_fetch(), which counts from the start of the caller's keys. */
static int32_t fetched(const struct core_wait *wait, const struct reply *reply, uint32_t *out_hot)
{
    uint32_t come = reply->slot <= wait->asked ? reply->slot : 0; /* foreign: else it is no count */
    *out_hot = reply->status < 0 ? 0 : wait->hot + come;
    if (reply->status < 0) {
        return reply->status;
    }
    return *out_hot > 0 ? STATUS_OK : STATUS_MISS;
}

bool answer_take(struct cistern *handle, uint32_t attach, const struct reply *reply,
    struct cistern_event *out_event)
{
    struct core_wait *wait = reply->cookie == 0 ? NULL : find(handle, reply->cookie);
    if (wait == NULL || wait->attach != attach || wait->status != STATUS_PENDING ||
        reply->type != (wait->asked == 0 ? REPLY_WAIT : REPLY_FETCH)) {
        return false;
    }
    *out_event = (struct cistern_event){.cookie = wait->cookie};
    out_event->status =
        wait->asked == 0 ? waited(reply->status) : fetched(wait, reply, &out_event->hot);
    settle(handle, wait);
    return true;
}

bool answer_take_ready(struct cistern *handle, struct cistern_event *out_event)
{
    if (handle->wait_count == 0) {
        return false;
    }
    for (uint32_t i = 0; i < CORE_WAITS_MAX; i++) {
        struct core_wait *wait = &handle->waits[i];
        if (wait->number != 0 && wait->status != STATUS_PENDING) {
            *out_event = (struct cistern_event){.cookie = wait->cookie, .status = wait->status};
            out_event->hot = wait->status == STATUS_OK ? wait->hot : 0;
            settle(handle, wait);
            return true;
        }
    }
    return false;
}

void answer_lost(struct cistern *handle, uint32_t attach)
{
    for (uint32_t i = 0; handle->wait_count > 0 && i < CORE_WAITS_MAX; i++) {
        struct core_wait *wait = &handle->waits[i];
        if (wait->number != 0 && wait->attach == attach && wait->status == STATUS_PENDING) {
            wait->status = STATUS_NO_SERVER;
            answer_nudge(handle, true);
        }
    }
}

void answer_nudge(struct cistern *handle, bool readable)
{
    if (readable) {
        bell_ring(handle->nudge);
    } else {
        uint64_t count;
        ssize_t got = read(handle->nudge, &count, sizeof count); /* does not block */
        (void)got;
    }
}
