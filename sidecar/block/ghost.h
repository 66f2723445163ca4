/* ghost: remembers the keys of blocks that were evicted, so that ARC learns what it should have
 * kept.
 *
 * Called by policy. One table for all classes; each policy has its own lists in it, which stay
 * where they are. A ghost is 32 bits of its key: a false one only bends a heuristic.
 */
#ifndef CISTERN_SIDECAR_BLOCK_GHOST_H
#define CISTERN_SIDECAR_BLOCK_GHOST_H

#include "sidecar/block/arena.h"

#include <stdbool.h>
#include <stdint.h>

#define GHOST_NONE UINT32_MAX
/* Looked at in one hash bucket: clients choose keys, and could make them all fall together. */
#define GHOST_LOOKS 16u

struct ghost_list {
    uint32_t newest;
    uint32_t oldest;
    uint32_t count;
};

struct ghost {
    struct ghost_list *list;
    uint32_t key_hash;
    uint32_t newer; /* in its list */
    uint32_t older; /* in its list, or among the free ones */
    uint32_t chain_before; /* in its bucket */
    uint32_t chain_after;
};

struct ghosts {
    struct ghost *entries;
    uint32_t *buckets;
    uint32_t bucket_mask;
    uint32_t free;
};

/* Called by policy_memory_open(). */
uint64_t ghost_arena_bytes(uint32_t count);
void ghost_open(struct ghosts *ghosts, uint32_t count, struct arena *arena);

void ghost_list_open(struct ghost_list *list);

/* Remember a key as the newest of a list. Returns false if the table is full. */
bool ghost_add(struct ghosts *ghosts, struct ghost_list *list, uint32_t key_hash);

/* Forget a key, if one of `lists` has it. Returns that list's place in `lists`, or GHOST_NONE. */
uint32_t ghost_take(
    struct ghosts *ghosts, struct ghost_list *lists, uint32_t list_count, uint32_t key_hash);

/* Forget the oldest of a list, which has one. */
void ghost_drop_oldest(struct ghosts *ghosts, struct ghost_list *list);

/* Ask for what ghost_add() will need. */
static inline void ghost_prefetch(const struct ghosts *ghosts, uint32_t key_hash)
{
    __builtin_prefetch(&ghosts->buckets[key_hash & ghosts->bucket_mask], 1, 3);
}

#endif
