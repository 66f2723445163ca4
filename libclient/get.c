/* get: copy a hot block out: pin, copy, look once more, unpin.
 *
 * The second look is not needed while everybody keeps the protocol. It turns a broken sidecar, a
 * late device or a revoked lane from wrong KV into a miss and a count (shm/README.md, ordering
 * 2). What a device alone has comes through the device: a copy in a stream, waited for. */
#include "libclient/hit.h"
#include "libclient/thread.h"
#include "libclient/why.h"
#include "shm/pin.h"
#include "shm/status.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Is what was copied still what the slot held when it was pinned? */
static bool unchanged(const struct attach *attach, const struct hit *hit)
{
    /* The copy's loads come before the second look at the version. */
    shared_fence_acquire();
    uint64_t state = shared64_load_relaxed(&attach->index.lines[hit->slot].state);
    return slot_generation_of(state) == slot_generation_of(hit->state);
}

/* Returns false if it is only on a device that does not give it out. */
static bool copy(struct cistern *handle, const struct attach *attach, const struct hit *hit,
    void *out_data, uint64_t bytes)
{
    if (!hit_is_host(attach, hit->slot)) {
        return card_copy_out(handle, hit_data(attach, hit), out_data, bytes) == STATUS_OK;
    }
    memcpy(out_data, hit_data(attach, hit), bytes);
    return true;
}

/* Copy the pinned block and check it. Returns 0, STATUS_MISS or STATUS_TOO_LARGE. */
static int copy_out(struct cistern *handle, struct core_seat *seat, const struct hit *hit,
    void *out_data, uint64_t room)
{
    const struct attach *attach = seat->attach;
    uint64_t bytes = hit->place.bytes;
    if (bytes > room) {
        return why_failed(STATUS_TOO_LARGE, "the block has %llu bytes, the room %llu",
            (unsigned long long)bytes, (unsigned long long)room);
    }
    if (!copy(handle, attach, hit, out_data, bytes)) {
        return STATUS_MISS;
    }
    if (!unchanged(attach, hit)) {
        core_count(seat, CORE_VIOLATIONS, 1);
        return STATUS_MISS;
    }
    if ((handle->flags & CISTERN_CHECKSUM) != 0 && (hit->place.flags & SLOT_CHECKSUM) != 0 &&
        XXH3_64bits(out_data, bytes) != hit->place.checksum) {
        core_count(seat, CORE_CHECKSUM_FAILURES, 1);
        return STATUS_MISS;
    }
    return STATUS_OK;
}

int cistern_get(cistern_t *handle, const struct cistern_key *key, void *out_data, uint64_t room,
    uint64_t *out_bytes)
{
    if (handle == NULL || key == NULL || out_data == NULL || out_bytes == NULL) {
        return why_failed(STATUS_INVALID, "cistern_get: an argument is NULL");
    }
    struct core_seat *seat;
    int status = thread_enter(handle, &seat);
    if (status != STATUS_OK) {
        return status;
    }
    struct key wanted = hit_key(key);
    struct hit hit;
    status = hit_pin_host(handle, seat, &wanted, &hit);
    if (status != STATUS_OK) {
        return status;
    }
    status = copy_out(handle, seat, &hit, out_data, room);
    pin_drop(&seat->lane->pins, hit.record); /* R8 */
    if (status == STATUS_OK) {
        *out_bytes = hit.place.bytes;
    }
    return status;
}
