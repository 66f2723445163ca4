/* hit: find blocks in the index, pin them, believe them.
 *
 * cistern_acquire() is here; libclient/get and libclient/fetch_layers pin theirs the same way. R
 * numbers the steps of ordering 2 (shm/README.md). Always: a view leaves this file only after its
 * pin was written, the fence passed, and the descriptor read after it said VALID and held the key.
 */
#ifndef CISTERN_LIBCLIENT_HIT_H
#define CISTERN_LIBCLIENT_HIT_H

#include "libclient/core.h"
#include "shm/slot.h"

#include <string.h>

#define LIKELY(condition) __builtin_expect(!!(condition), 1)

/* One pinned block. */
struct hit {
    uint32_t slot;
    uint32_t record; /* of this thread's pins */
    uint64_t state; /* the descriptor's, when it was believed */
    struct slot_content place; /* all but the key; inside the mapped pool */
};

/* Callers' keys have no alignment. */
static inline struct key hit_key(const struct cistern_key *key)
{
    struct key copy;
    memcpy(&copy, key->bytes, sizeof copy);
    return copy;
}

/* Pin one block. Returns 0, STATUS_MISS, STATUS_PINS or STATUS_NO_SERVER. */
int hit_pin(
    struct cistern *handle, struct core_seat *seat, const struct key *key, struct hit *out_hit);

/* cistern_acquire() of more than one block, past its checks. */
int hit_acquire(struct cistern *handle, struct core_seat *seat, const struct cistern_key *keys,
    size_t count, struct cistern_view *out_views, size_t *out_count);

static inline uint32_t hit_ticket(struct attach_lane *lane, uint32_t record)
{
    lane->ticket += lane->ticket == UINT32_MAX ? 2 : 1; /* 0: no view */
    shared32_store_relaxed(&lane->tickets[record], lane->ticket);
    return lane->ticket;
}

/* The caller's view of a pinned block. */
static inline void hit_view(const struct attach *attach, const struct core_seat *seat,
    const struct hit *hit, struct cistern_view *out_view)
{
    out_view->data = attach->pool + hit->place.offset;
    out_view->bytes = hit->place.bytes;
    out_view->tier = hit->place.tier;
    out_view->opaque[0] = hit->slot;
    out_view->opaque[1] = seat->index << 16 | hit->record;
    out_view->opaque[2] = attach->id;
    out_view->opaque[3] = hit_ticket(seat->lane, hit->record);
    out_view->opaque[4] = (uint32_t)slot_generation_of(hit->state);
}

/* R6: is this still the server of our attach? */
static inline bool hit_same_epoch(const struct attach *attach)
{
    return shared64_load_relaxed(&attach->index.header->epoch) == attach->epoch;
}

#endif
