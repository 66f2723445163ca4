/* put: copy a block in and publish it, for callers whose blocks lie elsewhere; and the wait
 * until the sidecar has read all that a thread sent. Built on reserve and commit alone. */
#include "libclient/call.h"
#include "libclient/hit.h"
#include "libclient/match.h"
#include "libclient/moment.h"
#include "libclient/thread.h"
#include "libclient/why.h"
#include "shm/status.h"

#define PUT_NS (100 * MOMENT_MS) /* how long a free slot is waited for */

int cistern_put(cistern_t *handle, const struct cistern_key *key, const struct cistern_key *parent,
    const void *data, uint64_t bytes)
{
    if (handle == NULL || key == NULL || data == NULL || bytes == 0) {
        return why_failed(STATUS_INVALID, "cistern_put: an argument is NULL, or bytes is 0");
    }
    if (bytes > handle->hello.space.block_bytes) {
        return why_failed(STATUS_TOO_LARGE, "%llu bytes in a namespace of blocks of %llu",
            (unsigned long long)bytes, (unsigned long long)handle->hello.space.block_bytes);
    }
    struct core_seat *seat;
    int status = thread_enter(handle, &seat);
    if (status != STATUS_OK) {
        return status;
    }
    struct key wanted = hit_key(key);
    if (match_is_in(seat->attach, &wanted, BOOK_HOST)) {
        return STATUS_OK; /* the first writer has won already: spare the copy */
    }
    struct cistern_slot slot;
    size_t count;
    status = cistern_reserve(handle, 1, PUT_NS, &slot, &count);
    if (status != STATUS_OK) {
        return status;
    }
    if (bytes <= slot.bytes) {
        memcpy(slot.data, data, bytes);
    }
    status = cistern_commit(handle, &slot, key, parent, bytes);
    if (status == STATUS_TOO_LARGE || status == STATUS_BUSY) {
        (void)cistern_abort(handle, &slot);
    }
    return status;
}

int cistern_flush(cistern_t *handle, int64_t timeout_ns)
{
    if (handle == NULL || timeout_ns < 0) {
        return why_failed(STATUS_INVALID, "cistern_flush: handle is NULL, or timeout_ns below 0");
    }
    struct core_seat *seat;
    int status = thread_enter(handle, &seat);
    if (status != STATUS_OK) {
        return status;
    }
    struct request request = {.type = REQUEST_FENCE};
    status = call_ask(handle, seat, &request, moment_after_ns(timeout_ns));
    return status == STATUS_BUSY ? why_failed(status, "the sidecar is still busy") : status;
}
