/* policy: which block should go next. Pure: no shared memory, no clock, no chance; the same calls
 * give the same victims, so a trace can be replayed.
 *
 * Called by admit (insert, touch), evict and drain (victims, choose, evicted, keep), pool (resize).
 * Every size class has a policy of its own; all share one policy_memory, because a slot is in one
 * class at a time. What differs between LRU and ARC is one small table (struct policy_ops); lists,
 * parents and ghosts are common and live here.
 *
 *   block:  out ──insert──▶ listed ⇄ parked     parked: came up as a victim while it had a resident
 *                            │  ▲     │         child; back at the old end as the last goes,
 *                            │  └keep─┤         at the new end when it is touched
 *                            └─────▶ chosen ──evicted──▶ out (a ghost remains)
 *
 * Leaf first: a block is passed over while a resident block names it as parent. Passing over parks
 * it, so no block is passed over twice between two touches, and one call passes over no more than
 * POLICY_PASSES for each victim that it was asked for: then it returns fewer, and the next call
 * goes on where it stopped. Touches come deepest block first, so a parent that was used is newer
 * than its children. A parent that goes all the same (its extent drains) leaves children behind.
 */
#ifndef CISTERN_SIDECAR_BLOCK_POLICY_H
#define CISTERN_SIDECAR_BLOCK_POLICY_H

#include "sidecar/block/arena.h"
#include "sidecar/block/ghost.h"

#include <stdint.h>

#define POLICY_NONE UINT32_MAX
#define POLICY_LISTS 2u
#define POLICY_PASSES 64u /* blocks with children passed over, for each victim asked for */
#define POLICY_PASSES_LEAST 4096u /* but so many at least in one call */

enum policy_kind { POLICY_LRU = 0, POLICY_ARC = 1 };

enum policy_place { POLICY_OUT = 0, POLICY_LISTED = 1, POLICY_PARKED = 2, POLICY_CHOSEN = 3 };

/* One a slot; half a cache line. */
struct policy_node {
    uint32_t newer; /* in its list */
    uint32_t older;
    uint32_t parent; /* slot, or POLICY_NONE */
    uint32_t
        parent_use; /* the parent's `use` when this block came: another one now means it went */
    uint32_t children; /* resident blocks that name this one */
    uint32_t use; /* rises when a block leaves the slot */
    uint32_t key_hash;
    uint8_t list;
    uint8_t place; /* enum policy_place */
    uint16_t padding;
};

/* What all policies share. */
struct policy_memory {
    struct policy_node *nodes;
    uint32_t slots;
    struct ghosts ghosts;
};

struct policy;

/* What makes a policy; each is called from the functions below, and only moves numbers about. */
struct policy_ops {
    const char *name;
    /* A block came; `ghost` is the ghost list that still knew it, or POLICY_NONE. Returns its list.
     * */
    uint32_t (*admit)(struct policy *policy, uint32_t ghost);
    /* A block of `list` was touched. Returns the list where it belongs now. */
    uint32_t (*touch)(const struct policy *policy, uint32_t list);
    /* Returns the list that gives the next victim. */
    uint32_t (*source)(const struct policy *policy);
    /* A block of `list` was evicted. Returns the ghost list that remembers it, or POLICY_NONE. */
    uint32_t (*remember)(const struct policy *policy, uint32_t list);
    /* Returns a ghost list that is too long, or POLICY_NONE; called until it says so. */
    uint32_t (*excess)(const struct policy *policy);
};

extern const struct policy_ops policy_lru;
extern const struct policy_ops policy_arc;

struct policy_list {
    uint32_t newest;
    uint32_t oldest;
    uint32_t count; /* listed and parked */
};

struct policy {
    const struct policy_ops *ops;
    struct policy_memory *memory;
    uint32_t capacity; /* slots of the class */
    uint32_t target; /* ARC: how many of them the first list should have */
    struct policy_list lists[POLICY_LISTS];
    struct ghost_list ghosts[POLICY_LISTS];
};

uint64_t policy_arena_bytes(uint32_t slots);
void policy_memory_open(struct policy_memory *memory, uint32_t slots, struct arena *arena);
void policy_open(struct policy *policy, enum policy_kind kind, struct policy_memory *memory);

/* The class has `capacity` slots from now on; ghosts beyond it are forgotten. */
void policy_resize(struct policy *policy, uint32_t capacity);

/* A block came into `slot`; `parent` is the slot of the block before it, if that is resident. */
void policy_insert(struct policy *policy, uint32_t slot, uint64_t key_hash, uint32_t parent);

/* The block was used. Ignored if the slot holds none, or was chosen. */
void policy_touch(struct policy *policy, uint32_t slot);

/* The block is no more, but was not evicted: no ghost. */
void policy_remove(struct policy *policy, uint32_t slot);

/* Choose up to `max` victims, in the order in which they should go: children before parents.
 * Each is then evicted or kept, in this order. Returns how many. */
uint32_t policy_victims(struct policy *policy, uint32_t max, uint32_t *out_slots);

/* Choose this very block, whatever its age and children. Ends in evicted or keep, too. */
void policy_choose(struct policy *policy, uint32_t slot);

/* A chosen block is gone. */
void policy_evicted(struct policy *policy, uint32_t slot);

/* A chosen block stays, as if it had just come. */
void policy_keep(struct policy *policy, uint32_t slot);

/* Is a block in the slot? */
static inline int policy_resident(const struct policy *policy, uint32_t slot)
{
    return policy->memory->nodes[slot].place != POLICY_OUT;
}

/* Resident blocks that name this one as their parent. */
static inline uint32_t policy_children(const struct policy *policy, uint32_t slot)
{
    return policy->memory->nodes[slot].children;
}

#endif
