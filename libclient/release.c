/* release: end the reading of views. R8 of ordering 2 (shm/README.md): a record is cleared with
 * release, after the last byte was read. Any thread may do it, also for views of a sidecar that
 * is gone. */
#include "libclient/hit.h"
#include "libclient/reattach.h"
#include "libclient/thread.h"
#include "libclient/why.h"
#include "shm/pin.h"
#include "shm/status.h"

/* Does the record still hold the very pin that the view came with? */
static inline bool is_pinned(
    const struct attach_lane *lane, uint32_t record, const struct cistern_view *view)
{
    return shared32_load_relaxed(&lane->tickets[record]) == view->opaque[3] &&
           shared32_load_relaxed(&lane->pins.records[record]) == view->opaque[0] + 1;
}

/* The ticket goes before the record: a record that is pinned again has no ticket until its own view
 * is made, so an old copy of this view can never end that pin. Ordered by the record's release. */
static inline void void_ticket(struct attach_lane *lane, uint32_t record)
{
    shared32_store_relaxed(&lane->tickets[record], 0);
}

/* Another thread's pin, or one of an older attachment. The lock keeps that one mapped. */
__attribute__((cold, noinline)) static bool release_foreign(
    struct cistern *handle, const struct cistern_view *view)
{
    uint32_t index = view->opaque[1] >> 16;
    uint32_t record = view->opaque[1] & 0xffff;
    bool released = false;
    (void)pthread_mutex_lock(&handle->lock);
    struct attach *attach = reattach_find(handle, view->opaque[2]);
    if (attach != NULL && index < attach->shape.seats && record < attach->shape.pins &&
        is_pinned(&attach->lanes[index], record, view)) {
        void_ticket(&attach->lanes[index], record);
        pin_drop_foreign(&attach->lanes[index].pins.records[record]);
        released = true;
    }
    bool old = handle->old != NULL;
    if (old) {
        reattach_sweep(handle); /* it may have been the last view of an older attachment */
    }
    (void)pthread_mutex_unlock(&handle->lock);
    if (old) {
        card_sweep(handle);
    }
    return released;
}

int cistern_release(cistern_t *handle, struct cistern_view *views, size_t count)
{
    if (handle == NULL || views == NULL) {
        return why_failed(STATUS_INVALID, "cistern_release: an argument is NULL");
    }
    if (core_is_forked(handle)) {
        return why_failed(STATUS_FORKED, "the views are pinned by the parent process");
    }
    const struct core_seat *seat = thread_seat(handle);
    uint32_t ours = seat == NULL ? 0 : seat->attach->id;
    size_t stale = 0;
    for (size_t i = count; i-- > 0;) {
        struct cistern_view *view = &views[i];
        uint32_t record = view->opaque[1] & 0xffff;
        if (LIKELY(ours != 0 && view->opaque[2] == ours && view->opaque[1] >> 16 == seat->index &&
                   record < seat->lane->pins.count)) {
            if (LIKELY(is_pinned(seat->lane, record, view))) {
                void_ticket(seat->lane, record);
                pin_drop(&seat->lane->pins, record);
            } else {
                stale++;
            }
        } else if (!release_foreign(handle, view)) {
            stale++;
        }
        /* A view that is released twice is found out even if its pin was used again meanwhile. */
        view->data = NULL;
        view->opaque[2] = 0;
    }
    if (stale > 0) {
        return why_failed(STATUS_STALE, "%zu of %zu views were released before", stale, count);
    }
    return STATUS_OK;
}
