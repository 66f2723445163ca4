/* policy_shadow: a small cache of keys alone, to see what an order of eviction would have hit.
 *
 * Owned by policy_referee, one for each order between which it decides. It takes the place of a
 * cache by a sample of the keys, at a capacity that is as much smaller. The key above another in
 * the sample is its parent here, so leaves go first, and what is hit could have been reached.
 * Always: fixed memory; a use takes the time of two evictions at most.
 */
#ifndef CISTERN_SIDECAR_BLOCK_POLICY_SHADOW_H
#define CISTERN_SIDECAR_BLOCK_POLICY_SHADOW_H

#include "sidecar/block/policy_plan.h"
#include "sidecar/block/policy_shelf.h"

#include <stdbool.h>
#include <stdint.h>

#define POLICY_SHADOW_MOST 4096u /* keys */

/* A key as the policy saw it when it was used. */
struct policy_shadow_use {
    uint32_t key_hash;
    uint32_t stamp;
    uint8_t class;
};

/* The keys of a prompt that are in the sample, from the root on, or a part of them. */
struct policy_shadow_prompt {
    const struct policy_shadow_use *uses;
    uint32_t count;
    bool has_parent; /* there is a key above the first */
    uint32_t parent; /* its hash */
};

struct policy_shadow {
    struct policy_node *nodes; /* one more than the most that it may hold */
    uint32_t *chains; /* the next in a node's bucket, or the next free node */
    uint32_t *buckets; /* as many as it may hold */
    uint32_t most;
    uint32_t capacity; /* `most` at most */
    uint32_t count;
    uint32_t free;
    struct policy_shelf shelf;
};

/* `most`: keys that it may ever hold, from 1 to POLICY_SHADOW_MOST. */
uint64_t policy_shadow_arena_bytes(uint32_t most);
void policy_shadow_open(struct policy_shadow *shadow, uint32_t most, struct arena *arena);

/* Forget everything. */
void policy_shadow_reset(struct policy_shadow *shadow, uint32_t now);

/* Begin a segment of the shelf, as the policy does. */
static inline void policy_shadow_cut(struct policy_shadow *shadow, uint32_t now)
{
    policy_shelf_cut(&shadow->shelf, shadow->nodes, now);
}

/* The prompt was used: touch what is here, deepest first, and insert the rest from the root on.
 * Returns how many of its keys were here in one piece from the first on. */
uint32_t policy_shadow_request(struct policy_shadow *shadow, const struct policy_plan_view *view,
    const struct policy_shadow_prompt *prompt, uint32_t now);

#endif
