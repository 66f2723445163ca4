/* lease: see lease.h. The counts are words of this process alone, between its own threads; none of
 * them lies in shared memory. */
#include "libclient/python/lease.h"

#include <stdlib.h>

struct lease *lease_open(struct anchor *anchor, uint32_t room, bool of_slots)
{
    size_t each = of_slots ? sizeof(struct cistern_slot) : sizeof(struct cistern_view);
    struct lease *lease = calloc(1, sizeof *lease + room * sizeof lease->looks[0]);
    void *held = calloc(room, each);
    uintptr_t *streams = of_slots ? NULL : calloc(room, sizeof *streams);
    if (lease == NULL || held == NULL || (!of_slots && streams == NULL)) {
        free(lease);
        free(held);
        free(streams);
        return NULL;
    }
    lease->streams = streams;
    lease->views = of_slots ? NULL : held;
    lease->slots = of_slots ? held : NULL;
    lease->anchor = anchor;
    anchor_take(anchor);
    atomic_store_explicit(&lease->users, 1, memory_order_relaxed);
    return lease;
}

void lease_fill(struct lease *lease, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        atomic_store_explicit(&lease->looks[i], 1, memory_order_relaxed);
    }
    lease->count = count;
    atomic_store_explicit(&lease->live, count, memory_order_relaxed);
    if (count == 0) {
        anchor_drop(lease->anchor);
    }
}

void lease_hold(struct lease *lease)
{
    (void)atomic_fetch_add_explicit(&lease->users, 1, memory_order_relaxed);
}

void lease_let_go(struct lease *lease)
{
    /* acq_rel: what the others did comes before the memory goes. */
    if (atomic_fetch_sub_explicit(&lease->users, 1, memory_order_acq_rel) == 1) {
        free(lease->views);
        free(lease->slots);
        free(lease->streams);
        free(lease);
    }
}

/* `count` blocks or slots less to keep the client open for. */
static void end_use(struct lease *lease, uint32_t count)
{
    /* acq_rel: what was done with the others comes before the client is closed. */
    if (atomic_fetch_sub_explicit(&lease->live, count, memory_order_acq_rel) == count) {
        anchor_drop(lease->anchor);
    }
}

/* A view that a stream reads. If the driver refuses, nobody knows when the reading ends: then the
 * block stays pinned until the client is closed, unless the device is lost and reads no more. */
static void release_behind(struct lease *lease, uint32_t index)
{
    void *stream = (void *)(lease->streams[index] - 1);
    int status = cistern_device_release(lease->anchor->device, &lease->views[index], 1, stream);
    if (status == CISTERN_DEVICE_LOST) {
        (void)cistern_release(lease->anchor->handle, &lease->views[index], 1);
    }
}

/* The last look at it ended. */
static void end(struct lease *lease, uint32_t index)
{
    if (lease->views != NULL && lease->streams[index] != 0) {
        release_behind(lease, index);
    } else if (lease->views != NULL) {
        (void)cistern_release(lease->anchor->handle, &lease->views[index], 1);
    } else {
        anchor_give_back(lease->anchor, &lease->slots[index]);
    }
    end_use(lease, 1);
}

bool lease_look(struct lease *lease, uint32_t index)
{
    uint32_t looks = atomic_load_explicit(&lease->looks[index], memory_order_relaxed);
    do {
        if (looks == 0) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(
        &lease->looks[index], &looks, looks + 1, memory_order_relaxed, memory_order_relaxed));
    lease_hold(lease);
    return true;
}

/* acq_rel: all reads and writes of those who looked come before the pin or the grant ends. */
static bool was_last(struct lease *lease, uint32_t index)
{
    return atomic_fetch_sub_explicit(&lease->looks[index], 1, memory_order_acq_rel) == 1;
}

void lease_look_away(struct lease *lease, uint32_t index)
{
    if (was_last(lease, index)) {
        end(lease, index);
    }
    lease_let_go(lease);
}

int lease_look_on(struct lease *lease, uint32_t index, void *stream)
{
    const uintptr_t mark = (uintptr_t)stream + 1;
    if (lease->streams[index] != 0 && lease->streams[index] != mark) {
        return CISTERN_BUSY;
    }
    if (!lease_look(lease, index)) {
        return CISTERN_STALE;
    }
    if (lease->anchor->device == NULL) {
        lease_look_away(lease, index);
        return CISTERN_UNSUPPORTED;
    }
    lease->streams[index] = mark; /* under the look: whoever ends it comes later */
    return CISTERN_OK;
}

void lease_leave(struct lease *lease, uint32_t index)
{
    if (was_last(lease, index)) {
        end(lease, index);
    }
}

void lease_leave_all(struct lease *lease)
{
    uint32_t first = 0; /* of a run of views whose last look this was: one call for all of them */
    for (uint32_t i = 0; i <= lease->count; i++) {
        bool last = i < lease->count && was_last(lease, i);
        if (last && lease->streams[i] == 0) {
            continue;
        }
        if (last) {
            end(lease, i);
        }
        if (i > first) {
            (void)cistern_release(lease->anchor->handle, &lease->views[first], i - first);
            end_use(lease, i - first);
        }
        first = i + 1;
    }
}

bool lease_is_live(const struct lease *lease, uint32_t index)
{
    return atomic_load_explicit(&lease->looks[index], memory_order_relaxed) != 0;
}

int lease_commit(struct lease *lease, uint32_t index, const struct cistern_key *key,
    const struct cistern_key *parent, uint64_t bytes)
{
    uint32_t looks = 1;
    /* From 1 to 0 in one step, so that nobody begins to look meanwhile. acq_rel as in was_last. */
    if (!atomic_compare_exchange_strong_explicit(
            &lease->looks[index], &looks, 0, memory_order_acq_rel, memory_order_relaxed)) {
        return looks == 0 ? CISTERN_STALE : CISTERN_PENDING;
    }
    int status = cistern_commit(lease->anchor->handle, &lease->slots[index], key, parent, bytes);
    bool still_lent = status == CISTERN_TOO_LARGE || status == CISTERN_BUSY ||
                      status == CISTERN_THREADS || status == CISTERN_INVALID;
    if (still_lent) {
        atomic_store_explicit(&lease->looks[index], 1, memory_order_relaxed);
    } else {
        end_use(lease, 1);
    }
    return status;
}
