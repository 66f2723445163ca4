/* adopt: see adopt.h. */
#include "sidecar/block/adopt.h"

#include "shm/hint.h"
#include "shm/pin.h"
#include "shm/slot.h"
#include "shm/status.h"
#include "sidecar/block/admit.h"
#include "sidecar/block/adopt_order.h"

#include <assert.h>
#include <stddef.h>

#define AHEAD 16u /* lines whose hint buckets are asked for before they are needed */

/* One adoption. */
struct adoption {
    struct blocks *blocks;
    const struct adopt_terms *terms;
    struct adopt_found found;
    uint32_t doubtful; /* slots that the sweep must judge */
};

static void load_key(const struct slot_line *line, struct key *out_key)
{
    for (uint32_t i = 0; i < 4; i++) {
        out_key->word[i] = shared64_load_relaxed(&line->key[i]);
    }
}

static void chain_push(struct blocks *blocks, struct adopt_chain *chain, uint32_t slot)
{
    /* The link is free: a slot in use is in no stack. */
    blocks->pool.next[slot] = chain->first;
    chain->first = slot;
    chain->count++;
}

uint32_t adopt_pop(struct blocks *blocks, struct adopt_chain *chain)
{
    uint32_t slot = chain->first;
    assert(slot != POOL_NONE && chain->count > 0);
    chain->first = blocks->pool.next[slot];
    chain->count--;
    return slot;
}

/* Does all that a line says of its block fit the slot where it lies? */
static bool is_sound(const struct blocks *blocks, uint32_t slot, uint32_t class)
{
    const struct pool *pool = &blocks->pool;
    uint64_t slot_bytes = pool_slot_bytes(pool, class);
    struct slot_content content;
    slot_load_place(&blocks->index.lines[slot], &content);
    return content.offset == pool_place(pool, slot, slot_bytes) && content.size_class == class &&
           content.tier == pool_tier(pool, slot) && content.bytes > 0 &&
           content.bytes <= slot_bytes && content.space > 0;
}

/* Does a hint lead to this very block in the same tier already? Two slots may have held it when the
 * server died: one that was leaving, and one that was committed meanwhile. */
static bool is_double(
    const struct blocks *blocks, const struct key *key, uint16_t space, enum slot_tier tier)
{
    const struct index_view *index = &blocks->index;
    struct hint_place place = hint_place_of(key, index->hint_mask);
    uint32_t position = 0;
    uint32_t slot;
    while ((slot = hint_next(index, &place, HINT_HOT, &position)) != HINT_NONE) {
        if (pool_tier(&blocks->pool, slot) == tier && slot_holds(&index->lines[slot], key, space)) {
            return true;
        }
    }
    return false;
}

static uint16_t space_of(const struct slot_line *line)
{
    return (uint16_t)(shared64_load_relaxed(&line->shape) >> 32);
}

/* The block stays. Its state goes back to VALID if it was a victim: nothing of it was touched
 * before it was free, and the sweep of its next eviction is that one's own. */
static bool keep_block(struct adoption *adoption, uint32_t slot)
{
    struct blocks *blocks = adoption->blocks;
    struct slot_line *line = &blocks->index.lines[slot];
    struct key key;
    load_key(line, &key);
    if (!hint_add(&blocks->index, &key, HINT_HOT, slot)) {
        return false;
    }
    if (slot_state_of(shared64_load_relaxed(&line->state)) == SLOT_EVICTING) {
        slot_unmark(line);
    }
    blocks->space_blocks[space_of(line)]++;
    adoption->found.blocks++;
    return true;
}

static void doubt(struct adoption *adoption, uint32_t slot)
{
    adoption->blocks->marks[slot] = PIN_VICTIM;
    adoption->doubtful++;
}

static void judge_block(struct adoption *adoption, uint32_t slot, uint32_t class)
{
    struct blocks *blocks = adoption->blocks;
    const struct slot_line *line = &blocks->index.lines[slot];
    struct key key;
    load_key(line, &key);
    uint16_t space = space_of(line);
    if (!is_sound(blocks, slot, class) || !adoption->terms->known[space] ||
        is_double(blocks, &key, space, pool_tier(&blocks->pool, slot)) ||
        !keep_block(adoption, slot)) {
        doubt(adoption, slot);
    }
}

static void ask_ahead(const struct blocks *blocks, uint32_t slot)
{
    if (slot < blocks->index.slots) {
        struct key key;
        load_key(&blocks->index.lines[slot], &key);
        struct hint_place place = hint_place_of(&key, blocks->index.hint_mask);
        hint_prefetch(&blocks->index, &place);
    }
}

static bool is_lost(const struct adoption *adoption, enum slot_tier tier)
{
    return tier != SLOT_TIER_HOST &&
           (adoption->terms->lost_devices >> slot_device_of(tier) & 1) != 0;
}

/* Its memory is gone. No sweep: who still has the slot pinned, or fills it, has the memory of old
 * mapped, and nobody can pin it anew (README, decision 32). */
static void lose(struct adoption *adoption, uint32_t slot)
{
    struct slot_line *line = &adoption->blocks->index.lines[slot];
    enum slot_state state = slot_state_of(shared64_load_relaxed(&line->state));
    if (state == SLOT_VALID) {
        slot_mark(line);
    }
    adoption->found.lost += state == SLOT_VALID || state == SLOT_EVICTING;
    slot_free(line);
}

/* Returns false if nothing can be said of this slot: the memory is not what it should be. */
static bool judge_slot(struct adoption *adoption, uint32_t slot)
{
    struct blocks *blocks = adoption->blocks;
    const struct pool *pool = &blocks->pool;
    uint32_t extent = pool_extent_of(pool, slot);
    uint64_t word = shared64_load_relaxed(&blocks->index.lines[slot].state);
    if (word == slot_word(slot_generation_of(word), SLOT_FREE)) {
        return true;
    }
    if (is_lost(adoption, pool_extent_tier(pool, extent))) {
        lose(adoption, slot);
        return true;
    }
    uint32_t class = ledger_class_of(&blocks->ledger, extent);
    if (class >= pool->class_count || pool->classes[class].slot_bytes == 0 ||
        pool->classes[class].tier != pool_tier(pool, slot) ||
        slot - extent * pool->per >= pool->classes[class].extent_slots) {
        return false;
    }
    switch (slot_state_of(word)) {
    case SLOT_RESERVED:
        chain_push(blocks, &adoption->found.lent, slot);
        return true;
    case SLOT_LOADING:
        doubt(adoption, slot);
        return true;
    case SLOT_VALID:
    case SLOT_EVICTING:
        judge_block(adoption, slot, class);
        return true;
    case SLOT_FREE:
        break;
    }
    return false;
}

/* A doubtful block that nobody reads is free; one that is read stays, if it can be found and
 * evicted like any other. Returns false if it can not. */
static bool settle_block(struct adoption *adoption, uint32_t slot, bool pinned)
{
    struct blocks *blocks = adoption->blocks;
    struct slot_line *line = &blocks->index.lines[slot];
    if (pinned) {
        uint32_t class = ledger_class_of(&blocks->ledger, pool_extent_of(&blocks->pool, slot));
        return is_sound(blocks, slot, class) && keep_block(adoption, slot);
    }
    if (slot_state_of(shared64_load_relaxed(&line->state)) == SLOT_VALID) {
        slot_mark(line);
    }
    slot_free(line);
    adoption->found.dropped++;
    return true;
}

static bool settle(struct adoption *adoption, const struct evict_sweep *sweep)
{
    struct blocks *blocks = adoption->blocks;
    bool good = true;
    /* V4 and V5. V2 and V3 of all slots at once were the epoch and its fence. */
    uint32_t wild = sweep->sweep(sweep->context, blocks->marks, blocks->index.slots);
    counter_add(blocks->counters, COUNTER_pins_wild, wild);
    for (uint32_t slot = 0; slot < blocks->index.slots && adoption->doubtful > 0; slot++) {
        uint8_t mark = blocks->marks[slot];
        if (mark == PIN_NONE) {
            continue;
        }
        blocks->marks[slot] = PIN_NONE;
        adoption->doubtful--;
        uint64_t word = shared64_load_relaxed(&blocks->index.lines[slot].state);
        if (slot_state_of(word) != SLOT_LOADING) {
            good = settle_block(adoption, slot, mark == PIN_PINNED) && good;
        } else if (mark == PIN_PINNED) {
            chain_push(blocks, &adoption->found.read, slot);
        } else {
            chain_push(blocks, &adoption->found.loading, slot);
        }
    }
    return good;
}

static void forget_hints(const struct index_view *index)
{
    for (uint32_t i = 0; i <= index->hint_mask; i++) {
        for (uint32_t at = 0; at < 8; at++) {
            shared64_store_relaxed(&index->hints[i].word[at], 0);
        }
    }
}

/* A free extent may name a class of old, whose number one of another tier has now. */
static void adopt_extents(struct blocks *blocks)
{
    const struct pool *pool = &blocks->pool;
    for (uint32_t i = 0; i < pool->extent_count; i++) {
        uint32_t class = ledger_class_of(&blocks->ledger, i);
        if (class < pool->class_count && pool->classes[class].slot_bytes > 0 &&
            pool->classes[class].tier == pool_extent_tier(pool, i)) {
            pool_adopt_extent(blocks, i, class);
        }
    }
}

/* What a device has of a block that host memory has too is no loss. What lies below is told by the
 * tiers, later. */
static void note_twins(struct blocks *blocks)
{
    uint32_t first;
    (void)pool_tier_slots(&blocks->pool, SLOT_TIER_DEVICE, &first);
    for (uint32_t slot = first; blocks->pool.devices > 0 && slot < blocks->index.slots; slot++) {
        const struct slot_line *line = &blocks->index.lines[slot];
        struct key key;
        load_key(line, &key);
        if (slot_state_of(shared64_load_relaxed(&line->state)) == SLOT_VALID &&
            admit_find_tier(blocks, &key, space_of(line), SLOT_TIER_HOST) != HINT_NONE) {
            policy_cost(&blocks->policies[pool_class_of(&blocks->pool, slot)], slot, POLICY_FETCH);
        }
    }
}

int adopt_blocks(struct blocks *blocks, const struct adopt_terms *terms,
    const struct evict_sweep *sweep, struct adopt_found *out_found)
{
    assert(blocks->ledger.entries != NULL);
    const struct adopt_chain none = {.first = POOL_NONE};
    struct adoption adoption = {
        .blocks = blocks,
        .terms = terms,
        .found = {.lent = none, .loading = none, .read = none},
    };
    forget_hints(&blocks->index);
    for (uint32_t slot = 0; slot < blocks->index.slots; slot++) {
        ask_ahead(blocks, slot + AHEAD);
        if (!judge_slot(&adoption, slot)) {
            return STATUS_MALFORMED;
        }
    }
    if (!settle(&adoption, sweep)) {
        return STATUS_MALFORMED;
    }
    counter_set(blocks->counters, COUNTER_slots_free, 0);
    counter_set(blocks->counters, COUNTER_slots_hot, adoption.found.blocks);
    counter_set(blocks->counters, COUNTER_slots_lent, adoption.found.lent.count);
    adopt_extents(blocks);
    int status = adopt_order(blocks, adoption.found.blocks);
    if (status == STATUS_OK) {
        note_twins(blocks);
        *out_found = adoption.found;
    }
    return status;
}
