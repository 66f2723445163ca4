/* call: see call.h. */
#include "libclient/call.h"

#include "libclient/reattach.h"
#include "libclient/why.h"
#include "shm/bell.h"
#include "shm/ring.h"
#include "shm/slot.h"
#include "shm/status.h"

#include <assert.h>
#include <string.h>

#define SLICE_NS \
    (100 * MOMENT_MS) /* insurance against a lost wake-up, and between looks for a hang-up */
#define ROOM_SLICE_NS (MOMENT_MS / 20) /* nobody wakes us when there is room again */

/* Ring the bell if the server sleeps; once a sleep is enough. */
static void ring_bell(struct core_seat *seat)
{
    const struct attach *attach = seat->attach;
    uint32_t sleep = bell_look(&attach->index.header->server_sleeping);
    if ((sleep & 1) != 0 && sleep != seat->lane->rung) {
        seat->lane->rung = sleep;
        bell_ring(attach->bell);
        core_count(seat, CORE_BELLS, 1);
    }
}

/* The request ring is full: the server is behind, asleep, or gone. */
__attribute__((cold)) static int wait_for_room(
    struct cistern *handle, struct core_seat *seat, uint32_t wanted, uint64_t deadline_ns)
{
    struct ring_writer *ring = &seat->lane->requests;
    uint64_t spin_until = moment_now_ns() + handle->spin_ns;
    uint64_t look_at = 0;
    for (;;) {
        if (ring_room(ring, wanted) >= wanted) {
            return STATUS_OK;
        }
        uint64_t now = moment_now_ns();
        if (now < spin_until) {
            shared_relax();
            continue;
        }
        if (now >= deadline_ns) {
            return why_failed(STATUS_BUSY, "the sidecar is behind with this thread's requests");
        }
        if (now >= look_at) {
            look_at = now + SLICE_NS;
            /* It may wait for us to take our replies: it stops reading when there is no room. */
            if (call_take_in(handle, seat) < 0 ||
                reattach_look(handle, seat->attach) != STATUS_OK) {
                return STATUS_NO_SERVER;
            }
        }
        ring_bell(seat);
        (void)call_take_in(handle, seat);
        bell_sleep(ring->head_word, ring->head, ROOM_SLICE_NS);
    }
}

int call_send(struct cistern *handle, struct core_seat *seat, const struct request *request,
    uint64_t deadline_ns)
{
    struct ring_writer *ring = &seat->lane->requests;
    if (__builtin_expect(ring_room(ring, 1) == 0, 0)) {
        int status = wait_for_room(handle, seat, 1, deadline_ns);
        if (status != STATUS_OK) {
            return status;
        }
    }
    ring_fill(ring, request);
    ring_publish(ring);
    ring_bell(seat);
    return STATUS_OK;
}

int call_room(struct cistern *handle, struct core_seat *seat, uint32_t wanted, uint64_t deadline_ns,
    uint32_t *out_room)
{
    struct ring_writer *ring = &seat->lane->requests;
    assert(wanted > 0 && wanted <= LANE_REQUESTS);
    if (ring_room(ring, wanted) < wanted) {
        int status = wait_for_room(handle, seat, wanted, deadline_ns);
        if (status != STATUS_OK) {
            return status;
        }
    }
    *out_room = ring_room(ring, LANE_REQUESTS); /* all there is now, not when it was last looked */
    return STATUS_OK;
}

void call_show(struct core_seat *seat)
{
    ring_publish(&seat->lane->requests);
    ring_bell(seat);
}

/* Of each block the first part counts, and none behind the answer. */
static void route_part(struct attach_lane *lane, const struct reply *reply)
{
    struct call_parts *parts = lane->parts;
    if (parts == NULL || lane->awaited == 0 || reply->cookie != lane->awaited ||
        reply->number >= parts->count || parts->part[reply->number].type != REPLY_NONE) {
        return;
    }
    parts->part[reply->number] = *reply;
    parts->arrived++;
}

/* A grant that lies outside its memory has no room: the book then counts it, and keeps it not. */
static void route_grant(struct core_seat *seat, const struct reply *reply)
{
    const struct attach *attach = seat->attach;
    if ((reply->flags & REPLY_DEVICE) == 0) {
        (void)book_arrived(&seat->lane->books[BOOK_HOST], reply, attach->grant_bytes);
    } else if (attach->slabs != NULL) {
        bool small = reply->bytes <= UINT32_MAX && reply->offset <= SLOT_OFFSET_MAX;
        bool inside = small && slabs_at(attach->slabs, reply->offset, reply->bytes) != NULL;
        (void)book_arrived(&seat->lane->books[BOOK_DEVICE], reply,
            inside || reply->status != STATUS_OK ? attach->slabs->bytes : 0);
    }
}

static void route(struct core_seat *seat, const struct reply *reply)
{
    struct attach_lane *lane = seat->lane;
    if (reply->type == REPLY_PART) {
        route_part(lane, reply);
        return;
    }
    if (reply->type == REPLY_GRANT) {
        route_grant(seat, reply);
        return;
    }
    if (reply->type == REPLY_FENCE) {
        lane->fence = reply->cookie;
    }
    if (lane->awaited != 0 && reply->cookie == lane->awaited) {
        lane->answer = *reply;
        lane->answered = true;
        lane->awaited = 0;
    }
    /* Anything else answers a call that gave up. */
}

int call_take_in(struct cistern *handle, struct core_seat *seat)
{
    struct ring_reader *ring = &seat->lane->replies;
    enum ring_result result;
    int count = 0;
    /* Bounded: more than a ring of replies has no cause. */
    while ((result = ring_look(ring)) == RING_ENTRY && count < (int)LANE_REPLIES) {
        struct reply reply = {0};
        ring_copy(ring, &reply);
        route(seat, &reply);
        count++;
    }
    if (count > 0) {
        ring_return(ring);
    }
    if (result == RING_WILD) {
        return reattach_lost(handle, seat->attach);
    }
    return count;
}

int call_wait(struct cistern *handle, struct core_seat *seat, uint64_t deadline_ns)
{
    struct attach_lane *lane = seat->lane;
    uint64_t start = moment_now_ns();
    uint64_t look_at = start + SLICE_NS;
    for (uint64_t now = start;; now = moment_now_ns()) {
        int count = call_take_in(handle, seat);
        if (count != 0) {
            return count > 0 ? STATUS_OK : STATUS_NO_SERVER;
        }
        if (now >= deadline_ns) {
            /* Late because it is gone? Who waits for less than a slice would never know. Who does
             * not wait at all pays for no look. */
            bool waited = deadline_ns > start;
            return waited && reattach_look(handle, seat->attach) != STATUS_OK ? STATUS_NO_SERVER
                                                                              : STATUS_BUSY;
        }
        if (now - start < handle->spin_ns) {
            shared_relax();
            continue;
        }
        if (now >= look_at) {
            look_at = now + SLICE_NS;
            if (reattach_look(handle, seat->attach) != STATUS_OK) {
                return STATUS_NO_SERVER;
            }
        }
        uint64_t left = deadline_ns - now;
        bell_announce(&lane->words.client->sleeping, 1);
        if (ring_look(&lane->replies) == RING_EMPTY) {
            bell_sleep(
                lane->replies.tail_word, lane->replies.head, left < SLICE_NS ? left : SLICE_NS);
        }
        bell_awake(&lane->words.client->sleeping, 0);
    }
}

uint64_t call_expect(struct core_seat *seat)
{
    struct attach_lane *lane = seat->lane;
    lane->awaited = ++lane->cookie;
    lane->answered = false;
    return lane->awaited;
}

int call_ask(
    struct cistern *handle, struct core_seat *seat, struct request *request, uint64_t deadline_ns)
{
    struct attach_lane *lane = seat->lane;
    request->cookie = call_expect(seat);
    int status = call_send(handle, seat, request, deadline_ns);
    while (status == STATUS_OK && !lane->answered) {
        status = call_wait(handle, seat, deadline_ns);
    }
    lane->awaited = 0;
    if (status == STATUS_OK) {
        return lane->answer.status;
    }
    return status;
}

int call_cancel(struct cistern *handle, struct core_seat *seat, uint64_t cookie)
{
    struct attach_lane *lane = seat->lane;
    uint64_t deadline = moment_now_ns() + CALL_LATE_NS;
    struct request cancel = {.type = REQUEST_CANCEL, .cookie = cookie};
    struct request fence = {.type = REQUEST_FENCE, .cookie = ++lane->cookie};
    lane->awaited = cookie;
    lane->answered = false;
    int status = call_send(handle, seat, &cancel, deadline);
    if (status == STATUS_OK) {
        status = call_send(handle, seat, &fence, deadline);
    }
    /* Replies keep their order: behind the fence's there is none of the cancelled request. */
    while (status == STATUS_OK && !lane->answered && lane->fence != fence.cookie) {
        status = call_wait(handle, seat, deadline);
    }
    lane->awaited = 0;
    if (lane->answered) {
        return lane->answer.status;
    }
    return status == STATUS_NO_SERVER ? status : STATUS_MISS;
}
