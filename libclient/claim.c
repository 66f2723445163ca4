/* claim: "I am computing this block now", and waiting for whoever said so first. */
#include "libclient/answer.h"
#include "libclient/call.h"
#include "libclient/hit.h"
#include "libclient/match.h"
#include "libclient/moment.h"
#include "libclient/thread.h"
#include "libclient/why.h"
#include "shm/status.h"

#define ASK_NS (1000 * MOMENT_MS) /* how long a question may take that has no timeout of its own */

/* What claims and waits begin with: a seat, and a look whether there is anything to ask.
 * Returns 0, STATUS_MISS if the sidecar must be asked, or a failure. */
static int begin(struct cistern *handle, const struct cistern_key *key, struct key *out_key,
    struct core_seat **out_seat)
{
    if (handle == NULL || key == NULL) {
        return why_failed(STATUS_INVALID, "the handle or the key is NULL");
    }
    struct core_seat *seat;
    int status = thread_enter(handle, &seat);
    if (status != STATUS_OK) {
        return status;
    }
    *out_key = hit_key(key);
    *out_seat = seat;
    return match_is_hot(seat->attach, out_key) ? STATUS_OK : STATUS_MISS;
}

/* An answer is foreign: only what the question allows is passed on. */
static int checked(int status)
{
    if (status > STATUS_OTHER || status == STATUS_PENDING) {
        return why_failed(STATUS_MALFORMED, "the sidecar answered with status %d", status);
    }
    return status < 0 ? why_failed(status, "the sidecar says: %s", status_meaning(status)) : status;
}

int cistern_claim(cistern_t *handle, const struct cistern_key *key)
{
    struct request request = {.type = REQUEST_CLAIM};
    struct core_seat *seat = NULL;
    int status = begin(handle, key, &request.key, &seat);
    if (status != STATUS_MISS) {
        return status;
    }
    return checked(call_ask(handle, seat, &request, moment_now_ns() + ASK_NS));
}

int cistern_unclaim(cistern_t *handle, const struct cistern_key *key)
{
    struct request request = {.type = REQUEST_UNCLAIM};
    struct core_seat *seat = NULL;
    int status = begin(handle, key, &request.key, &seat);
    if (status < 0) {
        return status;
    }
    return call_send(handle, seat, &request, moment_now_ns() + ASK_NS);
}

int cistern_wait(cistern_t *handle, const struct cistern_key *key, int64_t timeout_ns)
{
    if (timeout_ns < 0) {
        return why_failed(STATUS_INVALID, "cistern_wait: timeout_ns is below 0");
    }
    struct request request = {.type = REQUEST_WAIT, .timeout_ns = (uint64_t)timeout_ns};
    struct core_seat *seat = NULL;
    int status = begin(handle, key, &request.key, &seat);
    if (status != STATUS_MISS) {
        return status;
    }
    status = call_ask(handle, seat, &request, call_late(moment_after_ns(timeout_ns)));
    if (status == STATUS_BUSY) {
        /* A claim that is passed on to nobody would keep others waiting. */
        status = call_cancel(handle, seat, request.cookie);
    }
    return checked(status);
}

int cistern_wait_async(
    cistern_t *handle, const struct cistern_key *key, int64_t timeout_ns, uint64_t cookie)
{
    if (timeout_ns < 0) {
        return why_failed(STATUS_INVALID, "cistern_wait_async: timeout_ns is below 0");
    }
    struct request request = {
        .type = REQUEST_WAIT, .flags = REQUEST_EVENT, .timeout_ns = (uint64_t)timeout_ns};
    struct core_seat *seat = NULL;
    int hot = begin(handle, key, &request.key, &seat);
    if (hot < 0) {
        return hot;
    }
    const struct core_wait wait = {
        .cookie = cookie,
        .attach = seat->attach->id,
        .status = hot == STATUS_OK ? STATUS_OK : STATUS_PENDING,
    };
    uint64_t number = 0;
    int status = answer_expect(handle, &wait, &number);
    if (status != STATUS_OK || number == 0) {
        return status == STATUS_OK ? STATUS_PENDING : status;
    }
    request.cookie = number;
    status = call_send(handle, seat, &request, moment_now_ns() + ASK_NS);
    return answer_sent(handle, number, status);
}
