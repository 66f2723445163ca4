/* double_fetch: how the double of the sidecar brings cold blocks up, well or badly. */
#include "shm/hint.h"
#include "shm/ring.h"
#include "shm/status.h"
#include "tests/check.h"
#include "tests/unit/libclient/double_server.h"

#include <string.h>

static const struct double_stored *find_stored(
    const struct double_server *server, const struct key *key)
{
    for (uint32_t i = 0; i < DOUBLE_STORED; i++) {
        const struct double_stored *stored = &server->stored[i];
        if (stored->used && memcmp(&stored->key, key, sizeof *key) == 0) {
            return stored;
        }
    }
    return NULL;
}

/* Take a slot for a stored block, and read its first `bytes` bytes. */
static uint32_t begin_load(
    struct double_server *server, const struct double_stored *stored, uint64_t bytes)
{
    uint32_t slot = 0;
    while (slot_state_of(slot_load_state(&server->view.lines[slot])) != SLOT_FREE) {
        slot++;
        assert_true(slot < DOUBLE_SLOTS);
    }
    (void)slot_reserve(&server->view.lines[slot], SLOT_LOADING);
    memset((char *)server->pool.base + (uint64_t)slot * DOUBLE_BLOCK, 0, DOUBLE_BLOCK);
    memset((char *)server->pool.base + (uint64_t)slot * DOUBLE_BLOCK, stored->fill,
        bytes < stored->bytes ? bytes : stored->bytes);
    return slot;
}

static void end_load(
    struct double_server *server, const struct double_stored *stored, uint32_t slot)
{
    struct slot_content content = {
        .key = stored->key,
        .offset = (uint64_t)slot * DOUBLE_BLOCK,
        .bytes = stored->bytes,
        .space = 1,
    };
    memset((char *)server->pool.base + content.offset, stored->fill, stored->bytes);
    (void)slot_publish(&server->view.lines[slot], &content);
    assert_true(hint_add(&server->view, &content.key, HINT_HOT, slot));
}

static uint32_t find_hot(const struct double_server *server, const struct key *key)
{
    for (uint32_t i = 0; i < DOUBLE_SLOTS; i++) {
        const struct slot_line *line = &server->view.lines[i];
        if (slot_state_of(slot_load_state(line)) == SLOT_VALID && slot_holds(line, key, 1)) {
            return i;
        }
    }
    return HINT_NONE;
}

static void spoil_part(enum double_spoil spoil, struct reply *part)
{
    part->cookie += spoil == DOUBLE_PART_COOKIE ? 1 : 0;
    part->number += spoil == DOUBLE_PART_NUMBER ? DOUBLE_BATCH_BLOCKS : 0;
    part->slot += spoil == DOUBLE_PART_SLOT ? DOUBLE_SLOTS : 0;
    part->offset += spoil == DOUBLE_PART_OFFSET ? (uint64_t)DOUBLE_SLOTS * DOUBLE_BLOCK : 0;
    part->offset += spoil == DOUBLE_PART_ALIGNMENT ? 64 : 0;
    part->bytes -= spoil == DOUBLE_PART_BYTES ? 1 : 0;
    if (spoil == DOUBLE_PART_WRAPPED) {
        part->offset = UINT64_MAX - DOUBLE_BLOCK + 1;
        part->bytes = 2 * DOUBLE_BLOCK;
    }
    part->generation += spoil == DOUBLE_PART_GENERATION ? 1 : 0;
}

static void send_part(struct double_server *server, const struct double_batch *batch, uint32_t at)
{
    uint32_t slot = batch->slots[at];
    if (slot == HINT_NONE) {
        return;
    }
    uint64_t state = slot_load_state(&server->view.lines[slot]);
    bool valid = slot_state_of(state) == SLOT_VALID;
    struct reply part = {
        .type = REPLY_PART,
        .cookie = batch->first.cookie,
        .slot = slot,
        .bytes = batch->first.bytes,
        .generation = slot_generation_of(state) - (valid ? 1 : 0),
        .offset = (uint64_t)slot * DOUBLE_BLOCK,
        .number = at,
    };
    spoil_part(server->fetching.spoil, &part);
    double_reply(server, batch->session, batch->seat, &part);
    if (server->fetching.spoil == DOUBLE_PART_TWICE) {
        part.offset = (uint64_t)DOUBLE_SLOTS * DOUBLE_BLOCK;
        double_reply(server, batch->session, batch->seat, &part);
    }
}

static void send_parts(struct double_server *server, const struct double_batch *batch)
{
    bool wanted = batch->first.bytes > 0 || server->fetching.spoil == DOUBLE_PART_UNASKED;
    for (uint32_t i = 0; wanted && i < batch->count; i++) {
        send_part(server, batch, i);
    }
}

static void answer(struct double_server *server, struct double_batch *batch)
{
    enum double_spoil spoil = server->fetching.spoil;
    uint32_t hot = 0;
    while (hot < batch->count && double_is_hot(server, &batch->keys[hot])) {
        hot++;
    }
    struct reply reply = {
        .type = spoil == DOUBLE_TYPE ? REPLY_WAIT : REPLY_FETCH,
        .status = hot == batch->count ? STATUS_OK : STATUS_MISS,
        .cookie = batch->first.cookie + (spoil == DOUBLE_COOKIE ? 1000 : 0),
        .slot = spoil == DOUBLE_COUNT ? batch->count + 1 : hot,
        .flags = REPLY_LAST,
    };
    if (spoil == DOUBLE_STATUS || server->fetching.refuses != 0) {
        reply.status = spoil == DOUBLE_STATUS ? STATUS_OTHER : server->fetching.refuses;
    }
    batch->used = false;
    if (server->sessions[batch->session].socket < 0) {
        return;
    }
    if ((batch->first.flags & REQUEST_EVENT) != 0) {
        double_event(server, batch->session, &reply);
    } else if ((batch->first.flags & REQUEST_AHEAD) == 0) {
        double_reply(server, batch->session, batch->seat, &reply);
    }
}

/* The rest of the blocks arrives, or does not. */
static void finish(struct double_server *server, struct double_batch *batch, bool come)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct double_stored *stored = find_stored(server, &batch->keys[i]);
        uint32_t slot = batch->slots[i];
        if (slot == HINT_NONE && come && stored != NULL && !double_is_hot(server, &stored->key)) {
            slot = begin_load(server, stored, 0);
        }
        bool loading = slot != HINT_NONE &&
                       slot_state_of(slot_load_state(&server->view.lines[slot])) == SLOT_LOADING;
        if (loading && come) {
            end_load(server, stored, slot);
        } else if (loading) {
            slot_free(&server->view.lines[slot]);
        }
        batch->slots[i] = come ? find_hot(server, &batch->keys[i]) : HINT_NONE;
    }
    if (!server->fetching.parts) {
        send_parts(server, batch);
    }
    answer(server, batch);
}

/* A batch is whole. */
static void take(struct double_server *server, struct double_batch *batch)
{
    batch->whole = true;
    server->seen.last = *batch;
    server->seen.batches++;
    if (server->fetching.refuses != 0) {
        answer(server, batch);
        return;
    }
    for (uint32_t i = 0; server->fetching.parts && i < batch->count; i++) {
        const struct double_stored *stored = find_stored(server, &batch->keys[i]);
        batch->slots[i] = find_hot(server, &batch->keys[i]);
        if (batch->slots[i] == HINT_NONE && stored != NULL) {
            batch->slots[i] = begin_load(server, stored, batch->first.bytes);
        }
    }
    if (server->fetching.spoil == DOUBLE_PART_LATE) {
        answer(server, batch);
    }
    if (server->fetching.parts) {
        send_parts(server, batch);
    } else if (!server->fetching.holds) {
        finish(server, batch, true);
    }
}

void double_fetch(
    struct double_server *server, uint32_t session, uint32_t seat, const struct request *request)
{
    struct double_batch *batch = NULL;
    for (uint32_t i = 0; i < DOUBLE_BATCHES; i++) {
        struct double_batch *at = &server->batches[i];
        bool begun = at->used && !at->whole && at->session == session && at->seat == seat;
        if (begun && (at->first.cookie != request->cookie ||
                         at->first.count - at->count != request->count)) {
            at->used = false; /* the client gave it up */
            server->seen.cut++;
            begun = false;
        }
        batch = begun || (batch == NULL && !at->used) ? at : batch;
    }
    assert_non_null(batch);
    if (!batch->used) {
        *batch = (struct double_batch){
            .used = true, .session = session, .seat = seat, .first = *request};
    }
    assert_true(batch->count < DOUBLE_BATCH_BLOCKS);
    batch->keys[batch->count] = request->key;
    if ((request->flags & REQUEST_PARENT) != 0) {
        batch->parents[batch->count] = request->parent;
    }
    batch->slots[batch->count] = HINT_NONE;
    batch->count++;
    if (request->count == 0) {
        take(server, batch);
    }
}

void double_fetch_cancel(struct double_server *server, uint32_t session, uint64_t cookie)
{
    for (uint32_t i = 0; i < DOUBLE_BATCHES; i++) {
        struct double_batch *batch = &server->batches[i];
        if (batch->used && batch->session == session && batch->first.cookie == cookie &&
            (batch->first.flags & REQUEST_EVENT) == 0) {
            batch->used = false;
            server->seen.cancels++;
        }
    }
}

void double_store(
    struct double_server *server, const struct cistern_key *key, uint8_t fill, uint32_t bytes)
{
    double_add_cold(server, key);
    double_keep(server, key, fill, bytes);
}

void double_keep(
    struct double_server *server, const struct cistern_key *key, uint8_t fill, uint32_t bytes)
{
    (void)pthread_mutex_lock(&server->lock);
    uint32_t at = 0;
    while (at < DOUBLE_STORED && server->stored[at].used) {
        at++;
    }
    assert_true(at < DOUBLE_STORED);
    server->stored[at] = (struct double_stored){.used = true, .fill = fill, .bytes = bytes};
    memcpy(&server->stored[at].key, key, sizeof *key);
    (void)pthread_mutex_unlock(&server->lock);
}

void double_look(struct double_server *server, struct double_seen *out_seen)
{
    (void)pthread_mutex_lock(&server->lock);
    *out_seen = server->seen;
    (void)pthread_mutex_unlock(&server->lock);
}

void double_mute(struct double_server *server, bool mute)
{
    (void)pthread_mutex_lock(&server->lock);
    server->mute = mute;
    (void)pthread_mutex_unlock(&server->lock);
}

void double_fetches(struct double_server *server, const struct double_fetching *fetching)
{
    (void)pthread_mutex_lock(&server->lock);
    server->fetching = *fetching;
    (void)pthread_mutex_unlock(&server->lock);
}

void double_finish(struct double_server *server, bool come)
{
    (void)pthread_mutex_lock(&server->lock);
    for (uint32_t i = 0; i < DOUBLE_BATCHES; i++) {
        if (server->batches[i].used && server->batches[i].whole) {
            finish(server, &server->batches[i], come);
        }
    }
    (void)pthread_mutex_unlock(&server->lock);
}
