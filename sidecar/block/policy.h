/* policy: which block should go next. Pure: no shared memory, no clock, no chance; the same calls
 * give the same victims, so a trace can be replayed.
 *
 * Called by admit (insert, touch), evict and drain (victims, choose, evicted, keep), pool (resize).
 * Every size class has a policy of its own; all share one policy_memory, because a slot is in one
 * class at a time. Parents and children are common and live here; the order in which blocks go is
 * what differs, behind one small table (struct policy_ops).
 *
 *   block:  out ──insert──▶ listed ⇄ parked     parked: in no order while it has a resident child;
 *                            │  ▲     │         listed again as the last goes
 *                            │  └keep─┤
 *                            └─────▶ chosen ──evicted──▶ out (a ghost remains)
 *
 * Leaf first: a block is passed over while a resident block names it as parent. LRU and ARC park it
 * when it comes up as a victim, so no block is passed over twice between two touches, and one call
 * passes over no more than POLICY_PASSES for each victim that it was asked for: then it returns
 * fewer, and the next call goes on where it stopped. The adaptive policy parks it when its first
 * child comes. Touches come deepest block first, so a parent that was used is newer than its
 * children. A parent that goes all the same (its extent drains) leaves children behind.
 */
#ifndef CISTERN_SIDECAR_BLOCK_POLICY_H
#define CISTERN_SIDECAR_BLOCK_POLICY_H

#include "sidecar/block/arena.h"
#include "sidecar/block/ghost.h"
#include "sidecar/block/ghost_history.h"
#include "sidecar/block/policy_watch.h"

#include <stdbool.h>
#include <stdint.h>

#define POLICY_NONE UINT32_MAX
/* As a parent: there is one, but it is not here, so nobody can reach the block behind it. */
#define POLICY_MISSING (UINT32_MAX - 1)
#define POLICY_MOST 255u /* policies that may share a memory */
#define POLICY_LISTS 2u
#define POLICY_PASSES 64u /* blocks with children passed over, for each victim asked for */
#define POLICY_PASSES_LEAST 4096u /* but so many at least in one call */
#define POLICY_COMING_LOOKS 4u /* blocks looked at, for each one that policy_coming() may name */

enum policy_kind { POLICY_LRU = 0, POLICY_ARC = 1, POLICY_ADAPTIVE = 2 };

/* What a worker would have to do for the block if it were gone from here. */
enum policy_cost { POLICY_COMPUTE = 0, POLICY_FETCH = 1 };

enum policy_place { POLICY_OUT = 0, POLICY_LISTED = 1, POLICY_PARKED = 2, POLICY_CHOSEN = 3 };

/* What a use saves, against a use of another block. With compute == fetch and deeper == 0 all
 * blocks are alike, and only reuse counts. */
struct policy_weights {
    float compute; /* for the block at the start of a prefix */
    float fetch;
    float deeper; /* blocks of depth that add `compute` once more; 0: depth costs nothing */
};

/* One a slot; one cache line. */
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
    uint8_t reused; /* used again since it came, or its ghost was still known */
    uint8_t cost; /* enum policy_cost */
    /* Of the adaptive policy: */
    uint32_t stamp; /* when it was used last */
    uint32_t depth; /* blocks before it, as far as they were here when it came */
    uint8_t uses;
    uint8_t touched; /* since it came */
    uint8_t missing; /* came behind a block that was not here */
    uint8_t turn; /* how often its prefix had been taken up again where it ended, when it came */
    uint8_t padding[20];
};

struct policy_adaptive;
struct policy_referee;

/* What all policies of one kind share. */
struct policy_memory {
    enum policy_kind kind;
    struct policy_node *nodes;
    uint32_t slots;
    struct ghosts ghosts; /* of LRU, which leaves none, and ARC */
    /* Of the adaptive policies: */
    struct ghost_history history;
    struct policy_watch watch;
    struct policy_adaptive *adaptive; /* POLICY_MOST */
    struct policy_referee *referees; /* POLICY_REFEREES */
    uint32_t opened; /* how many of them have an owner */
    uint32_t time_shift; /* time is uses of all blocks, in units of 2^time_shift */
    uint64_t used;
    struct policy_weights weights;
};

struct policy;
struct policy_list_rule;

/* What makes a policy; called from the functions below. The block's node is filled, its parent's
 * children are counted. */
struct policy_ops {
    const char *name;
    const struct policy_list_rule *rule; /* LRU, ARC: what they differ in */
    void (*open)(struct policy *policy);
    /* The block came into its slot; list it. */
    void (*came)(struct policy *policy, uint32_t slot);
    /* The block, listed or parked, was used. */
    void (*used)(struct policy *policy, uint32_t slot);
    /* It goes, or may: out of its list. */
    void (*chosen)(struct policy *policy, uint32_t slot);
    /* It stays: listed again. */
    void (*kept)(struct policy *policy, uint32_t slot);
    /* It is gone by eviction; leave a ghost. */
    void (*evicted)(struct policy *policy, uint32_t slot);
    /* A first child came to a listed block; the last child of a parked one went. */
    void (*covered)(struct policy *policy, uint32_t slot);
    void (*bare)(struct policy *policy, uint32_t slot);
    /* `cost` changed for a listed or parked block; `before` is what it was. */
    void (*costs)(struct policy *policy, uint32_t slot, enum policy_cost before);
    /* The block that should go next, still listed, or POLICY_NONE. Each block passed over takes one
     * from `passes`. */
    uint32_t (*next)(struct policy *policy, uint32_t *passes);
    uint32_t (*coming)(const struct policy *policy, uint32_t max, uint32_t *out_slots);
    void (*resized)(struct policy *policy);
};

extern const struct policy_ops policy_lru;
extern const struct policy_ops policy_arc;
extern const struct policy_ops policy_adaptive;

struct policy_list {
    uint32_t newest;
    uint32_t oldest;
    uint32_t count; /* listed and parked */
};

struct policy {
    const struct policy_ops *ops;
    struct policy_memory *memory;
    uint32_t capacity; /* slots of the class */
    /* LRU, ARC: */
    uint32_t target; /* ARC: how many of them the first list should have */
    struct policy_list lists[POLICY_LISTS];
    struct ghost_list ghosts[POLICY_LISTS];
    /* Adaptive: */
    struct policy_adaptive *adaptive;
};

/* One memory, one kind: each takes what it needs, and no more. */
uint64_t policy_arena_bytes(enum policy_kind kind, uint32_t slots);
void policy_memory_open(
    struct policy_memory *memory, enum policy_kind kind, uint32_t slots, struct arena *arena);
void policy_open(struct policy *policy, struct policy_memory *memory);

/* The class has `capacity` slots from now on; ghosts beyond it are forgotten. */
void policy_resize(struct policy *policy, uint32_t capacity);

/* What uses are worth to the adaptive policies of a memory. Before: compute 1, fetch 0.25, deeper
 * 0 (README, decision 23). */
void policy_weigh(struct policy_memory *memory, struct policy_weights weights);

/* A block came into `slot`; `parent` is the slot of the block before it, or POLICY_NONE if there is
 * none, or POLICY_MISSING. */
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

/* The block became stored on a lower tier (POLICY_FETCH), or is there no more (POLICY_COMPUTE, as
 * at insert). Ignored if the slot holds none. */
void policy_cost(struct policy *policy, uint32_t slot, enum policy_cost cost);

/* The blocks that would go next, first first, up to `max`; moves nothing. A guess for those who
 * copy ahead: bounded by POLICY_COMING_LOOKS, and a touch may change it. Returns how many. */
uint32_t policy_coming(const struct policy *policy, uint32_t max, uint32_t *out_slots);

/* Was the block wanted a second time: touched since it came, or known by a ghost when it came? */
static inline bool policy_reused(const struct policy *policy, uint32_t slot)
{
    return policy->memory->nodes[slot].reused != 0;
}

/* The block's parent, or POLICY_NONE if it has none or that one is no more. For policy_*.c. */
uint32_t policy_parent(const struct policy *policy, uint32_t slot);

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
