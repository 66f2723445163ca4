/* batch: see batch.h. */
#include "libclient/batch.h"

#include "libclient/hit.h"
#include "libclient/match.h"
#include "libclient/why.h"
#include "shm/status.h"

#include <assert.h>

#define AHEAD_NS MOMENT_MS /* how long a hint waits for room */

int batch_find(struct cistern *handle, struct core_seat *seat, const struct cistern_key *keys,
    size_t count, struct batch *out_batch)
{
    assert(count > 0 && count <= REQUEST_FETCH_MAX);
    size_t hot = 0;
    int status = match_hot(handle, seat->attach, keys, count, &hot);
    if (status != STATUS_OK) {
        return status;
    }
    size_t cold = match_cold(seat->attach, keys + hot, count - hot);
    *out_batch = (struct batch){.keys = keys, .hot = hot, .count = (uint32_t)cold};
    return STATUS_OK;
}

static void fill(
    struct core_seat *seat, const struct batch *batch, struct request *request, uint32_t number)
{
    const struct cistern_key *key = &batch->keys[batch->hot + number];
    request->count = batch->count - 1 - number;
    request->key = hit_key(key);
    if (key != batch->keys) {
        request->flags |= REQUEST_PARENT;
        request->parent = hit_key(key - 1);
    }
    ring_fill(&seat->lane->requests, request);
}

int batch_send(struct cistern *handle, struct core_seat *seat, const struct batch *batch,
    const struct request *common, uint64_t deadline_ns)
{
    struct request request = *common;
    uint32_t sent = 0;
    while (sent < batch->count) {
        uint32_t left = batch->count - sent;
        uint32_t room = 0;
        int status =
            call_room(handle, seat, left < BATCH_GROUP ? left : BATCH_GROUP, deadline_ns, &room);
        if (status != STATUS_OK) {
            return status;
        }
        uint32_t end = sent + (room < left ? room : left);
        while (sent < end) {
            fill(seat, batch, &request, sent++);
        }
        call_show(seat);
    }
    return STATUS_OK;
}

int batch_ahead(
    struct cistern *handle, struct core_seat *seat, const struct batch *batch, uint32_t flags)
{
    uint64_t until = moment_now_ns() + AHEAD_NS;
    struct batch part = *batch;
    uint32_t left = batch->count;
    int status = STATUS_OK;
    while (status == STATUS_OK && left > 0) {
        /* As many batches as it takes, each of what there is room for: none is cut half-way. */
        uint32_t room = 0;
        status = call_room(handle, seat, 1, until, &room);
        if (status == STATUS_OK) {
            struct request common = {.type = REQUEST_FETCH,
                .flags = REQUEST_AHEAD | flags,
                .cookie = ++seat->lane->cookie};
            part.count = room < left ? room : left;
            status = batch_send(handle, seat, &part, &common, until);
            part.hot += part.count;
            left -= part.count;
        }
    }
    /* The sidecar is behind: it has more urgent things to do than what nobody waits for. */
    return status == STATUS_BUSY ? STATUS_OK : status;
}

/* An answer is foreign: only what the question allows is passed on. */
static int checked(const struct reply *answer)
{
    if (answer->type != REPLY_FETCH || answer->status > STATUS_MISS) {
        return why_failed(STATUS_MALFORMED, "the sidecar answered a fetch with type %u, status %d",
            answer->type, answer->status);
    }
    return answer->status < 0
               ? why_failed(answer->status, "the sidecar says: %s", status_meaning(answer->status))
               : answer->status;
}

int batch_ask(struct cistern *handle, struct core_seat *seat, const struct batch *batch,
    uint64_t bytes, int64_t timeout_ns, struct call_parts *parts)
{
    assert(batch->count > 0 && timeout_ns >= 0);
    struct attach_lane *lane = seat->lane;
    uint64_t deadline = call_late(moment_after_ns(timeout_ns));
    struct request common = {
        .type = REQUEST_FETCH,
        .cookie = call_expect(seat),
        .bytes = bytes,
        .timeout_ns = (uint64_t)timeout_ns,
    };
    lane->parts = parts;
    int sent = batch_send(handle, seat, batch, &common, deadline);
    int status = sent;
    while (status == STATUS_OK && !lane->answered &&
           (parts == NULL || parts->arrived < parts->count)) {
        status = call_wait(handle, seat, deadline);
    }
    lane->awaited = 0;
    if (status == STATUS_BUSY) {
        status = call_cancel(handle, seat, common.cookie);
    }
    lane->parts = NULL;
    if (lane->answered) {
        return checked(&lane->answer);
    }
    return sent == STATUS_BUSY && status == STATUS_MISS ? sent : status;
}
