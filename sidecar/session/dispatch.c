/* dispatch: one turn over the request rings of all lanes. */
#include "sidecar/session/dispatch.h"

#include "shm/counter.h"
#include "sidecar/session/handle.h"
#include "sidecar/session/reply.h"

#define REQUESTS_A_SEAT 32u /* in one turn */
#define COPY_BYTES_A_TURN (4u << 20) /* of one session; at least one block */

/* The seats that the client uses now: the number only rises, and is the client's word. */
static void see_seats(struct session *session)
{
    const struct lane_client_header *header = session->lane_client.base;
    uint32_t used = shared32_load_acquire(&header->seats_used);
    if (used > session->shape.seats) {
        used = session->shape.seats;
    }
    if (used > session->seats_used) {
        session->seats_used = used;
    }
}

/* Is there room for so many replies beside those that the seat's batches will still send? */
static bool has_room(struct session *session, uint32_t index, uint32_t replies)
{
    const struct fetch_batches *batches = &session->table->blocks->fetches.batches;
    uint32_t wanted = replies + fetch_batch_owed(batches, session_place(session), index);
    return ring_room(&session->seats[index].replies, wanted) >= wanted;
}

/* Returns how many requests were handled; `*broken` if the client's tail runs wild. */
static uint32_t serve_seat(
    struct session *session, uint32_t index, uint64_t *copy_bytes, bool *broken)
{
    struct session_seat *seat = &session->seats[index];
    uint32_t handled = 0;
    while (handled < REQUESTS_A_SEAT && *copy_bytes < COPY_BYTES_A_TURN) {
        enum ring_result result = ring_look(&seat->requests);
        if (result == RING_WILD) {
            *broken = true;
            break;
        }
        if (result == RING_EMPTY) {
            break;
        }
        struct request request;
        ring_copy(&seat->requests, &request);
        /* A client that does not read its replies is not served until it does. What its batches
         * will answer later has its room, too. */
        uint32_t replies = handle_replies(&request);
        if (!has_room(session, index, replies)) {
            seat->requests.head--;
            seat->held = replies;
            break;
        }
        seat->held = 0;
        *copy_bytes += handle_copy_bytes(session, &request);
        handle_request(session, index, &request);
        handled++;
    }
    if (handled > 0) {
        ring_return(&seat->requests);
    }
    return handled;
}

static uint32_t serve(struct session *session)
{
    uint32_t handled = 0;
    uint64_t copy_bytes = 0;
    bool broken = false;
    see_seats(session);
    for (uint32_t seat = 0; seat < session->seats_used && !broken; seat++) {
        handled += serve_seat(session, seat, &copy_bytes, &broken);
    }
    if (broken) {
        counter_add(session->table->blocks->counters, COUNTER_lanes_bad, 1);
        session_revoke(session, "its request ring names more entries than there are");
    }
    return handled;
}

uint32_t dispatch_turn(struct session_table *table)
{
    uint32_t handled = 0;
    /* Backwards: a session that goes is replaced by the last one, which was served already. */
    for (uint32_t i = table->active_count; i-- > 0;) {
        struct session *session = table->places[table->active[i]];
        if (session->state == SESSION_ATTACHED) {
            handled += serve(session);
        }
    }
    if (handled > 0) {
        counter_add(table->blocks->counters, COUNTER_requests, handled);
    }
    dispatch_wake(table);
    return handled;
}

void dispatch_wake(struct session_table *table)
{
    for (uint32_t i = 0; i < table->active_count; i++) {
        struct session *session = table->places[table->active[i]];
        if (session->state == SESSION_ATTACHED) {
            reply_wake(session);
        }
    }
}

/* A client that does not read its replies shall not keep the server awake either. */
static bool is_held(struct session *session, uint32_t index)
{
    uint32_t held = session->seats[index].held;
    return held > 0 && !has_room(session, index, held);
}

bool dispatch_pending(struct session_table *table)
{
    for (uint32_t i = 0; i < table->active_count; i++) {
        struct session *session = table->places[table->active[i]];
        if (session->state != SESSION_ATTACHED) {
            continue;
        }
        see_seats(session);
        for (uint32_t seat = 0; seat < session->seats_used; seat++) {
            struct session_seat *at = &session->seats[seat];
            if (ring_look(&at->requests) != RING_EMPTY && !is_held(session, seat)) {
                return true;
            }
        }
    }
    return false;
}
