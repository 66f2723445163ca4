/* double_requests: what the double of the sidecar does with each request. */
#include "shm/bell.h"
#include "shm/hint.h"
#include "shm/ring.h"
#include "shm/status.h"
#include "tests/unit/libclient/double_server.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void double_reply(
    struct double_server *server, uint32_t session, uint32_t seat, const struct reply *answer)
{
    struct double_session *at = &server->sessions[session];
    assert(ring_room(&at->replies[seat], 1) > 0);
    ring_fill(&at->replies[seat], answer);
    ring_publish(&at->replies[seat]);
    if (bell_look(&at->seats[seat].client->sleeping) != 0) {
        bell_wake(&at->seats[seat].server->reply_tail);
    }
}

void double_event(struct double_server *server, uint32_t session, const struct reply *answer)
{
    struct double_session *at = &server->sessions[session];
    assert(ring_room(&at->events, 1) > 0);
    uint32_t before = at->events.tail;
    ring_fill(&at->events, answer);
    ring_publish(&at->events);
    shared_fence_full();
    if (shared32_load_acquire(at->events.head_word) == before) {
        (void)send(at->socket, "e", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

static void answer_waiter(struct double_server *server, struct double_waiter *waiter, int status)
{
    struct reply answer = {
        .type = REPLY_WAIT, .status = status, .cookie = waiter->cookie, .flags = REPLY_LAST};
    if (server->sessions[waiter->session].socket >= 0) {
        if (waiter->event) {
            double_event(server, waiter->session, &answer);
        } else {
            double_reply(server, waiter->session, waiter->seat, &answer);
        }
    }
    waiter->used = false;
}

static void became_hot(struct double_server *server, const struct key *key)
{
    for (uint32_t i = 0; i < DOUBLE_CLAIMS; i++) {
        if (memcmp(&server->claims[i].key, key, sizeof *key) == 0) {
            server->claims[i].used = false;
        }
    }
    for (uint32_t i = 0; i < DOUBLE_WAITERS; i++) {
        struct double_waiter *waiter = &server->waiters[i];
        if (waiter->used && memcmp(&waiter->key, key, sizeof *key) == 0) {
            answer_waiter(server, waiter, STATUS_OK);
        }
    }
}

/* Behind the end by a byte; of slabs that lie apart, in two of them. */
static uint64_t wild_offset(const struct double_device *device)
{
    uint64_t slabs = device->kind == HELLO_SLABS_FD ? DOUBLE_SLABS : 1;
    return slabs * device->slab_bytes - DOUBLE_BLOCK + 1;
}

static void lend(
    struct double_server *server, uint32_t session, uint32_t seat, const struct request *request)
{
    bool isolated = server->sessions[session].isolated;
    bool device = (request->flags & REQUEST_DEVICE) != 0;
    uint32_t first = device ? DOUBLE_OWN : 0;
    uint32_t end = device ? DOUBLE_SLOTS_ALL : DOUBLE_SLOTS;
    uint32_t flags = device ? REPLY_DEVICE : 0;
    struct reply answer = {.type = REPLY_GRANT, .cookie = request->cookie, .bytes = DOUBLE_BLOCK};
    uint32_t left = device && !server->sessions[session].device ? 0 : request->count;
    for (uint32_t i = first; server->lends == 0 && left > 0 && i < end; i++) {
        struct slot_line *line = &server->view.lines[i];
        if (slot_state_of(slot_load_state(line)) != SLOT_FREE) {
            continue;
        }
        answer.slot = i;
        answer.generation = slot_reserve(line, SLOT_RESERVED);
        answer.offset = (uint64_t)(i - first) * DOUBLE_BLOCK;
        if (server->faults.wild_grants) {
            answer.offset =
                device ? wild_offset(server->device) : (isolated ? 1 : 2) * server->pool.bytes;
        }
        answer.flags = flags | (--left == 0 ? REPLY_LAST : 0);
        double_reply(server, session, seat, &answer);
    }
    if (left > 0) {
        answer.status = server->lends == 0 ? STATUS_BUSY : server->lends;
        answer.flags = flags | REPLY_LAST;
        double_reply(server, session, seat, &answer);
    }
}

static bool is_hot_within(
    const struct double_server *server, const struct key *key, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        const struct slot_line *line = &server->view.lines[i];
        if (slot_state_of(slot_load_state(line)) == SLOT_VALID && slot_holds(line, key, 1)) {
            return true;
        }
    }
    return false;
}

bool double_is_hot(const struct double_server *server, const struct key *key)
{
    return is_hot_within(server, key, 0, DOUBLE_SLOTS);
}

static void publish(struct double_server *server, uint32_t session, const struct request *request)
{
    struct slot_line *line = &server->view.lines[request->slot % DOUBLE_SLOTS_ALL];
    uint64_t word = slot_load_state(line);
    if (request->slot >= DOUBLE_SLOTS_ALL || slot_state_of(word) != SLOT_RESERVED ||
        slot_generation_of(word) != request->generation) {
        return;
    }
    bool device = request->slot >= DOUBLE_SLOTS;
    uint32_t first = device ? DOUBLE_OWN : 0;
    if (is_hot_within(server, &request->key, first, device ? DOUBLE_SLOTS_ALL : DOUBLE_SLOTS)) {
        slot_free(line);
        return;
    }
    struct slot_content content = {
        .key = request->key,
        .offset = (uint64_t)(request->slot - first) * DOUBLE_BLOCK,
        .bytes = (uint32_t)request->bytes,
        .space = 1,
        .checksum = request->checksum,
        .tier = (uint8_t)(device ? slot_tier_of_device(1) : SLOT_TIER_HOST),
        .flags = (request->flags & REQUEST_CHECKSUM) != 0 ? SLOT_CHECKSUM : 0,
    };
    if (server->sessions[session].isolated) {
        memcpy((char *)server->pool.base + content.offset,
            (const char *)server->sessions[session].staging.base + content.offset, content.bytes);
    }
    (void)slot_publish(line, &content);
    (void)hint_add(&server->view, &request->key, HINT_HOT, request->slot);
    became_hot(server, &request->key);
}

static void take_back(struct double_server *server, const struct request *request)
{
    struct slot_line *line = &server->view.lines[request->slot % DOUBLE_SLOTS_ALL];
    uint64_t word = slot_load_state(line);
    if (slot_state_of(word) == SLOT_RESERVED && slot_generation_of(word) == request->generation) {
        slot_free(line);
        server->aborts++;
    }
}

static struct double_claim *find_claim(struct double_server *server, const struct key *key)
{
    for (uint32_t i = 0; i < DOUBLE_CLAIMS; i++) {
        if (server->claims[i].used && memcmp(&server->claims[i].key, key, sizeof *key) == 0) {
            return &server->claims[i];
        }
    }
    return NULL;
}

static int claim(struct double_server *server, uint32_t session, const struct key *key)
{
    if (double_is_hot(server, key)) {
        return STATUS_OK;
    }
    if (find_claim(server, key) != NULL) {
        return STATUS_OTHER;
    }
    for (uint32_t i = 0; i < DOUBLE_CLAIMS; i++) {
        if (!server->claims[i].used) {
            server->claims[i] = (struct double_claim){true, session, *key};
            return STATUS_MINE;
        }
    }
    return STATUS_LIMIT;
}

static void unclaim(struct double_server *server, const struct key *key)
{
    struct double_claim *held = find_claim(server, key);
    if (held == NULL) {
        return;
    }
    held->used = false;
    for (uint32_t i = 0; i < DOUBLE_WAITERS; i++) {
        struct double_waiter *waiter = &server->waiters[i];
        if (waiter->used && memcmp(&waiter->key, key, sizeof *key) == 0) {
            (void)claim(server, waiter->session, key);
            answer_waiter(server, waiter, STATUS_MINE);
            return;
        }
    }
}

static void wait_for(
    struct double_server *server, uint32_t session, uint32_t seat, const struct request *request)
{
    uint32_t at = 0;
    while (at + 1 < DOUBLE_WAITERS && server->waiters[at].used) {
        at++;
    }
    struct double_waiter *waiter = &server->waiters[at];
    *waiter = (struct double_waiter){
        .used = true,
        .session = session,
        .seat = seat,
        .event = (request->flags & REQUEST_EVENT) != 0,
        .cookie = request->cookie,
        .deadline_ns = now_ns() + request->timeout_ns,
        .key = request->key,
    };
    if (double_is_hot(server, &request->key)) {
        answer_waiter(server, waiter, STATUS_OK);
    } else if (find_claim(server, &request->key) == NULL) {
        answer_waiter(server, waiter, STATUS_MISS);
    }
}

static void cancel(struct double_server *server, uint32_t session, uint64_t cookie)
{
    for (uint32_t i = 0; i < DOUBLE_WAITERS; i++) {
        struct double_waiter *waiter = &server->waiters[i];
        if (waiter->session == session && waiter->cookie == cookie && !waiter->event) {
            waiter->used = false;
        }
    }
}

void double_handle(
    struct double_server *server, uint32_t session, uint32_t seat, const struct request *request)
{
    struct reply answer = {.cookie = request->cookie, .flags = REPLY_LAST};
    switch ((enum request_type)request->type) {
    case REQUEST_GRANT:
        lend(server, session, seat, request);
        break;
    case REQUEST_COMMIT:
        publish(server, session, request);
        break;
    case REQUEST_ABORT:
        take_back(server, request);
        break;
    case REQUEST_CLAIM:
        answer.type = REPLY_CLAIM;
        answer.status = claim(server, session, &request->key);
        double_reply(server, session, seat, &answer);
        break;
    case REQUEST_UNCLAIM:
        unclaim(server, &request->key);
        break;
    case REQUEST_WAIT:
        wait_for(server, session, seat, request);
        break;
    case REQUEST_CANCEL:
        cancel(server, session, request->cookie);
        double_fetch_cancel(server, session, request->cookie);
        break;
    case REQUEST_FETCH:
        double_fetch(server, session, seat, request);
        break;
    case REQUEST_FENCE:
        answer.type = REPLY_FENCE;
        double_reply(server, session, seat, &answer);
        break;
    case REQUEST_NONE:
    default:
        break;
    }
}

void double_expire(struct double_server *server, uint64_t now)
{
    for (uint32_t i = 0; i < DOUBLE_WAITERS; i++) {
        if (server->waiters[i].used && now >= server->waiters[i].deadline_ns) {
            answer_waiter(server, &server->waiters[i], STATUS_MISS);
        }
    }
}
