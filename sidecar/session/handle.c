/* handle: the requests of lane.h, one function each. */
#include "sidecar/session/handle.h"

#include "shm/counter.h"
#include "shm/status.h"
#include "sidecar/block/admit.h"
#include "sidecar/block/claim.h"
#include "sidecar/block/fetch.h"
#include "sidecar/block/move_down.h"
#include "sidecar/session/gather.h"
#include "sidecar/session/lend.h"
#include "sidecar/session/reply.h"

#include <string.h>

#define GRANTS_A_REQUEST (LANE_REPLIES / 2)

uint32_t handle_replies(const struct request *request)
{
    if (request->type == REQUEST_FETCH) {
        return 2; /* a part that is there already, and the end of the batch */
    }
    if (request->type != REQUEST_GRANT) {
        return 1;
    }
    return request->count < GRANTS_A_REQUEST ? request->count + 1 : GRANTS_A_REQUEST + 1;
}

uint64_t handle_copy_bytes(const struct session *session, const struct request *request)
{
    return session->isolated && request->type == REQUEST_COMMIT ? session->block_bytes : 0;
}

static void bad(struct session *session, const char *what)
{
    struct session_table *table = session->table;
    counter_add(table->blocks->counters, COUNTER_requests_bad, 1);
    log_line(table->log, LOG_WARN, "handle", "session %u (pid %d): request refused: %s",
        session->number, session->pid, what);
}

static void handle_grant(struct session *session, uint32_t seat, const struct request *request)
{
    _Atomic uint64_t *counters = session->table->blocks->counters;
    bool device = (request->flags & REQUEST_DEVICE) != 0;
    uint32_t kind = device ? REPLY_DEVICE : 0;
    struct reply reply = {.type = REPLY_GRANT, .cookie = request->cookie};
    uint32_t count = request->count < GRANTS_A_REQUEST ? request->count : GRANTS_A_REQUEST;
    reply.status = count == 0 ? STATUS_INVALID : STATUS_OK;
    for (uint32_t i = 0; i < count; i++) {
        reply.status = lend_slot(session, device, count - i, &reply);
        if (reply.status != STATUS_OK) {
            counter_add(counters, COUNTER_grants_refused, 1);
            break;
        }
        counter_add(counters, COUNTER_grants, 1);
        reply.flags = kind | (i + 1 == count ? REPLY_LAST : 0);
        reply_send(session, seat, &reply);
    }
    if (reply.status != STATUS_OK) {
        struct reply last = {
            .type = REPLY_GRANT,
            .status = reply.status,
            .cookie = request->cookie,
            .flags = REPLY_LAST | kind,
        };
        reply_send(session, seat, &last);
    }
}

static bool reads(void *context, uint32_t place)
{
    const struct session *committer = context;
    const struct session *session = committer->table->places[place];
    return session != NULL && session->device == committer->device;
}

/* The block is hot on the session's device: those who read that one are told, and others get a copy
 * in host memory. */
static void settle_device(struct session *session, const struct request *request)
{
    struct session_table *table = session->table;
    struct claim_filter filter = {.reads = reads, .context = session};
    struct fetch_means means = reply_means(table);
    move_down_committed(table->blocks, &request->key, (uint16_t)session->space, &filter, &means);
}

/* The block is hot in host memory, or cannot be hot: either way its claim is over for this session.
 */
static void settle_claim(struct session *session, const struct request *request, bool hot)
{
    struct session_table *table = session->table;
    struct claims *claims = &table->blocks->claims;
    struct claim_answers answers = reply_answers(table);
    uint16_t space = (uint16_t)session->space;
    if (hot) {
        struct fetch_means means = reply_means(table);
        claim_done(claims, &request->key, space, &answers);
        fetch_hot(table->blocks, &request->key, space, &means);
    } else {
        (void)claim_release(
            claims, &request->key, space, session_place(session), table->now_ns, &answers);
    }
}

static void handle_commit(struct session *session, const struct request *request)
{
    if (!lend_is_lent(session, request->slot, request->generation)) {
        bad(session, "a commit of a slot that is not lent to it");
        return;
    }
    if (request->bytes == 0 || request->bytes > session->block_bytes) {
        bad(session, "a commit of no bytes, or of more than a block");
        lend_return(session, request->slot);
        settle_claim(session, request, false);
        return;
    }
    struct slot_content content = {
        .key = request->key,
        .bytes = (uint32_t)request->bytes,
        .space = (uint16_t)session->space,
    };
    if ((request->flags & REQUEST_CHECKSUM) != 0) {
        content.flags = SLOT_CHECKSUM;
        content.checksum = request->checksum;
    }
    uint32_t slot = request->slot;
    uint64_t generation = request->generation;
    bool duplicate = false;
    bool device =
        !session->isolated && pool_tier(&session->table->blocks->pool, slot) != SLOT_TIER_HOST;
    int status = lend_filled(session, &slot, &generation, request->bytes);
    if (status == STATUS_OK) {
        const struct key *parent = (request->flags & REQUEST_PARENT) != 0 ? &request->parent : NULL;
        status =
            admit_block(session->table->blocks, slot, generation, &content, parent, &duplicate);
    }
    if (status == STATUS_OK) {
        uses_note(&session->table->blocks->uses, (uint32_t)request->key.word[3]);
    }
    if (status == STATUS_OK && device) {
        settle_device(session, request);
    } else {
        settle_claim(session, request, status == STATUS_OK);
    }
}

/* Can the session read the block now, in host memory or on its device? To it a block that only
 * another device has is one to fetch, to compute, or to wait for. */
static bool is_hot(const struct session *session, const struct key *key)
{
    const struct blocks *blocks = session->table->blocks;
    uint16_t space = (uint16_t)session->space;
    return admit_find_tier(blocks, key, space, SLOT_TIER_HOST) != HINT_NONE ||
           (session->device != SESSION_NO_DEVICE &&
               admit_find_tier(blocks, key, space, slot_tier_of_device(session->device)) !=
                   HINT_NONE);
}

static void handle_claim(struct session *session, uint32_t seat, const struct request *request)
{
    struct session_table *table = session->table;
    struct claims *claims = &table->blocks->claims;
    uint16_t space = (uint16_t)session->space;
    struct reply reply = {.type = REPLY_CLAIM, .cookie = request->cookie, .flags = REPLY_LAST};
    if (is_hot(session, &request->key)) {
        reply.status = STATUS_OK;
    } else {
        reply.status = claim_take(claims, &request->key, space, session_place(session),
            table->now_ns, table->now_ns + table->config->claim_ns);
    }
    reply_send(session, seat, &reply);
}

static void handle_wait(struct session *session, uint32_t seat, const struct request *request)
{
    struct session_table *table = session->table;
    uint16_t space = (uint16_t)session->space;
    uint64_t longest = table->config->wait_max_ns;
    uint64_t timeout = request->timeout_ns < longest ? request->timeout_ns : longest;
    struct claim_waiter waiter = {
        .session = session_place(session),
        .seat = seat,
        .cookie = request->cookie,
        .flags = request->flags & REQUEST_EVENT,
        .deadline_ns = table->now_ns + timeout,
    };
    int status = STATUS_OK;
    if (!is_hot(session, &request->key)) {
        status = claim_wait(&table->blocks->claims, &request->key, space, &waiter);
    }
    if (status != STATUS_PENDING) {
        struct claim_answers answers = reply_answers(table);
        answers.answer(answers.context, &waiter, &request->key, space, status);
    }
}

void handle_request(struct session *session, uint32_t seat, const struct request *request)
{
    struct reply fence = {.type = REPLY_FENCE, .cookie = request->cookie, .flags = REPLY_LAST};
    const char *wrong;
    switch (request->type) {
    case REQUEST_GRANT:
        handle_grant(session, seat, request);
        break;
    case REQUEST_COMMIT:
        handle_commit(session, request);
        break;
    case REQUEST_ABORT:
        if (lend_is_lent(session, request->slot, request->generation)) {
            lend_return(session, request->slot);
        } else {
            bad(session, "an abort of a slot that is not lent to it");
        }
        break;
    case REQUEST_CLAIM:
        handle_claim(session, seat, request);
        break;
    case REQUEST_UNCLAIM:
        settle_claim(session, request, false);
        break;
    case REQUEST_WAIT:
        handle_wait(session, seat, request);
        break;
    case REQUEST_FETCH:
        wrong = gather_request(session, seat, request);
        if (wrong != NULL) {
            bad(session, wrong);
        }
        break;
    case REQUEST_CANCEL:
        gather_cancel(session, seat, request->cookie);
        (void)claim_cancel(
            &session->table->blocks->claims, session_place(session), seat, request->cookie);
        break;
    case REQUEST_FENCE:
        reply_send(session, seat, &fence);
        break;
    default:
        bad(session, "an unknown type of request");
        break;
    }
}
