/* policy_watch: a sample of all blocks, resident or not, watched from use to use.
 *
 * Called by policy_adaptive at each use and each commit. What a cache sees of its own blocks is
 * bent by its own choices: it learns nothing of blocks after it evicted them. So some keys are
 * watched wherever they are, chosen by hash. Fixed memory: when keys come faster than it holds, it
 * watches half as many from then on. One watch serves all policies; an entry remembers its own.
 */
#ifndef CISTERN_SIDECAR_BLOCK_POLICY_WATCH_H
#define CISTERN_SIDECAR_BLOCK_POLICY_WATCH_H

#include "sidecar/block/arena.h"
#include "sidecar/block/policy_hazard.h"

#include <stdint.h>

#define POLICY_WATCH_WAYS 8u

struct policy_watch_entry {
    uint32_t key_hash;
    uint32_t stamp; /* when it was used last */
    uint8_t class; /* what it was then */
    uint8_t owner; /* number of its policy */
    uint8_t live;
    uint8_t padding;
};

struct policy_watch {
    struct policy_watch_entry *entries;
    uint32_t buckets;
    uint32_t shift; /* one key in 2^shift is watched */
};

uint64_t policy_watch_arena_bytes(uint32_t slots);
void policy_watch_open(struct policy_watch *watch, uint32_t slots, struct arena *arena);

/* Ask for what policy_watch_use() will need. */
static inline void policy_watch_prefetch(const struct policy_watch *watch, uint32_t key_hash)
{
    uint64_t bucket = (uint64_t)(key_hash & (watch->buckets - 1)) * POLICY_WATCH_WAYS;
    __builtin_prefetch(&watch->entries[bucket], 1, 3);
    __builtin_prefetch(&watch->entries[bucket + POLICY_WATCH_WAYS - 1], 1, 3);
}

/* A block was used, or came, and is of `class` from now on. Tells the hazard what that ended.
 * Entries of other owners make room unseen. */
void policy_watch_use(struct policy_watch *watch, struct policy_hazard *hazard, uint8_t owner,
    uint32_t key_hash, uint8_t class, uint32_t now);

/* The watched blocks of one owner, as far as they were counted. Zero before the first. */
struct policy_watch_census {
    uint32_t next; /* entry */
    uint32_t live; /* entries of all owners */
    struct policy_hazard_counts alive; /* of this one, by class and age */
};

static inline uint32_t policy_watch_entries(const struct policy_watch *watch)
{
    return watch->buckets * POLICY_WATCH_WAYS;
}

/* Count on, `most` entries at most; those older than `horizon` leave sight. */
void policy_watch_count(struct policy_watch *watch, struct policy_hazard *hazard, uint8_t owner,
    uint32_t now, uint32_t horizon, uint32_t most, struct policy_watch_census *census);

/* After a whole census: watch fewer keys, or more. Fewer costs a pass over all entries; that
 * happens a few times in a watch's life. */
void policy_watch_adjust(struct policy_watch *watch, const struct policy_watch_census *census);

#endif
