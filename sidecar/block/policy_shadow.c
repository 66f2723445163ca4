/* policy_shadow: see policy_shadow.h. Source of the sampling: Waldspurger et al., "Cache Modeling
 * and Optimization using Miniature Simulations", ATC 2017. */
#include "sidecar/block/policy_shadow.h"

#include "sidecar/block/policy_adaptive.h"

#include <assert.h>
#include <stddef.h>

#define LOOKS 32u /* in one bucket: clients choose keys, and could make them all fall together */
#define EVICTS 2u /* for each key that comes: after a shrink some more go each time */

uint64_t policy_shadow_arena_bytes(uint32_t most)
{
    return arena_bytes(most + 1, sizeof(struct policy_node)) +
           arena_bytes(most + 1, sizeof(uint32_t)) + arena_bytes(most, sizeof(uint32_t));
}

void policy_shadow_open(struct policy_shadow *shadow, uint32_t most, struct arena *arena)
{
    assert(most > 0 && most <= POLICY_SHADOW_MOST);
    shadow->nodes = arena_take(arena, most + 1, sizeof shadow->nodes[0]);
    shadow->chains = arena_take(arena, most + 1, sizeof shadow->chains[0]);
    shadow->buckets = arena_take(arena, most, sizeof shadow->buckets[0]);
    shadow->most = most;
    shadow->capacity = most;
}

void policy_shadow_reset(struct policy_shadow *shadow, uint32_t now)
{
    shadow->count = 0;
    shadow->free = 0;
    for (uint32_t i = 0; i < shadow->most; i++) {
        shadow->chains[i] = i + 1;
        shadow->buckets[i] = POLICY_NONE;
    }
    shadow->chains[shadow->most] = POLICY_NONE;
    policy_shelf_open(&shadow->shelf, now);
}

static uint32_t *bucket_of(const struct policy_shadow *shadow, uint32_t key_hash)
{
    return &shadow->buckets[key_hash % shadow->most];
}

static uint32_t find(const struct policy_shadow *shadow, uint32_t key_hash)
{
    uint32_t slot = *bucket_of(shadow, key_hash);
    for (uint32_t looks = 0; slot != POLICY_NONE && looks < LOOKS; looks++) {
        if (shadow->nodes[slot].key_hash == key_hash) {
            return slot;
        }
        slot = shadow->chains[slot];
    }
    return POLICY_NONE;
}

static uint32_t row_of(const struct policy_node *node)
{
    return node->missing ? POLICY_UNREACHABLE : node->list;
}

static void shelve(struct policy_shadow *shadow, uint32_t slot, bool newest)
{
    struct policy_node *node = &shadow->nodes[slot];
    node->place = POLICY_LISTED;
    policy_shelf_add(&shadow->shelf, shadow->nodes, row_of(node), slot, newest);
}

static void unshelve(struct policy_shadow *shadow, uint32_t slot)
{
    struct policy_node *node = &shadow->nodes[slot];
    node->place = POLICY_PARKED;
    policy_shelf_remove(&shadow->shelf, shadow->nodes, row_of(node), slot);
}

static void touch(struct policy_shadow *shadow, uint32_t slot, const struct policy_shadow_use *use)
{
    struct policy_node *node = &shadow->nodes[slot];
    bool listed = node->place == POLICY_LISTED;
    if (listed) {
        unshelve(shadow, slot);
    }
    node->list = use->class;
    node->stamp = use->stamp;
    node->missing = 0;
    if (listed) {
        shelve(shadow, slot, true);
    }
}

/* The leaf that is worth least goes. There is one: every chain ends somewhere. */
static void evict(struct policy_shadow *shadow, const struct policy_plan_view *view, uint32_t now)
{
    struct policy_plan_step plan[POLICY_PLAN_STEPS];
    uint32_t steps = policy_plan_make(&shadow->shelf, view, now, plan);
    assert(steps > 0);
    (void)steps;
    uint32_t slot = shadow->shelf.ends[plan[0].row][plan[0].column].oldest;
    const struct policy_node *node = &shadow->nodes[slot];
    unshelve(shadow, slot);
    uint32_t *link = bucket_of(shadow, node->key_hash);
    while (*link != slot) {
        assert(*link != POLICY_NONE);
        link = &shadow->chains[*link];
    }
    *link = shadow->chains[slot];
    shadow->chains[slot] = shadow->free;
    shadow->free = slot;
    shadow->count--;
    if (node->parent != POLICY_NONE) {
        struct policy_node *parent = &shadow->nodes[node->parent];
        parent->children--;
        if (parent->children == 0) {
            shelve(shadow, node->parent, false);
        }
    }
}

/* No chain is let grow so long that its end is not found. */
static bool has_room(const struct policy_shadow *shadow, uint32_t key_hash)
{
    uint32_t slot = *bucket_of(shadow, key_hash);
    uint32_t length = 0;
    for (; slot != POLICY_NONE && length < LOOKS; length++) {
        slot = shadow->chains[slot];
    }
    return length < LOOKS;
}

/* `above`: the parent's hash, or NULL. */
static void insert(
    struct policy_shadow *shadow, const struct policy_shadow_use *use, const uint32_t *above)
{
    uint32_t slot = shadow->free;
    shadow->free = shadow->chains[slot];
    uint32_t parent = above != NULL ? find(shadow, *above) : POLICY_NONE;
    struct policy_node *nodes = shadow->nodes;
    nodes[slot] = (struct policy_node){
        .parent = parent,
        .key_hash = use->key_hash,
        .list = use->class,
        .stamp = use->stamp,
        .missing = above != NULL && (parent == POLICY_NONE || nodes[parent].missing),
    };
    uint32_t *bucket = bucket_of(shadow, use->key_hash);
    shadow->chains[slot] = *bucket;
    *bucket = slot;
    shadow->count++;
    shelve(shadow, slot, true);
    if (parent != POLICY_NONE) {
        nodes[parent].children++;
        if (nodes[parent].place == POLICY_LISTED) {
            unshelve(shadow, parent);
        }
    }
}

uint32_t policy_shadow_request(struct policy_shadow *shadow, const struct policy_plan_view *view,
    const struct policy_shadow_prompt *prompt, uint32_t now)
{
    const struct policy_shadow_use *uses = prompt->uses;
    uint32_t hits = 0;
    bool reached = !prompt->has_parent || find(shadow, prompt->parent) != POLICY_NONE;
    while (reached && hits < prompt->count && find(shadow, uses[hits].key_hash) != POLICY_NONE) {
        hits++;
    }
    for (uint32_t i = prompt->count; i-- > 0;) {
        uint32_t slot = find(shadow, uses[i].key_hash);
        if (slot != POLICY_NONE) {
            touch(shadow, slot, &uses[i]);
        }
    }
    const uint32_t *above = prompt->has_parent ? &prompt->parent : NULL;
    for (uint32_t i = 0; i < prompt->count; i++) {
        uint32_t key_hash = uses[i].key_hash;
        if (find(shadow, key_hash) == POLICY_NONE && has_room(shadow, key_hash)) {
            insert(shadow, &uses[i], above);
            for (uint32_t j = 0; j < EVICTS && shadow->count > shadow->capacity; j++) {
                evict(shadow, view, now);
            }
        }
        above = &uses[i].key_hash;
    }
    return hits;
}
