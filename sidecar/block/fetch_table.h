/* fetch_table: the reads of fetch: found by key, and queued until their turn.
 *
 * Called by block/fetch alone. Always: a read that is QUEUED, LOADING or HERE is found by its key,
 * one for each; a QUEUED one is in one of the two queues.
 */
#ifndef CISTERN_SIDECAR_BLOCK_FETCH_TABLE_H
#define CISTERN_SIDECAR_BLOCK_FETCH_TABLE_H

#include "sidecar/block/arena.h"
#include "sidecar/block/fetch_batch.h"
#include "sidecar/tier/tier.h"

#include <stdbool.h>
#include <stdint.h>

#define FETCH_NONE UINT32_MAX
#define FETCH_READS_LEAST 256u
#define FETCH_READS_MOST 65536u

enum fetch_state { FETCH_FREE, FETCH_QUEUED, FETCH_LOADING, FETCH_HERE, FETCH_DYING };

struct fetch_read {
    struct tier_id id;
    struct key parent;
    uint64_t serial; /* rises: an older read has a smaller one */
    uint64_t generation; /* of the slot */
    uint64_t deadline_ns; /* the latest of those who want it */
    uint64_t begin_ns; /* what the tier was told: to begin until then */
    uint64_t part_bytes; /* the most that anybody wants first */
    uint64_t part_here; /* the first bytes that are there; 0: none, or nobody asked */
    uint64_t bytes; /* HERE: of the block */
    uint64_t checksum; /* HERE, of a copy from a device: as it was committed there */
    uint32_t class;
    uint32_t slot; /* LOADING, HERE, DYING */
    uint32_t chain; /* next in its hash bucket; or free */
    uint32_t before; /* QUEUED: in its queue */
    uint32_t after; /* and DYING: the next of them */
    uint32_t children; /* HERE ones that wait for this read */
    uint32_t sibling;
    uint32_t asker; /* of a prefetch: its session's place */
    uint16_t space;
    uint8_t state; /* enum fetch_state */
    bool has_parent;
    bool ahead; /* nobody waited for it so far */
    bool told; /* somebody was told of its slot */
    bool moved; /* by a copy from a device, not by a tier */
    bool claimed; /* waiters of a claim hear of its end */
    uint8_t flags; /* as `checksum` */
};

struct fetch_queue {
    uint32_t first;
    uint32_t last;
    uint32_t count;
};

struct fetches {
    struct fetch_read *reads;
    uint32_t *buckets;
    uint32_t bucket_mask;
    uint32_t free;
    uint32_t dying; /* first of them */
    uint32_t loading; /* LOADING and HERE */
    uint64_t serial;
    uint64_t seed;
    struct fetch_queue urgent;
    struct fetch_queue ahead;
    struct fetch_batches batches;
    bool blocked; /* a tier said BUSY; until its next event, or the next tick */
};

/* Called by blocks_open(). */
uint64_t fetch_table_arena_bytes(uint32_t reads_max, uint32_t sessions_max);
void fetch_table_open(struct fetches *fetches, uint32_t reads_max, uint32_t sessions_max,
    uint64_t seed, _Atomic uint64_t *counters, struct arena *arena);

/* The read of this name, or FETCH_NONE. */
uint32_t fetch_table_find(const struct fetches *fetches, const struct tier_id *id, uint16_t space);

/* A new one, QUEUED, and the last in the queue that `read->ahead` says. Returns FETCH_NONE if there
 * are too many. */
uint32_t fetch_table_add(struct fetches *fetches, const struct fetch_read *read);

/* Nobody finds it any more. */
void fetch_table_hide(struct fetches *fetches, uint32_t at);

/* A hidden one, in no queue, is free. */
void fetch_table_free(struct fetches *fetches, uint32_t at);

/* A QUEUED one is no more. */
void fetch_table_drop(struct fetches *fetches, uint32_t at);

/* Into the queue that `ahead` says, as its last, or as its first; and out of it. */
void fetch_table_queue(struct fetches *fetches, uint32_t at, bool first);
void fetch_table_unqueue(struct fetches *fetches, uint32_t at);

#endif
