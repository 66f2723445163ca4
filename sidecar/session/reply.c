/* reply: reply rings, the event ring, and wake-ups of clients. */
#include "sidecar/session/reply.h"

#include "shm/bell.h"
#include "shm/status.h"

#include <assert.h>
#include <sys/socket.h>

void reply_send(struct session *session, uint32_t seat, const struct reply *reply)
{
    assert(seat < session->shape.seats);
    struct session_seat *to = &session->seats[seat];
    if (ring_room(&to->replies, 1) == 0) {
        return;
    }
    ring_fill(&to->replies, reply);
    ring_publish(&to->replies);
    to->replied = true;
}

static void send_event(struct session *session, const struct reply *reply)
{
    if (ring_room(&session->events, 1) == 0) {
        return;
    }
    ring_fill(&session->events, reply);
    ring_publish(&session->events);
    session->events_sent = true;
}

static void answer(void *context, const struct claim_waiter *waiter, const struct key *key,
    uint16_t space, int status)
{
    (void)key;
    (void)space;
    const struct session_table *table = context;
    struct session *session = table->places[waiter->session];
    if (session == NULL || session->state != SESSION_ATTACHED) {
        return;
    }
    struct reply reply = {
        .type = REPLY_WAIT,
        .status = status,
        .cookie = waiter->cookie,
        .flags = REPLY_LAST,
    };
    if ((waiter->flags & REQUEST_EVENT) != 0) {
        send_event(session, &reply);
    } else {
        reply_send(session, waiter->seat, &reply);
    }
}

struct claim_answers reply_answers(struct session_table *table)
{
    return (struct claim_answers){.answer = answer, .context = table};
}

/* A full event ring is no reason to lose the answer: it is tried again. */
static bool fetch_done(void *context, const struct fetch_ask *ask, int status, uint32_t hot)
{
    const struct session_table *table = context;
    struct session *session = table->places[ask->session];
    if (session == NULL || session->state != SESSION_ATTACHED) {
        return true;
    }
    struct reply reply = {
        .type = REPLY_FETCH,
        .status = status,
        .cookie = ask->cookie,
        .slot = hot,
        .flags = REPLY_LAST,
    };
    if (!ask->event) {
        reply_send(session, ask->seat, &reply);
        return true;
    }
    if (ring_room(&session->events, 1) == 0) {
        return false;
    }
    send_event(session, &reply);
    return true;
}

static void fetch_part(void *context, const struct fetch_ask *ask, const struct fetch_part *part)
{
    const struct session_table *table = context;
    struct session *session = table->places[ask->session];
    if (session == NULL || session->state != SESSION_ATTACHED) {
        return;
    }
    struct reply reply = {
        .type = REPLY_PART,
        .cookie = ask->cookie,
        .slot = part->slot,
        .bytes = part->bytes,
        .generation = part->generation,
        .offset = part->offset,
        .number = part->number,
    };
    reply_send(session, ask->seat, &reply);
}

struct fetch_means reply_means(struct session_table *table)
{
    return (struct fetch_means){
        .sweep = session_sweeper(table),
        .answers = {.done = fetch_done, .part = fetch_part, .context = table},
        .claims = reply_answers(table),
        .now_ns = table->now_ns,
    };
}

/* One byte makes the client's socket readable. A full socket is readable already. */
static void signal_events(struct session *session)
{
    const struct lane_client_header *header = session->lane_client.base;
    uint32_t head = shared32_load_relaxed(&header->event_head);
    /* Fenced by reply_wake(); partner: cistern_drain(). A client that has not read up to the last
     * signal has that signal still before it. */
    if ((int32_t)(head - session->events_signalled) >= 0) {
        session->events_signalled = session->events.tail;
        (void)send(session->socket, "e", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

void reply_wake(struct session *session)
{
    bool fenced = false;
    for (uint32_t i = 0; i < session->seats_used; i++) {
        struct session_seat *seat = &session->seats[i];
        if (!seat->replied) {
            continue;
        }
        seat->replied = false;
        if (!fenced) {
            shared_fence_full(); /* tails before the look; partner: bell_announce() of the client */
            fenced = true;
        }
        if (shared32_load_relaxed(&seat->lane.client->sleeping) != 0) {
            bell_wake(&seat->lane.server->reply_tail);
        }
    }
    if (session->events_sent) {
        session->events_sent = false;
        if (!fenced) {
            shared_fence_full();
        }
        signal_events(session);
    }
}
