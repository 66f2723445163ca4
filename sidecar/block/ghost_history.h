/* ghost_history: how often, and when last, blocks were used that are no longer here.
 *
 * Called by policy_adaptive: added to at an eviction, asked at an insert. A table of buckets, each
 * one cache line; when a bucket is full, the entry that was used longest ago makes room. An entry
 * is known by 48 bits of its key's hash at most: a false one only bends a heuristic.
 */
#ifndef CISTERN_SIDECAR_BLOCK_GHOST_HISTORY_H
#define CISTERN_SIDECAR_BLOCK_GHOST_HISTORY_H

#include "sidecar/block/arena.h"

#include <stdbool.h>
#include <stdint.h>

#define GHOST_HISTORY_WAYS 8u

/* What is remembered of one block. */
struct ghost_past {
    uint32_t used_at; /* in the policy's time */
    uint16_t tag;
    uint8_t uses; /* 0: the entry is free */
    uint8_t turn;
};

struct ghost_bucket {
    struct ghost_past ways[GHOST_HISTORY_WAYS];
};

struct ghost_history {
    struct ghost_bucket *buckets;
    uint32_t count;
    uint32_t known; /* entries in use */
};

/* `buckets`, at least 1, of 64 bytes. */
uint64_t ghost_history_arena_bytes(uint32_t buckets);
void ghost_history_open(struct ghost_history *history, uint32_t buckets, struct arena *arena);

/* Remember a block; `past.uses` is not 0, `past.tag` is not looked at. */
void ghost_history_add(
    struct ghost_history *history, uint32_t key_hash, struct ghost_past past, uint32_t now);

/* Forget a block, if it is known. */
bool ghost_history_take(
    struct ghost_history *history, uint32_t key_hash, struct ghost_past *out_past);

/* Ask for what ghost_history_add() will need. */
static inline void ghost_history_prefetch(const struct ghost_history *history, uint32_t key_hash)
{
    __builtin_prefetch(&history->buckets[(uint64_t)key_hash * history->count >> 32], 1, 3);
}

#endif
