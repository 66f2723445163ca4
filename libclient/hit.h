/* hit: find blocks in the index, pin them, believe them.
 *
 * cistern_acquire() is here; libclient/get and libclient/fetch_layers pin theirs the same way. R
 * numbers the steps of ordering 2 (shm/README.md). Always: a view leaves this file only after its
 * pin was written, the fence passed, and the descriptor read after it said VALID and held the key.
 */
#ifndef CISTERN_LIBCLIENT_HIT_H
#define CISTERN_LIBCLIENT_HIT_H

#include "libclient/core.h"
#include "shm/hint.h"
#include "shm/slot.h"

#include <string.h>

#define LIKELY(condition) __builtin_expect(!!(condition), 1)

/* One pinned block. */
struct hit {
    uint32_t slot;
    uint32_t record; /* of this thread's pins */
    uint64_t state; /* the descriptor's, when it was believed */
    struct slot_content place; /* all but the key; inside the mapped memory of its tier */
};

/* Callers' keys have no alignment. */
static inline struct key hit_key(const struct cistern_key *key)
{
    struct key copy;
    memcpy(&copy, key->bytes, sizeof copy);
    return copy;
}

/* Pin one block: the device's copy, if there is one that this handle reads, and else the host's.
 * Returns 0, STATUS_MISS, STATUS_PINS or STATUS_NO_SERVER. */
int hit_pin(
    struct cistern *handle, struct core_seat *seat, const struct key *key, struct hit *out_hit);

/* The same the other way round: for who copies it to host memory. */
int hit_pin_host(
    struct cistern *handle, struct core_seat *seat, const struct key *key, struct hit *out_hit);

/* cistern_acquire() of more than one block, past its checks. */
int hit_acquire(struct cistern *handle, struct core_seat *seat, const struct cistern_key *keys,
    size_t count, struct cistern_view *out_views, size_t *out_count);

/* A slot's number says in which memory it is. */
static inline bool hit_is_host(const struct attach *attach, uint32_t slot)
{
    return LIKELY(slot < attach->host_slots);
}

/* Where the bytes of a believed block are. Computed when it is wanted: a store of it into the hit
 * made a random one as slow as two loads in a row, half as fast as it is. */
static inline const char *hit_data(const struct attach *attach, const struct hit *hit)
{
    return hit_is_host(attach, hit->slot)
               ? attach->pool + hit->place.offset
               : slabs_at(attach->slabs, hit->place.offset, hit->place.bytes);
}

/* R5: does the line say so too? */
static inline bool hit_tier_fits(const struct attach *attach, uint32_t slot, uint32_t tier)
{
    return tier == (hit_is_host(attach, slot) ? SLOT_TIER_HOST : attach->device_tier);
}

/* hit_next() of a handle with a device. `position` counts 0 to 31: bucket by bucket, and in each
 * first the words of the preferred memory, so that no second line is read while the first one has a
 * candidate. */
uint32_t hit_next_of_two(const struct attach *attach, const struct hint_place *place,
    bool host_first, uint32_t *position);

/* R1: the next candidate in memory that this handle reads, or HINT_NONE. Begin with position 0. */
static inline uint32_t hit_next(const struct attach *attach, const struct hint_place *place,
    bool host_first, uint32_t *position)
{
    if (LIKELY(attach->device_end == 0)) {
        return hint_next_within(&attach->index, place, HINT_HOT, 0, attach->host_slots, position);
    }
    return hit_next_of_two(attach, place, host_first, position);
}

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
    out_view->data = hit_data(attach, hit);
    out_view->bytes = hit->place.bytes;
    out_view->tier = hit_is_host(attach, hit->slot) ? CISTERN_TIER_HOST : CISTERN_TIER_DEVICE;
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
