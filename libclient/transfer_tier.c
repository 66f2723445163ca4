/* transfer_tier: what needs the sidecar's memory of the device: slots in it, and copies to it. See
 * transfer.h. */
#include "libclient/batch.h"
#include "libclient/hit.h"
#include "libclient/match.h"
#include "libclient/reserve.h"
#include "libclient/thread.h"
#include "libclient/transfer.h"
#include "libclient/why.h"
#include "shm/status.h"

/* Returns 0 or STATUS_UNSUPPORTED. */
static int need_place(const struct cistern_device *device, const char *what)
{
    return transfer_in_place(device)
               ? STATUS_OK
               : why_failed(STATUS_UNSUPPORTED,
                     "%s: the device is not that of the handle's cistern_options.device", what);
}

int cistern_device_reserve(cistern_device_t *device, size_t count, int64_t timeout_ns,
    struct cistern_slot *out_slots, size_t *out_count)
{
    static const char what[] = "cistern_device_reserve";
    if (device == NULL) {
        return why_failed(STATUS_INVALID, "%s: device is NULL", what);
    }
    int status = need_place(device, what);
    if (status == STATUS_OK && core_is_forked(device->handle)) {
        status = why_failed(STATUS_FORKED, "the device belongs to the parent process");
    }
    if (status != STATUS_OK) {
        return status;
    }
    (void)transfer_settle(device); /* what is not committed yet counts as lent */
    return reserve_slots(
        device->handle, BOOK_DEVICE, what, count, timeout_ns, out_slots, out_count);
}

/* Blocks at the start of `keys` that are hot, or hot on the device. */
static size_t count_hot(
    const struct attach *attach, const struct cistern_key *keys, size_t count, bool on_device)
{
    size_t hot = 0;
    while (hot < count) {
        struct key key = hit_key(&keys[hot]);
        if (!(on_device ? match_is_in(attach, &key, BOOK_DEVICE) : match_is_hot(attach, &key))) {
            break;
        }
        hot++;
    }
    return hot;
}

int cistern_device_prefetch(cistern_device_t *device, const struct cistern_key *keys, size_t count)
{
    static const char what[] = "cistern_device_prefetch";
    if (device == NULL || keys == NULL || count == 0 || count > REQUEST_FETCH_MAX) {
        return why_failed(STATUS_INVALID, "%s: an argument is NULL, or count is not 1 to %u", what,
            REQUEST_FETCH_MAX);
    }
    struct core_seat *seat;
    int status = need_place(device, what);
    if (status == STATUS_OK) {
        status = thread_enter(device->handle, &seat);
    }
    if (status != STATUS_OK) {
        return status;
    }
    const struct attach *attach = seat->attach;
    if (attach->slabs == NULL) {
        return why_failed(STATUS_UNSUPPORTED, "%s", attach->device_why);
    }
    struct batch batch = {.keys = keys, .hot = count_hot(attach, keys, count, true)};
    batch.count = (uint32_t)count_hot(attach, keys + batch.hot, count - batch.hot, false);
    return batch_ahead(device->handle, seat, &batch, REQUEST_DEVICE);
}
