/* gather: see gather.h. */
#include "sidecar/session/gather.h"

#include "shm/counter.h"
#include "shm/status.h"
#include "sidecar/block/fetch.h"
#include "sidecar/block/move_up.h"
#include "sidecar/session/reply.h"
#include "sidecar/session/session.h"

static void refuse(struct gather *gather, int status)
{
    gather->batch = FETCH_BATCH_NONE;
    gather->status = status;
}

/* What its pins could hold: no more is held for a session, or on its way to it. */
static uint32_t quota(const struct session *session)
{
    return session->shape.seats * session->shape.pins;
}

static uint64_t deadline(const struct session *session, const struct request *request)
{
    const struct session_table *table = session->table;
    uint64_t longest = table->config->fetch_max_ns;
    return table->now_ns + (request->timeout_ns < longest ? request->timeout_ns : longest);
}

/* The first request of a batch. Returns what is wrong with it, or NULL. */
static const char *begin(
    struct session *session, uint32_t seat, const struct request *request, struct gather *gather)
{
    struct fetch_batches *batches = &session->table->blocks->fetches.batches;
    uint32_t place = session_place(session);
    bool event = (request->flags & REQUEST_EVENT) != 0;
    *gather = (struct gather){.cookie = request->cookie, .open = true, .event = event};
    refuse(gather, STATUS_INVALID);
    if (request->count >= REQUEST_FETCH_MAX) {
        return "a fetch of too many blocks";
    }
    uint32_t parts = request->bytes > 0 ? request->count + 1 : 0;
    if (request->bytes > session->block_bytes || parts > REQUEST_PARTS_MAX ||
        (parts > 0 && event)) {
        return "a fetch of parts that are too large, too many, or to be answered as events";
    }
    uint32_t owed = event ? 0 : fetch_batch_owed(batches, place, seat) + 1 + parts;
    struct fetch_ask ask = {
        .session = place,
        .seat = seat,
        .cookie = request->cookie,
        .part_bytes = request->bytes,
        .deadline_ns = deadline(session, request),
        .hold_ns = session->table->config->hold_ns,
        .quota = quota(session),
        .blocks = request->count + 1,
        .event = event,
    };
    refuse(gather, STATUS_LIMIT);
    if (owed <= GATHER_OWED_MAX) {
        gather->batch = fetch_batch_begin(batches, &ask);
    }
    if (gather->batch == FETCH_BATCH_NONE) {
        counter_add(session->table->blocks->counters, COUNTER_fetches_refused, request->count + 1);
    }
    return NULL;
}

static struct fetch_want want(const struct session *session, const struct request *request)
{
    return (struct fetch_want){
        .key = request->key,
        .parent = request->parent,
        .has_parent = (request->flags & REQUEST_PARENT) != 0,
        .space = (uint16_t)session->space,
        .class = session->size_class,
        .reads = session->device == SESSION_NO_DEVICE ? SLOT_TIER_HOST
                                                      : slot_tier_of_device(session->device),
    };
}

/* Its last request came: the batch answers when it can; one that was refused, now. */
static void finish(struct session *session, uint32_t seat, struct gather *gather)
{
    struct fetch_answers answers = reply_means(session->table).answers;
    gather->open = false;
    if (gather->batch != FETCH_BATCH_NONE) {
        fetch_batch_close(&session->table->blocks->fetches.batches, gather->batch, &answers);
        return;
    }
    struct fetch_ask ask = {
        .session = session_place(session),
        .seat = seat,
        .cookie = gather->cookie,
        .event = gather->event,
    };
    (void)answers.done(answers.context, &ask, gather->status, 0);
}

static void forget(struct session *session, struct gather *gather)
{
    if (gather->batch != FETCH_BATCH_NONE) {
        fetch_batch_forget(&session->table->blocks->fetches.batches, gather->batch);
    }
    gather->open = false;
}

/* A hint: the session will want the block on its device. */
static const char *go_up(struct session *session, const struct request *request)
{
    struct session_table *table = session->table;
    struct evict_sweep sweep = session_sweeper(table);
    if (session->device == SESSION_NO_DEVICE) {
        return "a fetch to a device that it has not";
    }
    const struct move_up_reader reader = session_reader(session);
    move_up_ahead(table->blocks, &request->key, &reader, &sweep);
    return NULL;
}

const char *gather_request(struct session *session, uint32_t seat, const struct request *request)
{
    struct blocks *blocks = session->table->blocks;
    struct gather *gather = &session->seats[seat].gather;
    struct fetch_want wanted = want(session, request);
    if (gather->open && gather->cookie != request->cookie) {
        forget(session, gather);
    }
    if ((request->flags & REQUEST_AHEAD) != 0 && !gather->open) {
        if ((request->flags & REQUEST_DEVICE) != 0) {
            return go_up(session, request);
        }
        fetch_ahead(blocks, session_place(session), &wanted,
            session->table->now_ns + session->table->config->fetch_max_ns);
        return NULL;
    }
    const char *wrong = NULL;
    if (!gather->open) {
        wrong = begin(session, seat, request, gather);
    } else if (gather->batch != FETCH_BATCH_NONE && request->count != gather->follow) {
        fetch_batch_forget(&blocks->fetches.batches, gather->batch);
        refuse(gather, STATUS_INVALID);
        wrong = "a fetch whose count does not go down by one";
    }
    gather->follow = request->count - 1;
    if (gather->batch != FETCH_BATCH_NONE) {
        struct fetch_means means = reply_means(session->table);
        fetch_block(blocks, gather->batch, &wanted, &means);
    }
    if (request->count == 0) {
        finish(session, seat, gather);
    }
    return wrong;
}

void gather_cancel(struct session *session, uint32_t seat, uint64_t cookie)
{
    struct gather *gather = &session->seats[seat].gather;
    if (gather->open && gather->cookie == cookie && !gather->event) {
        forget(session, gather);
        return;
    }
    (void)fetch_batch_cancel(
        &session->table->blocks->fetches.batches, session_place(session), seat, cookie);
}
