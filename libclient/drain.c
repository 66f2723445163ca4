/* drain: the answers of asynchronous waits, and the descriptor that says when to look.
 *
 * The server signs its lane's event ring when it becomes non-empty: one byte on the socket. The
 * caller polls an epoll descriptor of ours around that socket, so that it outlives it. */
#include "libclient/answer.h"
#include "libclient/reattach.h"
#include "libclient/why.h"
#include "shm/ring.h"
#include "shm/status.h"

#include <errno.h>
#include <sys/socket.h>

#define BYTES_AT_ONCE \
    256 /* datagrams read in one call: bounded, what is left keeps the fd readable */

/* Read the server's signals away. Returns false if it hung up. */
static bool read_signals(int socket)
{
    char bytes[16];
    ssize_t got = 1;
    for (int i = 0; got > 0 && i < BYTES_AT_ONCE; i++) {
        got = recv(socket, bytes, sizeof bytes, MSG_DONTWAIT);
    }
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Take events out of the lane. Returns how many, or -1 if the ring is broken; sets whether some
 * stay. */
static int64_t take_events(struct cistern *handle, struct attach *attach,
    struct cistern_event *out_events, size_t room, bool *out_more)
{
    struct ring_reader *ring = &attach->events;
    size_t count = 0;
    uint32_t looked = 0;
    enum ring_result result = ring_look(ring);
    while (result == RING_ENTRY && count < room && looked < 2 * LANE_EVENTS) {
        while (ring->head != ring->tail && count < room) {
            struct reply reply;
            ring_copy(ring, &reply);
            count += answer_take(handle, attach->id, &reply, &out_events[count]) ? 1 : 0;
            looked++;
        }
        ring_return(ring);
        /* Partner: the server's fence between its tail and its look at our head. One of us sees the
         * other: we the new entry, or it the empty ring that needs a signal. */
        shared_fence_full();
        result = ring_look(ring);
    }
    *out_more = result == RING_ENTRY;
    return result == RING_WILD ? -1 : (int64_t)count;
}

/* Under the handle's lock. Returns the attachment that was lost on the way, or NULL. */
static struct attach *drain(
    struct cistern *handle, struct cistern_event *out_events, size_t room, size_t *out_count)
{
    struct attach *attach = handle->current;
    size_t count = 0;
    bool more = false;
    bool lost = false;
    answer_nudge(handle, false);
    while (count < room && answer_take_ready(handle, &out_events[count])) {
        count++;
    }
    if (attach != NULL) {
        lost = !read_signals(attach->socket);
        int64_t taken = take_events(handle, attach, out_events + count, room - count, &more);
        lost = lost || taken < 0;
        count += taken > 0 ? (size_t)taken : 0;
    }
    if (more || count == room) {
        answer_nudge(handle, true); /* the signals are read, so this says that answers are left */
    }
    *out_count = count;
    return lost ? attach : NULL;
}

int cistern_drain(
    cistern_t *handle, struct cistern_event *out_events, size_t room, size_t *out_count)
{
    if (handle == NULL || out_events == NULL || room == 0 || out_count == NULL) {
        return why_failed(STATUS_INVALID, "cistern_drain: an argument is NULL, or room is 0");
    }
    if (core_is_forked(handle)) {
        return why_failed(STATUS_FORKED, "the handle was opened by the parent process");
    }
    if ((shared32_load_relaxed(&handle->era) & 1) == 0) {
        (void)reattach_try(handle); /* who only polls attaches again here */
    }
    (void)pthread_mutex_lock(&handle->lock);
    struct attach *lost = drain(handle, out_events, room, out_count);
    reattach_sweep(handle);
    (void)pthread_mutex_unlock(&handle->lock);
    card_sweep(handle);
    if (lost != NULL) {
        (void)reattach_lost(handle, lost);
    }
    return STATUS_OK;
}

int cistern_fd(cistern_t *handle)
{
    return handle == NULL || core_is_forked(handle) ? -1 : handle->epoll;
}
