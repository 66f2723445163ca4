/* move: see move.h. */
#include "sidecar/block/move.h"

#include "shm/status.h"
#include "sidecar/block/admit.h"
#include "sidecar/block/blocks.h"
#include "sidecar/block/fetch_load.h"

#include <assert.h>
#include <stddef.h>

#define NONE UINT32_MAX

uint64_t move_arena_bytes(uint32_t devices, uint32_t slots)
{
    return devices == 0
               ? 0
               : arena_bytes((uint64_t)devices * MOVE_COUNT_MAX, sizeof(struct move_entry)) +
                     arena_bytes(slots, sizeof(uint32_t));
}

void move_open(struct moves *moves, uint32_t devices, uint32_t slots, struct arena *arena)
{
    *moves = (struct moves){.free = NONE, .entry_count = devices * MOVE_COUNT_MAX};
    if (devices == 0) {
        return;
    }
    moves->entries = arena_take(arena, moves->entry_count, sizeof(struct move_entry));
    moves->notes = arena_take(arena, slots, sizeof(uint32_t));
    for (uint32_t i = moves->entry_count; i-- > 0;) {
        moves->entries[i].next = moves->free;
        moves->free = i;
    }
}

void move_attach(struct blocks *blocks, const struct mover *mover)
{
    struct moves *moves = &blocks->moves;
    assert(moves->count == 0);
    moves->mover = mover == NULL ? (struct mover){0} : *mover;
}

bool move_idle(const struct blocks *blocks)
{
    return blocks->moves.count == 0;
}

bool move_can(const struct blocks *blocks)
{
    return blocks->moves.mover.start != NULL;
}

bool move_is_down(const struct blocks *blocks, enum slot_tier tier)
{
    return tier != SLOT_TIER_HOST && blocks->moves.devices[slot_device_of(tier)].down > 0;
}

bool move_is_busy(const struct blocks *blocks, enum slot_tier tier)
{
    return tier != SLOT_TIER_HOST && blocks->moves.devices[slot_device_of(tier)].count > 0;
}

bool move_is_wanted(const struct blocks *blocks, uint32_t slot)
{
    return move_can(blocks) && pool_tier(&blocks->pool, slot) != SLOT_TIER_HOST &&
           !spill_is_stored(blocks, slot);
}

void move_missed(struct blocks *blocks, uint32_t slot)
{
    if (move_is_wanted(blocks, slot)) {
        counter_add(blocks->counters, COUNTER_moves_missed, 1);
    }
}

static struct policy *policy_of(struct blocks *blocks, uint32_t slot)
{
    return &blocks->policies[pool_class_of(&blocks->pool, slot)];
}

void move_content(const struct blocks *blocks, uint32_t slot, struct slot_content *out_content)
{
    const struct slot_line *line = &blocks->index.lines[slot];
    for (uint32_t i = 0; i < 4; i++) {
        out_content->key.word[i] = shared64_load_relaxed(&line->key[i]);
    }
    slot_load_place(line, out_content);
}

/* The device of a copy from `from` to `to`. */
static uint32_t device_of(const struct pool *pool, uint32_t from, uint32_t to)
{
    enum slot_tier tier = pool_tier(pool, from);
    return slot_device_of(tier == SLOT_TIER_HOST ? pool_tier(pool, to) : tier);
}

bool move_has_room(const struct blocks *blocks, uint32_t device, uint64_t bytes)
{
    const struct move_device *at = &blocks->moves.devices[device];
    return move_can(blocks) && at->count < MOVE_COUNT_MAX &&
           (at->count == 0 || at->bytes + bytes <= MOVE_BYTES_MAX);
}

static void count_in(struct blocks *blocks, const struct move_entry *entry, int32_t change)
{
    struct moves *moves = &blocks->moves;
    struct move_device *device = &moves->devices[entry->device];
    bool down = pool_tier(&blocks->pool, entry->from) != SLOT_TIER_HOST;
    moves->count += (uint32_t)change;
    device->count += (uint32_t)change;
    device->down += down ? (uint32_t)change : 0;
    device->bytes += (uint64_t)(int64_t)change * entry->bytes;
    counter_set(blocks->counters, COUNTER_moves_now, moves->count);
}

/* Copy the block in `from` into `to`, which is LOADING. Returns the entry, or NULL if the copy
 * cannot begin now: the slots are as before. */
static struct move_entry *start(struct blocks *blocks, uint32_t from, uint32_t to)
{
    struct moves *moves = &blocks->moves;
    const struct pool *pool = &blocks->pool;
    bool up = pool_tier(pool, from) == SLOT_TIER_HOST;
    assert(up != (pool_tier(pool, to) == SLOT_TIER_HOST));
    struct slot_content content;
    move_content(blocks, from, &content);
    uint32_t device = device_of(pool, from, to);
    uint32_t at = moves->free;
    if (content.bytes > pool_slot_bytes(pool, pool_class_of(pool, to)) ||
        !move_has_room(blocks, device, content.bytes) || at == NONE ||
        !hold_copy(&blocks->holds, from)) {
        return NULL;
    }
    struct move_entry *entry = &moves->entries[at];
    uint64_t to_offset = pool_offset(pool, to);
    struct move_copy copy = {
        .cookie = (uint64_t)(moves->serial + 1) << 32 | at,
        .device = device,
        .to_device = up,
        .host_offset = up ? content.offset : to_offset,
        .device_offset = up ? to_offset : content.offset,
        .bytes = content.bytes,
    };
    if (!moves->mover.start(moves->mover.context, &copy)) {
        hold_copied(&blocks->holds, from);
        return NULL;
    }
    moves->free = entry->next;
    *entry = (struct move_entry){
        .bytes = content.bytes,
        .from = from,
        .to = to,
        .read = FETCH_NONE,
        .serial = ++moves->serial,
        .device = device,
        .busy = true,
    };
    if (!up) {
        moves->notes[from] = at;
    }
    count_in(blocks, entry, 1);
    return entry;
}

/* Publish what was copied into `entry->to`, unless somebody else brought it there meanwhile.
 * Returns whether it is hot there now. */
static bool publish(
    struct blocks *blocks, const struct move_entry *entry, struct slot_content *content)
{
    struct policy *policy = policy_of(blocks, entry->from);
    enum slot_tier tier = pool_tier(&blocks->pool, entry->to);
    if (admit_find_tier(blocks, &content->key, content->space, tier) != HINT_NONE) {
        pool_give(blocks, entry->to);
        return true;
    }
    struct slot_content before;
    uint32_t parent = policy_parent(policy, entry->from);
    if (parent != POLICY_NONE) {
        move_content(blocks, parent, &before);
    }
    /* Of what comes down host memory had no copy, so a cost of a fetch says that it lies below. */
    bool below = tier == SLOT_TIER_HOST && spill_is_stored(blocks, entry->from);
    if (admit_filled(blocks, entry->to, content, parent != POLICY_NONE ? &before.key : NULL,
            below) != STATUS_OK) {
        pool_give(blocks, entry->to);
        return false;
    }
    if (policy_reused(policy, entry->from)) {
        /* What was used again is so in its new place: copies further down go by that. */
        policy_touch(policy_of(blocks, entry->to), entry->to);
        ledger_touch(&blocks->ledger, entry->to, true);
    }
    return true;
}

/* The copy came to host memory, or it did not: tell who waits for the block there. */
static void settle(struct blocks *blocks, const struct move_entry *entry,
    const struct slot_content *content, bool hot, const struct fetch_means *means)
{
    if (hot) {
        fetch_hot(blocks, &content->key, content->space, means);
        claim_done(&blocks->claims, &content->key, content->space, &means->claims);
    } else if (entry->claimed) {
        claim_fail(&blocks->claims, &content->key, content->space, means->now_ns, &means->claims);
    }
}

static void end(
    struct blocks *blocks, const struct move_done *done, const struct fetch_means *means)
{
    struct moves *moves = &blocks->moves;
    uint32_t at = (uint32_t)done->cookie;
    assert(at < moves->entry_count && moves->entries[at].busy);
    assert(moves->entries[at].serial == done->cookie >> 32);
    struct move_entry entry = moves->entries[at];
    bool up = pool_tier(&blocks->pool, entry.from) == SLOT_TIER_HOST;
    bool good = done->status == STATUS_OK;
    moves->entries[at].busy = false;
    moves->entries[at].next = moves->free;
    moves->free = at;
    count_in(blocks, &entry, -1);
    if (good) {
        counter_add(blocks->counters, up ? COUNTER_promotions : COUNTER_demotions, 1);
        counter_add(
            blocks->counters, up ? COUNTER_bytes_promoted : COUNTER_bytes_demoted, entry.bytes);
    } else {
        counter_add(blocks->counters, COUNTER_moves_failed, 1);
    }
    /* Held until now, so the slot still has the block that was copied. */
    struct slot_content content;
    move_content(blocks, entry.from, &content);
    if (entry.read != FETCH_NONE) {
        fetch_load_moved(blocks, entry.read, good ? &content : NULL, entry.claimed, means);
    } else {
        bool hot = good && publish(blocks, &entry, &content);
        if (!good) {
            pool_give(blocks, entry.to);
        }
        if (!up) {
            settle(blocks, &entry, &content, hot, means);
        }
    }
    hold_copied(&blocks->holds, entry.from);
}

struct move_entry *move_begin(struct blocks *blocks, uint32_t from, uint32_t class)
{
    uint32_t to;
    uint64_t generation;
    if (pool_take(blocks, class, SLOT_LOADING, &to, &generation) != STATUS_OK) {
        return NULL;
    }
    struct move_entry *entry = start(blocks, from, to);
    if (entry == NULL) {
        pool_give(blocks, to);
    }
    return entry;
}

struct move_entry *move_of(struct blocks *blocks, uint32_t from)
{
    if (!hold_copying(&blocks->holds, from)) {
        return NULL;
    }
    struct move_entry *entry = &blocks->moves.entries[blocks->moves.notes[from]];
    assert(entry->busy && entry->from == from);
    return entry;
}

uint32_t move_source(const struct blocks *blocks, const struct key *key, uint16_t space)
{
    if (!move_can(blocks)) {
        return HINT_NONE;
    }
    struct hint_place place = hint_place_of(key, blocks->index.hint_mask);
    uint32_t position = 0;
    uint32_t found = HINT_NONE;
    uint32_t slot;
    while ((slot = admit_next(blocks, &place, key, space, &position)) != HINT_NONE) {
        if (pool_tier(&blocks->pool, slot) == SLOT_TIER_HOST) {
            continue;
        }
        found = slot;
        if (hold_copying(&blocks->holds, slot)) {
            break;
        }
    }
    return found;
}

uint32_t move_join(struct blocks *blocks, uint32_t from, uint32_t read)
{
    struct move_entry *entry = move_of(blocks, from);
    if (entry == NULL) {
        return HINT_NONE;
    }
    /* One read a block, and it ends no later than the copy that it hangs on. */
    assert(entry->read == FETCH_NONE);
    entry->read = read;
    return entry->to;
}

bool move_read(struct blocks *blocks, uint32_t from, uint32_t to, uint32_t read)
{
    struct move_entry *entry = start(blocks, from, to);
    if (entry != NULL) {
        entry->read = read;
    }
    return entry != NULL;
}

uint32_t move_turn(struct blocks *blocks, const struct fetch_means *means)
{
    if (!move_can(blocks)) {
        return 0;
    }
    struct move_done done[MOVE_EVENTS];
    const struct mover *mover = &blocks->moves.mover;
    uint32_t count = mover->poll(mover->context, done, MOVE_EVENTS);
    assert(count <= MOVE_EVENTS);
    for (uint32_t i = 0; i < count; i++) {
        end(blocks, &done[i], means);
    }
    return count;
}
