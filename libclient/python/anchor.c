/* anchor: see anchor.h. */
#include "libclient/python/anchor.h"

#include "libclient/core.h"

#include <stdlib.h>

struct anchor *anchor_open(cistern_t *handle, bool read_only)
{
    struct anchor *anchor = calloc(1, sizeof *anchor);
    if (anchor != NULL) {
        anchor->handle = handle;
        anchor->read_only = read_only;
        atomic_store_explicit(&anchor->users, 1, memory_order_relaxed);
    }
    return anchor;
}

void anchor_open_device(struct anchor *anchor)
{
    const struct card *card = &anchor->handle->card;
    if (card_is_open(card) &&
        cistern_device_open(anchor->handle, NULL, &anchor->device) == CISTERN_OK) {
        anchor->ordinal = card->gpu.device;
    }
}

void anchor_take(struct anchor *anchor)
{
    (void)atomic_fetch_add_explicit(&anchor->users, 1, memory_order_relaxed);
}

void anchor_drop(struct anchor *anchor)
{
    /* acq_rel: all that the other users did comes before the close. */
    if (atomic_fetch_sub_explicit(&anchor->users, 1, memory_order_acq_rel) == 1) {
        struct anchor_late *late = atomic_load_explicit(&anchor->late, memory_order_relaxed);
        while (late != NULL) {
            struct anchor_late *next = late->next;
            free(late); /* closing gives all slots back */
            late = next;
        }
        cistern_device_close(&anchor->device);
        cistern_close(&anchor->handle);
        free(anchor);
    }
}

static void keep_late(struct anchor *anchor, const struct cistern_slot *slot)
{
    struct anchor_late *late = malloc(sizeof *late);
    if (late == NULL) {
        return; /* lent until the handle is closed */
    }
    late->slot = *slot;
    late->next = atomic_load_explicit(&anchor->late, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(
        &anchor->late, &late->next, late, memory_order_release, memory_order_relaxed)) {
    }
}

void anchor_give_back(struct anchor *anchor, const struct cistern_slot *slot)
{
    struct cistern_slot copy = *slot;
    int status = cistern_abort(anchor->handle, &copy);
    if (status == CISTERN_BUSY || status == CISTERN_THREADS) {
        keep_late(anchor, slot);
    }
}

void anchor_settle(struct anchor *anchor)
{
    if (atomic_load_explicit(&anchor->late, memory_order_relaxed) == NULL) {
        return;
    }
    /* acquire: partner is the release in keep_late(). */
    struct anchor_late *late = atomic_exchange_explicit(&anchor->late, NULL, memory_order_acquire);
    while (late != NULL) {
        struct anchor_late *next = late->next;
        anchor_give_back(anchor, &late->slot);
        free(late);
        late = next;
    }
}
