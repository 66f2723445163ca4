/* hit: see hit.h. No system call, no lock, no allocation; what is rare lies in functions of its
 * own. */
#include "libclient/hit.h"

#include "libclient/reattach.h"
#include "libclient/thread.h"
#include "libclient/why.h"
#include "shm/pin.h"
#include "shm/status.h"

#include <assert.h>

/* Blocks between two fences: enough cache misses under way at once, and a small frame. */
#define CHUNK 64u

/* How many blocks ahead a first bucket is asked for: the work on one block hides the miss of
 * another. 8 to 24 measured alike, all 64 at once a quarter slower (README, decision 6). */
#define AHEAD 8u

/* How often a slot that is being retired is looked at: a sweep takes a few microseconds. */
#define RETRIES 128u

/* What came of one look at a descriptor under a pin. */
enum verdict { VERDICT_HIT, VERDICT_RETIRING, VERDICT_OTHER };

uint32_t hit_next_of_two(const struct attach *attach, const struct hint_place *place,
    bool host_first, uint32_t *position)
{
    uint64_t wanted = (uint64_t)place->tag << 8 | HINT_HOT;
    for (uint32_t at = *position; at < 32; at++) {
        const struct hint_bucket *bucket = &attach->index.hints[place->bucket[at / 16]];
        uint64_t word = shared64_load_relaxed(&bucket->word[at % 8]);
        uint32_t slot = hint_slot(word);
        bool host = ((at & 8) == 0) == host_first;
        uint32_t first = host ? 0 : attach->device_first;
        uint32_t end = host ? attach->host_slots : attach->device_end;
        if (word >> 32 != wanted || slot < first || slot >= end) {
            continue;
        }
        *position = at + 1;
        return slot;
    }
    *position = 32;
    return HINT_NONE;
}

__attribute__((noinline)) static bool is_on_device(
    const struct attach *attach, const struct slot_content *place)
{
    return place->tier == attach->device_tier &&
           slabs_at(attach->slabs, place->offset, place->bytes) != NULL;
}

/* R5: a wrong place must not send a reader outside the memory, and a wrong tier not into another
 * one. */
static inline bool is_inside(
    const struct attach *attach, uint32_t slot, const struct slot_content *place)
{
    if (!hit_is_host(attach, slot)) {
        return is_on_device(attach, place);
    }
    return place->tier == SLOT_TIER_HOST && place->offset + place->bytes <= attach->pool_bytes;
}

/* R4 and R5. */
static inline enum verdict judge(
    const struct attach *attach, const struct key *key, uint32_t slot, struct hit *out_hit)
{
    const struct slot_line *line = &attach->index.lines[slot];
    uint64_t state = slot_load_state(line);
    if (LIKELY(slot_state_of(state) == SLOT_VALID)) {
        if (!LIKELY(slot_holds(line, key, attach->space))) {
            return VERDICT_OTHER;
        }
        slot_load_place(line, &out_hit->place);
        out_hit->slot = slot;
        out_hit->state = state;
        return LIKELY(is_inside(attach, slot, &out_hit->place)) ? VERDICT_HIT : VERDICT_OTHER;
    }
    bool ours = slot_state_of(state) == SLOT_EVICTING && slot_holds(line, key, attach->space);
    return ours ? VERDICT_RETIRING : VERDICT_OTHER;
}

/* The first candidate was not it: wait for a slot that is being retired, or try the other
 * candidates, each with a pin and a fence of its own. `record` is the pin of the first one; it
 * is in use afterwards only if the block was found. */
__attribute__((cold, noinline)) static bool look_again(struct core_seat *seat,
    const struct key *key, bool host_first, uint32_t slot, uint32_t record, struct hit *out_hit)
{
    const struct attach *attach = seat->attach;
    struct pin_seat *pins = &seat->lane->pins;
    struct hint_place place = hint_place_of(key, attach->index.hint_mask);
    uint32_t position = 0;
    /* Skip the candidates up to the one that is pinned already; if it went, start anew behind
     * it. */
    uint32_t skipped = slot;
    for (uint32_t tries = 0; tries < 16; tries++) {
        out_hit->record = record;
        enum verdict verdict = judge(attach, key, slot, out_hit);
        for (uint32_t i = 0; verdict == VERDICT_RETIRING && i < RETRIES; i++) {
            shared_relax();
            core_count(seat, CORE_RETRIES, 1);
            verdict = judge(attach, key, slot, out_hit);
        }
        if (verdict == VERDICT_HIT) {
            return true;
        }
        pin_drop(pins, record);
        do {
            slot = hit_next(attach, &place, host_first, &position);
        } while (slot == skipped && slot != HINT_NONE);
        if (slot == HINT_NONE || !pin_take(pins, slot, &record)) {
            return false;
        }
        pin_fence(); /* R3 for this pin; partner: V3 */
        if (!hit_same_epoch(attach)) {
            break; /* the next call finds out and says so */
        }
    }
    pin_drop(pins, record);
    return false;
}

__attribute__((cold, noinline)) static int missed(struct cistern *handle, struct core_seat *seat)
{
    core_count(seat, CORE_MISSES, 1);
    reattach_glance(handle, seat->attach);
    return STATUS_MISS;
}

__attribute__((cold, noinline)) static int out_of_pins(const struct core_seat *seat)
{
    return why_failed(STATUS_PINS, "all %u pins of this thread are in use", seat->lane->pins.count);
}

static inline int pin(struct cistern *handle, struct core_seat *seat, const struct key *key,
    bool host_first, struct hit *out_hit)
{
    const struct attach *attach = seat->attach;
    struct attach_lane *lane = seat->lane;
    struct hint_place place = hint_place_of(key, attach->index.hint_mask);
    uint32_t position = 0;
    uint32_t record;
    hint_prefetch(&attach->index, &place);
    uint32_t slot = hit_next(attach, &place, host_first, &position);
    if (slot == HINT_NONE) {
        return missed(handle, seat);
    }
    if (!pin_take(&lane->pins, slot, &record)) {
        return out_of_pins(seat);
    }
    pin_fence(); /* R3; partner: V3 */
    if (!LIKELY(hit_same_epoch(attach))) {
        pin_drop(&lane->pins, record);
        return reattach_lost(handle, seat->attach);
    }
    out_hit->record = record;
    if (!LIKELY(judge(attach, key, slot, out_hit) == VERDICT_HIT) &&
        !look_again(seat, key, host_first, slot, record, out_hit)) {
        return missed(handle, seat);
    }
    core_count(seat, CORE_HITS, 1);
    lane_touch(&lane->words, &lane->touch_tail, out_hit->slot);
    lane_touch_publish(&lane->words, lane->touch_tail);
    return STATUS_OK;
}

int hit_pin(
    struct cistern *handle, struct core_seat *seat, const struct key *key, struct hit *out_hit)
{
    return pin(handle, seat, key, false, out_hit);
}

int hit_pin_host(
    struct cistern *handle, struct core_seat *seat, const struct key *key, struct hit *out_hit)
{
    return pin(handle, seat, key, true, out_hit);
}

/* One chunk of a batch on its way from keys to views. */
struct chunk {
    const struct cistern_key *keys; /* the batch from here on */
    size_t known; /* keys there are, in this chunk and behind it */
    uint32_t size; /* keys of this chunk */
    uint32_t count; /* candidates that were found and pinned */
    uint32_t slot[CHUNK];
    uint32_t record[CHUNK];
};

/* Ask for the first bucket of the key that is AHEAD blocks further on. */
static inline void prefetch_ahead(
    const struct attach *attach, const struct cistern_key *keys, size_t at, size_t count)
{
    if (at < count) {
        struct key key = hit_key(&keys[at]);
        struct hint_place place = hint_place_of(&key, attach->index.hint_mask);
        hint_prefetch_first(&attach->index, &place);
    }
}

/* R1 and R2: candidates, and a pin on each. Returns 0, or what ended the chunk early. */
static inline int pin_candidates(struct core_seat *seat, struct chunk *chunk)
{
    const struct attach *attach = seat->attach;
    int status = STATUS_OK;
    uint32_t found = 0;
    while (found < chunk->size) {
        struct key key = hit_key(&chunk->keys[found]);
        struct hint_place place = hint_place_of(&key, attach->index.hint_mask);
        uint32_t position = 0;
        prefetch_ahead(attach, chunk->keys, found + AHEAD, chunk->known);
        uint32_t slot = hit_next(attach, &place, false, &position);
        if (slot == HINT_NONE) {
            status = STATUS_MISS;
            break;
        }
        __builtin_prefetch(&attach->index.lines[slot], 0, 3);
        if (!pin_take(&seat->lane->pins, slot, &chunk->record[found])) {
            status = STATUS_PINS;
            break;
        }
        chunk->slot[found++] = slot;
    }
    chunk->count = found;
    return status;
}

static void drop_pins(struct core_seat *seat, const struct chunk *chunk, uint32_t from)
{
    /* The last first, so that the next pins use the lowest records again. */
    for (uint32_t i = chunk->count; i-- > from;) {
        pin_drop(&seat->lane->pins, chunk->record[i]);
    }
}

/* R3 to R6 for one chunk. Sets how many views were made; returns 0, or what ended the prefix. */
static inline int pin_chunk(struct cistern *handle, struct core_seat *seat,
    const struct cistern_key *keys, size_t known, struct cistern_view *out_views,
    uint32_t *out_count)
{
    const struct attach *attach = seat->attach;
    struct chunk chunk;
    chunk.keys = keys;
    chunk.known = known;
    chunk.size = known < CHUNK ? (uint32_t)known : CHUNK;
    int status = pin_candidates(seat, &chunk);
    pin_fence(); /* R3 of the whole chunk; partner: V3 */
    *out_count = 0;
    if (!LIKELY(hit_same_epoch(attach))) {
        drop_pins(seat, &chunk, 0);
        return reattach_lost(handle, seat->attach);
    }
    for (uint32_t i = 0; i < chunk.count; i++) {
        struct key key = hit_key(&keys[i]);
        struct hit hit;
        hit.record = chunk.record[i];
        if (!LIKELY(judge(attach, &key, chunk.slot[i], &hit) == VERDICT_HIT) &&
            !look_again(seat, &key, false, chunk.slot[i], chunk.record[i], &hit)) {
            drop_pins(seat, &chunk, i + 1);
            return STATUS_MISS;
        }
        hit_view(attach, seat, &hit, &out_views[i]);
        *out_count = i + 1;
    }
    return status;
}

/* Deepest block first: the server applies the log from its tail, so parents end up the more
 * recent. */
static inline void touch_views(
    struct attach_lane *lane, const struct cistern_view *views, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        lane_touch(&lane->words, &lane->touch_tail, views[i].opaque[0]);
    }
    lane_touch_publish(&lane->words, lane->touch_tail);
}

int hit_acquire(struct cistern *handle, struct core_seat *seat, const struct cistern_key *keys,
    size_t count, struct cistern_view *out_views, size_t *out_count)
{
    size_t done = 0;
    int status = STATUS_OK;
    for (size_t i = 0; i < AHEAD; i++) {
        prefetch_ahead(seat->attach, keys, i, count);
    }
    while (done < count && status == STATUS_OK) {
        uint32_t made = 0;
        status = pin_chunk(handle, seat, keys + done, count - done, out_views + done, &made);
        done += made;
    }
    if (status == STATUS_MISS) {
        (void)missed(handle, seat);
    }
    if (done == 0) {
        return status == STATUS_PINS ? out_of_pins(seat) : status;
    }
    core_count(seat, CORE_HITS, done);
    touch_views(seat->lane, out_views, done);
    *out_count = done;
    return STATUS_OK;
}

int cistern_acquire(cistern_t *handle, const struct cistern_key *keys, size_t count,
    struct cistern_view *out_views, size_t *out_count)
{
    if (handle == NULL || keys == NULL || count == 0 || out_views == NULL || out_count == NULL) {
        return why_failed(STATUS_INVALID, "cistern_acquire: an argument is NULL, or count is 0");
    }
    struct core_seat *seat;
    int status = thread_enter(handle, &seat);
    if (status != STATUS_OK) {
        return status;
    }
    if (count > 1) {
        return hit_acquire(handle, seat, keys, count, out_views, out_count);
    }
    struct key key = hit_key(keys);
    struct hit hit;
    status = hit_pin(handle, seat, &key, &hit);
    if (status == STATUS_OK) {
        hit_view(seat->attach, seat, &hit, out_views);
        *out_count = 1;
    }
    return status;
}
