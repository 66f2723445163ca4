/* policy_referee: which order hits more here, what was learned, or that of the last use.
 *
 * Called by policy_adaptive at each use and commit. What is learned beats LRU on most loads, but
 * not on all: where blocks are all alike, it is noise around LRU's order. So both orders run in a
 * shadow of the cache each, and the cache follows the better one.
 *
 * The lead is the learned order's hits minus the other's, fading with time; its deviation is what
 * it would be by chance, if neither were better. The learned order is left as soon as it is behind
 * a little, because nobody minds where they are equal, and taken up again only when it is ahead by
 * more than chance; each by as many hits more as changing the order may cost.
 */
#ifndef CISTERN_SIDECAR_BLOCK_POLICY_REFEREE_H
#define CISTERN_SIDECAR_BLOCK_POLICY_REFEREE_H

#include "sidecar/block/policy_path.h"
#include "sidecar/block/policy_shadow.h"

#include <stdbool.h>
#include <stdint.h>

#define POLICY_REFEREES 8u /* in a memory, for as many classes; others go by what was learned */

struct policy_referee {
    bool taken; /* a policy has it */
    bool recency; /* what it says: by the last use; else as learned */
    uint32_t width; /* of a shelf's segment */
    uint32_t switches; /* how often it changed its word */
    float lead;
    float square; /* sum of the squares of what changed the lead */
    struct policy_shadow learned;
    struct policy_shadow recent;
    struct policy_path path;
};

/* POLICY_REFEREES of them. */
uint64_t policy_referee_arena_bytes(uint32_t slots);
struct policy_referee *policy_referee_open(uint32_t slots, struct arena *arena);

/* One that nobody has, or NULL. It knows nothing yet: as learned. `width` is the policy's own. */
struct policy_referee *policy_referee_take(
    struct policy_referee *referees, uint32_t capacity, uint32_t width, uint32_t now);

/* Give it back. */
void policy_referee_drop(struct policy_referee **referee);

/* The cache has another capacity; the shadows follow, or begin anew with another sample. */
void policy_referee_resize(
    struct policy_referee *referee, uint32_t capacity, uint32_t width, uint32_t now);

/* A block was used, or came; its stamp is set. `view` is that of the learned order. */
void policy_referee_use(struct policy_referee *referee, const struct policy_plan_view *view,
    const struct policy_node *nodes, uint32_t slot, uint8_t class, bool came, uint32_t now);

#endif
