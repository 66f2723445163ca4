/* match: how much of a prefix is hot, and how much of the rest can be fetched. Pins nothing: what
 * it says may be out of date when the caller reads it, so it is advice for planning, never leave
 * to read. */
#include "libclient/match.h"

#include "libclient/hit.h"
#include "libclient/reattach.h"
#include "libclient/thread.h"
#include "libclient/why.h"
#include "shm/hint.h"
#include "shm/status.h"

#define CHUNK 64u

/* Does the slot hold the key now? One that is being retired does not count: whoever needs it asks
 * with a pin. */
static bool holds(const struct attach *attach, const struct key *key, uint32_t slot)
{
    const struct slot_line *line = &attach->index.lines[slot];
    return slot_state_of(slot_load_state(line)) == SLOT_VALID &&
           slot_holds(line, key, attach->space);
}

/* The same, and does the line agree with the number about the memory? */
static bool holds_here(const struct attach *attach, const struct key *key, uint32_t slot)
{
    return holds(attach, key, slot) &&
           hit_tier_fits(attach, slot, slot_tier_of(&attach->index.lines[slot]));
}

/* Does the table name a slot of memory that this handle reads, with the key? */
static bool is_hot(
    const struct attach *attach, const struct key *key, const struct hint_place *place)
{
    uint32_t position = 0;
    for (;;) {
        uint32_t slot = hit_next(attach, place, false, &position);
        if (slot == HINT_NONE) {
            return false;
        }
        if (holds_here(attach, key, slot)) {
            return true;
        }
    }
}

bool match_is_in(const struct attach *attach, const struct key *key, enum book_of where)
{
    uint32_t first = where == BOOK_HOST ? 0 : attach->device_first;
    uint32_t end = where == BOOK_HOST ? attach->host_slots : attach->device_end;
    struct hint_place place = hint_place_of(key, attach->index.hint_mask);
    uint32_t position = 0;
    uint32_t slot;
    do {
        slot = hint_next_within(&attach->index, &place, HINT_HOT, first, end, &position);
    } while (slot != HINT_NONE && !holds_here(attach, key, slot));
    return slot != HINT_NONE;
}

/* Has only a device the block that this handle does not read? The sidecar copies it to the host for
 * who asks. */
static bool is_elsewhere(
    const struct attach *attach, const struct key *key, const struct hint_place *place)
{
    const struct index_view *index = &attach->index;
    uint32_t position = 0;
    uint32_t slot;
    do { /* of the handle's own device is_hot() has looked at all */
        slot =
            hint_next_within(index, place, HINT_HOT, attach->host_slots, index->slots, &position);
    } while (slot != HINT_NONE && !holds(attach, key, slot));
    return slot != HINT_NONE;
}

bool match_is_hot(const struct attach *attach, const struct key *key)
{
    struct hint_place place = hint_place_of(key, attach->index.hint_mask);
    /* Asked for a key that is most often absent: both buckets will be read. */
    hint_prefetch(&attach->index, &place);
    return is_hot(attach, key, &place);
}

/* Hot blocks at the start of a chunk, whose lines are fetched while it goes. */
static size_t match_chunk(const struct attach *attach, const struct cistern_key *keys, size_t count)
{
    struct hint_place places[CHUNK];
    for (size_t i = 0; i < count; i++) {
        struct key key = hit_key(&keys[i]);
        places[i] = hint_place_of(&key, attach->index.hint_mask);
        hint_prefetch_first(&attach->index, &places[i]);
    }
    size_t candidates = 0;
    while (candidates < count) {
        uint32_t position = 0;
        uint32_t slot = hit_next(attach, &places[candidates], false, &position);
        if (slot == HINT_NONE) {
            break;
        }
        __builtin_prefetch(&attach->index.lines[slot], 0, 3);
        candidates++;
    }
    size_t hot = 0;
    while (hot < candidates) {
        struct key key = hit_key(&keys[hot]);
        if (!is_hot(attach, &key, &places[hot])) {
            break;
        }
        hot++;
    }
    return hot;
}

size_t match_cold(const struct attach *attach, const struct cistern_key *keys, size_t count)
{
    size_t cold = 0;
    while (cold < count) {
        struct key key = hit_key(&keys[cold]);
        struct hint_place place = hint_place_of(&key, attach->index.hint_mask);
        uint32_t position = 0;
        /* A hot block behind a cold one is found where it is: it does not end the run. */
        if (hint_next(&attach->index, &place, HINT_COLD, &position) == HINT_NONE &&
            !is_hot(attach, &key, &place) && !is_elsewhere(attach, &key, &place)) {
            break;
        }
        cold++;
    }
    return cold;
}

int match_hot(struct cistern *handle, struct attach *attach, const struct cistern_key *keys,
    size_t count, size_t *out_hot)
{
    size_t hot = 0;
    size_t size;
    size_t found;
    do {
        size = count - hot < CHUNK ? count - hot : CHUNK;
        found = match_chunk(attach, keys + hot, size);
        hot += found;
    } while (found == size && hot < count);
    if (shared64_load_relaxed(&attach->index.header->epoch) != attach->epoch) {
        return reattach_lost(handle, attach);
    }
    if (hot == 0) {
        reattach_glance(handle, attach);
    }
    *out_hot = hot;
    return STATUS_OK;
}

int cistern_match(cistern_t *handle, const struct cistern_key *keys, size_t count,
    struct cistern_match *out_match)
{
    if (handle == NULL || keys == NULL || count == 0 || out_match == NULL) {
        return why_failed(STATUS_INVALID, "cistern_match: an argument is NULL, or count is 0");
    }
    if (count > UINT32_MAX || out_match->size < sizeof *out_match) {
        return why_failed(STATUS_INVALID, "cistern_match: count, or out_match->size, is wrong");
    }
    struct core_seat *seat;
    int status = thread_enter(handle, &seat);
    if (status != STATUS_OK) {
        return status;
    }
    size_t hot = 0;
    status = match_hot(handle, seat->attach, keys, count, &hot);
    if (status != STATUS_OK) {
        return status;
    }
    out_match->hot = (uint32_t)hot;
    out_match->cold = (uint32_t)match_cold(seat->attach, keys + hot, count - hot);
    return STATUS_OK;
}
