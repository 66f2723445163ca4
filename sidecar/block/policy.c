/* policy: parents and children, and the life of a block, common to all policies. See policy.h. */
#include "sidecar/block/policy.h"

#include "sidecar/block/policy_adaptive.h"

#include <assert.h>
#include <stddef.h>

static_assert(sizeof(struct policy_node) == 64, "one look at a block is one cache line");

/* Time is cut finer than a 16,384th of all slots, and lasts for 2^32 of such units. */
#define TIME_BITS 14u

/* Eight ghosts a slot, and 8,192 more: small caches need a longer memory, and can have it. */
static uint32_t history_buckets(uint32_t slots)
{
    return slots + 1024;
}

uint64_t policy_arena_bytes(enum policy_kind kind, uint32_t slots)
{
    uint64_t nodes = arena_bytes(slots, sizeof(struct policy_node));
    if (kind != POLICY_ADAPTIVE) {
        return nodes + ghost_arena_bytes(slots + 1);
    }
    return nodes + ghost_history_arena_bytes(history_buckets(slots)) +
           policy_watch_arena_bytes(slots) + policy_referee_arena_bytes(slots) +
           arena_bytes(POLICY_MOST, sizeof(struct policy_adaptive));
}

static void open_adaptive(struct policy_memory *memory, uint32_t slots, struct arena *arena)
{
    ghost_history_open(&memory->history, history_buckets(slots), arena);
    policy_watch_open(&memory->watch, slots, arena);
    memory->referees = policy_referee_open(slots, arena);
    memory->adaptive = arena_take(arena, POLICY_MOST, sizeof memory->adaptive[0]);
    while (slots >> memory->time_shift > UINT32_C(1) << TIME_BITS) {
        memory->time_shift++;
    }
}

void policy_memory_open(
    struct policy_memory *memory, enum policy_kind kind, uint32_t slots, struct arena *arena)
{
    *memory = (struct policy_memory){
        .kind = kind,
        .nodes = arena_take(arena, slots, sizeof(struct policy_node)),
        .slots = slots,
        .weights = {.compute = 1.0f, .fetch = 0.25f, .deeper = 0},
    };
    if (kind == POLICY_ADAPTIVE) {
        open_adaptive(memory, slots, arena);
    } else {
        /* A class of n slots keeps n ghosts, and one more for a moment. */
        ghost_open(&memory->ghosts, slots + 1, arena);
    }
}

void policy_open(struct policy *policy, struct policy_memory *memory)
{
    static const struct policy_ops *const kinds[] = {
        [POLICY_LRU] = &policy_lru,
        [POLICY_ARC] = &policy_arc,
        [POLICY_ADAPTIVE] = &policy_adaptive,
    };
    *policy = (struct policy){.ops = kinds[memory->kind], .memory = memory};
    policy->ops->open(policy);
}

void policy_weigh(struct policy_memory *memory, struct policy_weights weights)
{
    memory->weights = weights;
}

void policy_resize(struct policy *policy, uint32_t capacity)
{
    policy->capacity = capacity;
    policy->ops->resized(policy);
}

uint32_t policy_parent(const struct policy *policy, uint32_t slot)
{
    const struct policy_node *nodes = policy->memory->nodes;
    const struct policy_node *node = &nodes[slot];
    if (node->parent == POLICY_NONE || nodes[node->parent].use != node->parent_use) {
        return POLICY_NONE;
    }
    assert(nodes[node->parent].place != POLICY_OUT);
    return node->parent;
}

static void join_parent(struct policy *policy, uint32_t parent)
{
    struct policy_node *node = &policy->memory->nodes[parent];
    node->children++;
    if (node->children == 1 && node->place == POLICY_LISTED) {
        policy->ops->covered(policy, parent);
    }
}

static void leave_parent(struct policy *policy, uint32_t parent)
{
    struct policy_node *node = &policy->memory->nodes[parent];
    assert(node->children > 0);
    node->children--;
    if (node->children == 0 && node->place == POLICY_PARKED) {
        policy->ops->bare(policy, parent);
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
    node->reused = 0;
    node->cost = POLICY_COMPUTE;
    node->missing = parent == POLICY_MISSING;
    node->parent = parent == POLICY_MISSING ? POLICY_NONE : parent;
    if (node->parent != POLICY_NONE) {
        assert(parent < policy->memory->slots && parent != slot);
        assert(nodes[parent].place != POLICY_OUT);
        node->parent_use = nodes[parent].use;
    }
    policy->ops->came(policy, slot);
    if (node->parent != POLICY_NONE) {
        join_parent(policy, parent);
    }
}

void policy_touch(struct policy *policy, uint32_t slot)
{
    assert(slot < policy->memory->slots);
    struct policy_node *node = &policy->memory->nodes[slot];
    if (node->place == POLICY_OUT || node->place == POLICY_CHOSEN) {
        return;
    }
    node->reused = 1;
    policy->ops->used(policy, slot);
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
    policy->ops->chosen(policy, slot);
    node->place = POLICY_CHOSEN;
    uint32_t parent = policy_parent(policy, slot);
    if (parent != POLICY_NONE) {
        leave_parent(policy, parent);
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
        uint32_t slot = policy->ops->next(policy, &passes);
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
    assert(policy->memory->nodes[slot].place == POLICY_CHOSEN);
    policy->ops->evicted(policy, slot);
    go_out(policy, slot);
}

void policy_keep(struct policy *policy, uint32_t slot)
{
    assert(policy->memory->nodes[slot].place == POLICY_CHOSEN);
    uint32_t parent = policy_parent(policy, slot);
    if (parent != POLICY_NONE) {
        join_parent(policy, parent);
    }
    policy->ops->kept(policy, slot);
}

uint32_t policy_coming(const struct policy *policy, uint32_t max, uint32_t *out_slots)
{
    return policy->ops->coming(policy, max, out_slots);
}

void policy_cost(struct policy *policy, uint32_t slot, enum policy_cost cost)
{
    assert(slot < policy->memory->slots);
    struct policy_node *node = &policy->memory->nodes[slot];
    enum policy_cost before = (enum policy_cost)node->cost;
    node->cost = (uint8_t)cost;
    if (cost != before && (node->place == POLICY_LISTED || node->place == POLICY_PARKED)) {
        policy->ops->costs(policy, slot, before);
    }
}
