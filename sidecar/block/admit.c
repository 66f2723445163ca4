/* admit: see admit.h. */
#include "sidecar/block/admit.h"

#include "shm/status.h"

#include <assert.h>
#include <stddef.h>

uint32_t admit_next(const struct blocks *blocks, const struct hint_place *place,
    const struct key *key, uint16_t space, uint32_t *position)
{
    const struct index_view *index = &blocks->index;
    uint32_t slot;
    while ((slot = hint_next(index, place, HINT_HOT, position)) != HINT_NONE) {
        const struct slot_line *line = &index->lines[slot];
        if (slot_state_of(slot_load_state(line)) == SLOT_VALID && slot_holds(line, key, space)) {
            break;
        }
    }
    return slot;
}

uint32_t admit_find(const struct blocks *blocks, const struct key *key, uint16_t space)
{
    struct hint_place place = hint_place_of(key, blocks->index.hint_mask);
    uint32_t position = 0;
    uint32_t found = HINT_NONE;
    uint32_t slot;
    while ((slot = admit_next(blocks, &place, key, space, &position)) != HINT_NONE) {
        found = slot;
        if (pool_tier(&blocks->pool, slot) == SLOT_TIER_HOST) {
            break;
        }
    }
    return found;
}

uint32_t admit_find_tier(
    const struct blocks *blocks, const struct key *key, uint16_t space, enum slot_tier tier)
{
    struct hint_place place = hint_place_of(key, blocks->index.hint_mask);
    uint32_t position = 0;
    uint32_t slot;
    while ((slot = admit_next(blocks, &place, key, space, &position)) != HINT_NONE) {
        if (pool_tier(&blocks->pool, slot) == tier) {
            break;
        }
    }
    return slot;
}

void admit_cost(struct blocks *blocks, const struct key *key, uint16_t space, bool below)
{
    struct hint_place place = hint_place_of(key, blocks->index.hint_mask);
    bool hot = blocks->pool.devices > 0 &&
               admit_find_tier(blocks, key, space, SLOT_TIER_HOST) != HINT_NONE;
    uint32_t position = 0;
    uint32_t slot;
    while ((slot = admit_next(blocks, &place, key, space, &position)) != HINT_NONE) {
        uint32_t class = pool_class_of(&blocks->pool, slot);
        bool twin = hot && blocks->pool.classes[class].tier != SLOT_TIER_HOST;
        policy_cost(&blocks->policies[class], slot, below || twin ? POLICY_FETCH : POLICY_COMPUTE);
    }
}

/* Is there a free word for this key's hint? Only then is its slot published: without a hint nobody
 * would find it, and taking a published slot back needs a sweep. */
static bool has_room(const struct index_view *index, const struct key *key)
{
    struct hint_place place = hint_place_of(key, index->hint_mask);
    for (uint32_t at = 0; at < 16; at++) {
        const struct hint_bucket *bucket = &index->hints[place.bucket[at / 8]];
        if (shared64_load_relaxed(&bucket->word[at % 8]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_lent(uint64_t state, uint64_t generation)
{
    return (slot_state_of(state) == SLOT_RESERVED || slot_state_of(state) == SLOT_LOADING) &&
           slot_generation_of(state) == generation;
}

/* For a successor: which block this one follows. */
static void follow(struct blocks *blocks, uint32_t slot, uint32_t parent)
{
    uint64_t state = 0;
    if (parent != POLICY_NONE) {
        state = shared64_load_relaxed(&blocks->index.lines[parent].state);
    }
    ledger_follow(&blocks->ledger, slot, parent, slot_generation_of(state));
}

/* What the policy is told of a block's parent: links are within a tier, because a policy orders the
 * slots of one class. A parent that is hot in other tiers alone is none, but it is not missing:
 * whoever reads the prefix gets it from there. Keys are the clients' word: a block may name itself,
 * or one of another size. */
static uint32_t parent_of(const struct blocks *blocks, uint32_t slot,
    const struct slot_content *content, const struct key *parent, uint32_t class)
{
    if (parent == NULL) {
        return POLICY_NONE;
    }
    enum slot_tier tier = pool_tier(&blocks->pool, slot);
    uint32_t found = admit_find_tier(blocks, parent, content->space, tier);
    if (found == slot) {
        return POLICY_NONE;
    }
    if (found == HINT_NONE) {
        bool elsewhere = admit_find(blocks, parent, content->space) != HINT_NONE;
        return elsewhere ? POLICY_NONE : POLICY_MISSING;
    }
    return pool_class_of(&blocks->pool, found) == class ? found : POLICY_MISSING;
}

/* The block is readable: count it, and tell the policy and the ledger. */
static void welcome(struct blocks *blocks, uint32_t slot, const struct slot_content *content,
    const struct key *parent, uint32_t class)
{
    uint32_t before = parent_of(blocks, slot, content, parent, class);
    struct policy *policy = &blocks->policies[class];
    policy_insert(policy, slot, content->key.word[3], before);
    ledger_touch(&blocks->ledger, slot, policy_reused(policy, slot));
    follow(blocks, slot, before == POLICY_MISSING ? POLICY_NONE : before);
    counter_add(blocks->counters, COUNTER_slots_hot, 1);
    blocks->space_blocks[content->space]++;
}

/* There is room for its hint, and no other slot of its tier holds the block. */
static void publish(struct blocks *blocks, uint32_t slot, struct slot_content *content,
    const struct key *parent, uint32_t class)
{
    content->offset = pool_offset(&blocks->pool, slot);
    content->tier = (uint8_t)pool_tier(&blocks->pool, slot);
    content->size_class = (uint8_t) class;
    /* The descriptor before its hint: who follows the hint finds it. */
    slot_publish(&blocks->index.lines[slot], content);
    bool added = hint_add(&blocks->index, &content->key, HINT_HOT, slot);
    assert(added);
    welcome(blocks, slot, content, parent, class);
}

/* The block came to its slot: what dropping this copy costs, and what that of the others. */
static void note_cost(struct blocks *blocks, uint32_t slot, const struct slot_content *content,
    uint32_t class, bool below)
{
    const struct key *key = &content->key;
    bool host = content->tier == SLOT_TIER_HOST;
    if (host && blocks->pool.devices > 0) {
        admit_cost(blocks, key, content->space, below);
    } else if (below || (!host && admit_find_tier(blocks, key, content->space, SLOT_TIER_HOST) !=
                                      HINT_NONE)) {
        policy_cost(&blocks->policies[class], slot, POLICY_FETCH);
    }
}

/* A block that is committed to host memory and lies below already is found out when its copy is
 * due; none is made of one in device memory. */
static bool is_below(const struct blocks *blocks, const struct slot_content *content)
{
    return content->tier != SLOT_TIER_HOST && cold_has(blocks, &content->key);
}

int admit_block(struct blocks *blocks, uint32_t slot, uint64_t generation,
    struct slot_content *content, const struct key *parent, bool *out_duplicate)
{
    assert(slot < blocks->index.slots);
    uint64_t state = shared64_load_relaxed(&blocks->index.lines[slot].state);
    if (!is_lent(state, generation)) {
        return STATUS_STALE;
    }
    uint32_t class = pool_class_of(&blocks->pool, slot);
    if (content->bytes == 0 || content->bytes > pool_slot_bytes(&blocks->pool, class)) {
        return STATUS_INVALID;
    }
    enum slot_tier tier = pool_tier(&blocks->pool, slot);
    if (admit_find_tier(blocks, &content->key, content->space, tier) != HINT_NONE) {
        pool_give(blocks, slot);
        counter_add(blocks->counters, COUNTER_duplicates, 1);
        *out_duplicate = true;
        return STATUS_OK;
    }
    if (!has_room(&blocks->index, &content->key)) {
        pool_give(blocks, slot);
        counter_add(blocks->counters, COUNTER_hints_full, 1);
        return STATUS_BUSY;
    }
    if (slot_state_of(state) == SLOT_RESERVED) {
        counter_add(blocks->counters, COUNTER_slots_lent, UINT64_MAX);
    }
    publish(blocks, slot, content, parent, class);
    note_cost(blocks, slot, content, class, is_below(blocks, content));
    counter_add(blocks->counters, COUNTER_commits, 1);
    counter_add(blocks->counters, COUNTER_bytes_committed, content->bytes);
    *out_duplicate = false;
    return STATUS_OK;
}

int admit_filled(struct blocks *blocks, uint32_t slot, struct slot_content *content,
    const struct key *parent, bool below)
{
    assert(slot < blocks->index.slots);
    const struct slot_line *line = &blocks->index.lines[slot];
    uint32_t class = pool_class_of(&blocks->pool, slot);
    assert(slot_state_of(shared64_load_relaxed(&line->state)) == SLOT_LOADING);
    assert(content->bytes > 0 && content->bytes <= pool_slot_bytes(&blocks->pool, class));
    assert(admit_find_tier(blocks, &content->key, content->space, pool_tier(&blocks->pool, slot)) ==
           HINT_NONE);
    if (!has_room(&blocks->index, &content->key)) {
        counter_add(blocks->counters, COUNTER_hints_full, 1);
        return STATUS_BUSY;
    }
    publish(blocks, slot, content, parent, class);
    note_cost(blocks, slot, content, class, below);
    return STATUS_OK;
}

void admit_touch(struct blocks *blocks, uint32_t slot)
{
    assert(slot < blocks->index.slots);
    struct pool *pool = &blocks->pool;
    uint32_t class = pool->extents[pool_extent_of(pool, slot)].class;
    if (class == POOL_NONE) {
        return;
    }
    pool->classes[class].used_at = pool->sides[pool->classes[class].tier].evicted_bytes;
    policy_touch(&blocks->policies[class], slot);
    if (policy_resident(&blocks->policies[class], slot)) {
        ledger_touch(&blocks->ledger, slot, true);
        uses_note(&blocks->uses, blocks->policy_memory.nodes[slot].key_hash);
    }
}
