/* policy: lists, parents and victims, common to all policies. See policy.h for the life of a block.
 * */
#include "sidecar/block/policy.h"

#include <assert.h>
#include <stddef.h>

static_assert(sizeof(struct policy_node) == 32, "two nodes share a cache line, none straddles one");

uint64_t policy_arena_bytes(uint32_t slots)
{
    return arena_bytes(slots, sizeof(struct policy_node)) + ghost_arena_bytes(slots + 1);
}

void policy_memory_open(struct policy_memory *memory, uint32_t slots, struct arena *arena)
{
    memory->nodes = arena_take(arena, slots, sizeof(struct policy_node));
    memory->slots = slots;
    /* A class of n slots keeps n ghosts, and one more for a moment. */
    ghost_open(&memory->ghosts, slots + 1, arena);
}

void policy_open(struct policy *policy, enum policy_kind kind, struct policy_memory *memory)
{
    *policy = (struct policy){
        .ops = kind == POLICY_ARC ? &policy_arc : &policy_lru,
        .memory = memory,
    };
    for (uint32_t i = 0; i < POLICY_LISTS; i++) {
        policy->lists[i] = (struct policy_list){.newest = POLICY_NONE, .oldest = POLICY_NONE};
        ghost_list_open(&policy->ghosts[i]);
    }
}

static void trim_ghosts(struct policy *policy)
{
    /* Bounded: each turn drops one of at most `capacity` ghosts; after an insertion or an eviction
     * there is at most one too many in each list. */
    uint32_t list;
    while ((list = policy->ops->excess(policy)) != POLICY_NONE) {
        ghost_drop_oldest(&policy->memory->ghosts, &policy->ghosts[list]);
    }
}

void policy_resize(struct policy *policy, uint32_t capacity)
{
    policy->capacity = capacity;
    if (policy->target > capacity) {
        policy->target = capacity;
    }
    trim_ghosts(policy);
}

static void link_newest(struct policy *policy, uint32_t slot)
{
    struct policy_node *nodes = policy->memory->nodes;
    struct policy_list *list = &policy->lists[nodes[slot].list];
    nodes[slot].newer = POLICY_NONE;
    nodes[slot].older = list->newest;
    nodes[slot].place = POLICY_LISTED;
    if (list->newest != POLICY_NONE) {
        nodes[list->newest].newer = slot;
    } else {
        list->oldest = slot;
    }
    list->newest = slot;
}

static void link_oldest(struct policy *policy, uint32_t slot)
{
    struct policy_node *nodes = policy->memory->nodes;
    struct policy_list *list = &policy->lists[nodes[slot].list];
    nodes[slot].older = POLICY_NONE;
    nodes[slot].newer = list->oldest;
    nodes[slot].place = POLICY_LISTED;
    if (list->oldest != POLICY_NONE) {
        nodes[list->oldest].older = slot;
    } else {
        list->newest = slot;
    }
    list->oldest = slot;
}

/* Take a block out of its list's chain; its list's count stays. Parked ones are in no chain. */
static void unlink_node(struct policy *policy, uint32_t slot)
{
    struct policy_node *nodes = policy->memory->nodes;
    struct policy_node *node = &nodes[slot];
    if (node->place != POLICY_LISTED) {
        assert(node->place == POLICY_PARKED);
        return;
    }
    struct policy_list *list = &policy->lists[node->list];
    if (node->newer != POLICY_NONE) {
        nodes[node->newer].older = node->older;
    } else {
        list->newest = node->older;
    }
    if (node->older != POLICY_NONE) {
        nodes[node->older].newer = node->newer;
    } else {
        list->oldest = node->newer;
    }
}

/* The block's parent, or POLICY_NONE if it has none or that one is no more. */
static uint32_t living_parent(const struct policy *policy, uint32_t slot)
{
    const struct policy_node *nodes = policy->memory->nodes;
    const struct policy_node *node = &nodes[slot];
    if (node->parent == POLICY_NONE || nodes[node->parent].use != node->parent_use) {
        return POLICY_NONE;
    }
    assert(nodes[node->parent].place != POLICY_OUT);
    return node->parent;
}

static void leave_parent(struct policy *policy, uint32_t slot)
{
    uint32_t parent = living_parent(policy, slot);
    if (parent == POLICY_NONE) {
        return;
    }
    struct policy_node *node = &policy->memory->nodes[parent];
    assert(node->children > 0);
    node->children--;
    if (node->children == 0 && node->place == POLICY_PARKED) {
        /* Its turn was long ago: it is the next victim. */
        link_oldest(policy, parent);
    }
}

/* The block is out; children that it leaves behind see another `use`. */
static void go_out(struct policy *policy, uint32_t slot)
{
    struct policy_node *node = &policy->memory->nodes[slot];
    node->place = POLICY_OUT;
    node->children = 0;
    node->use++;
}

void policy_insert(struct policy *policy, uint32_t slot, uint64_t key_hash, uint32_t parent)
{
    assert(slot < policy->memory->slots);
    struct policy_node *nodes = policy->memory->nodes;
    struct policy_node *node = &nodes[slot];
    assert(node->place == POLICY_OUT && node->children == 0);
    node->key_hash = (uint32_t)key_hash;
    node->parent = parent;
    if (parent != POLICY_NONE) {
        assert(parent < policy->memory->slots && parent != slot);
        assert(nodes[parent].place != POLICY_OUT);
        node->parent_use = nodes[parent].use;
        nodes[parent].children++;
    }
    uint32_t ghost =
        ghost_take(&policy->memory->ghosts, policy->ghosts, POLICY_LISTS, node->key_hash);
    node->list = (uint8_t)policy->ops->admit(policy, ghost);
    policy->lists[node->list].count++;
    link_newest(policy, slot);
    trim_ghosts(policy);
}

void policy_touch(struct policy *policy, uint32_t slot)
{
    assert(slot < policy->memory->slots);
    struct policy_node *node = &policy->memory->nodes[slot];
    if (node->place == POLICY_OUT || node->place == POLICY_CHOSEN) {
        return;
    }
    uint32_t list = policy->ops->touch(policy, node->list);
    if (list == node->list && policy->lists[list].newest == slot) {
        return;
    }
    unlink_node(policy, slot);
    policy->lists[node->list].count--;
    node->list = (uint8_t)list;
    policy->lists[list].count++;
    link_newest(policy, slot);
}

void policy_remove(struct policy *policy, uint32_t slot)
{
    assert(slot < policy->memory->slots);
    policy_choose(policy, slot);
    go_out(policy, slot);
}

void policy_choose(struct policy *policy, uint32_t slot)
{
    struct policy_node *node = &policy->memory->nodes[slot];
    assert(node->place == POLICY_LISTED || node->place == POLICY_PARKED);
    unlink_node(policy, slot);
    policy->lists[node->list].count--;
    node->place = POLICY_CHOSEN;
    leave_parent(policy, slot);
}

/* The oldest block of a list that has no resident child; those that have are parked on the way.
 * POLICY_NONE if the list has no more, or `*passes` are used up. */
static uint32_t pick(struct policy *policy, uint32_t list, uint32_t *passes)
{
    struct policy_node *nodes = policy->memory->nodes;
    for (;;) {
        uint32_t slot = policy->lists[list].oldest;
        if (slot == POLICY_NONE || nodes[slot].children == 0) {
            return slot;
        }
        if (*passes == 0) {
            return POLICY_NONE;
        }
        (*passes)--;
        unlink_node(policy, slot);
        nodes[slot].place = POLICY_PARKED;
    }
}

uint32_t policy_victims(struct policy *policy, uint32_t max, uint32_t *out_slots)
{
    uint32_t count = 0;
    uint32_t passes = max * POLICY_PASSES;
    if (passes < POLICY_PASSES_LEAST) {
        passes = POLICY_PASSES_LEAST;
    }
    while (count < max) {
        uint32_t list = policy->ops->source(policy);
        uint32_t slot = pick(policy, list, &passes);
        if (slot == POLICY_NONE) {
            slot = pick(policy, (list + 1) % POLICY_LISTS, &passes);
        }
        if (slot == POLICY_NONE) {
            break;
        }
        policy_choose(policy, slot);
        out_slots[count++] = slot;
    }
    return count;
}

void policy_evicted(struct policy *policy, uint32_t slot)
{
    struct policy_node *node = &policy->memory->nodes[slot];
    assert(node->place == POLICY_CHOSEN);
    uint32_t list = policy->ops->remember(policy, node->list);
    if (list != POLICY_NONE && policy->capacity > 0) {
        ghost_add(&policy->memory->ghosts, &policy->ghosts[list], node->key_hash);
    }
    go_out(policy, slot);
    trim_ghosts(policy);
}

void policy_keep(struct policy *policy, uint32_t slot)
{
    struct policy_node *node = &policy->memory->nodes[slot];
    assert(node->place == POLICY_CHOSEN);
    uint32_t parent = living_parent(policy, slot);
    if (parent != POLICY_NONE) {
        policy->memory->nodes[parent].children++;
    }
    policy->lists[node->list].count++;
    link_newest(policy, slot);
}
