/* fetch: bring the cold blocks of a prefix up: waiting for them, without waiting, or ahead of the
 * need. */
#include "libclient/answer.h"
#include "libclient/batch.h"
#include "libclient/match.h"
#include "libclient/thread.h"
#include "libclient/why.h"
#include "shm/status.h"

#define ASK_NS (1000 * MOMENT_MS) /* how long a call that waits for no answer may wait for room */

/* What the three begin with: a seat, and a look at what there is to ask for. */
static int begin(struct cistern *handle, const struct cistern_key *keys, size_t count,
    struct core_seat **out_seat, struct batch *out_batch)
{
    if (handle == NULL || keys == NULL || count == 0) {
        return why_failed(STATUS_INVALID, "the handle or the keys are NULL, or count is 0");
    }
    if (count > REQUEST_FETCH_MAX) {
        return why_failed(
            STATUS_INVALID, "%zu keys: a fetch is of at most %u blocks", count, REQUEST_FETCH_MAX);
    }
    int status = thread_enter(handle, out_seat);
    return status == STATUS_OK ? batch_find(handle, *out_seat, keys, count, out_batch) : status;
}

int cistern_fetch(cistern_t *handle, const struct cistern_key *keys, size_t count,
    int64_t timeout_ns, size_t *out_hot)
{
    if (timeout_ns < 0 || out_hot == NULL) {
        return why_failed(STATUS_INVALID, "cistern_fetch: timeout_ns is below 0, or no out_hot");
    }
    struct core_seat *seat = NULL;
    struct batch batch;
    int status = begin(handle, keys, count, &seat, &batch);
    if (status != STATUS_OK) {
        return status;
    }
    size_t hot = batch.hot;
    if (batch.count > 0) {
        status = batch_ask(handle, seat, &batch, 0, timeout_ns, NULL);
        if (status < 0) {
            return status;
        }
        /* The answer is the sidecar's word about the run; the index knows the whole prefix. */
        status = match_hot(handle, seat->attach, keys, count, &hot);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (hot == 0) {
        return STATUS_MISS;
    }
    *out_hot = hot;
    return STATUS_OK;
}

int cistern_fetch_async(cistern_t *handle, const struct cistern_key *keys, size_t count,
    int64_t timeout_ns, uint64_t cookie)
{
    if (timeout_ns < 0) {
        return why_failed(STATUS_INVALID, "cistern_fetch_async: timeout_ns is below 0");
    }
    struct core_seat *seat = NULL;
    struct batch batch;
    int status = begin(handle, keys, count, &seat, &batch);
    if (status != STATUS_OK) {
        return status;
    }
    struct core_wait wait = {
        .cookie = cookie,
        .attach = seat->attach->id,
        .status = STATUS_PENDING,
        .hot = (uint32_t)batch.hot,
        .asked = batch.count,
    };
    if (batch.count == 0) {
        wait.status = batch.hot > 0 ? STATUS_OK : STATUS_MISS;
    }
    uint64_t number = 0;
    status = answer_expect(handle, &wait, &number);
    if (status != STATUS_OK || number == 0) {
        return status == STATUS_OK ? STATUS_PENDING : status;
    }
    struct request common = {
        .type = REQUEST_FETCH,
        .flags = REQUEST_EVENT,
        .cookie = number,
        .timeout_ns = (uint64_t)timeout_ns,
    };
    status = batch_send(handle, seat, &batch, &common, moment_now_ns() + ASK_NS);
    return answer_sent(handle, number, status);
}

int cistern_prefetch(cistern_t *handle, const struct cistern_key *keys, size_t count)
{
    struct core_seat *seat = NULL;
    struct batch batch;
    int status = begin(handle, keys, count, &seat, &batch);
    return status == STATUS_OK ? batch_ahead(handle, seat, &batch, 0) : status;
}
