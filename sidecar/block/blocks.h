/* blocks: all that the server knows of its blocks, in one struct.
 *
 * Owned by the server, used on its loop alone. Memory is taken once, in blocks_open(), by the
 * limits given there: no later call allocates. Nothing here logs; callers look at statuses and
 * counters. A struct blocks stays where it was opened, because its parts point at each other.
 */
#ifndef CISTERN_SIDECAR_BLOCK_BLOCKS_H
#define CISTERN_SIDECAR_BLOCK_BLOCKS_H

#include "shm/layout.h"
#include "sidecar/block/arena.h"
#include "sidecar/block/claim.h"
#include "sidecar/block/cold.h"
#include "sidecar/block/fetch.h"
#include "sidecar/block/hold.h"
#include "sidecar/block/ledger.h"
#include "sidecar/block/move.h"
#include "sidecar/block/policy.h"
#include "sidecar/block/pool.h"
#include "sidecar/block/quarantine.h"
#include "sidecar/block/spill.h"
#include "sidecar/block/uses.h"

#include <stdbool.h>
#include <stdint.h>

#define BLOCKS_SPACES 65536u /* as many as the descriptor's field can name */

struct blocks_limits {
    uint64_t pool_bytes; /* of host memory; a multiple of extent_bytes */
    uint64_t device_bytes; /* of the memory of EACH device; a multiple too; 0: there are none */
    uint64_t extent_bytes; /* a multiple of slot_bytes_min; the largest block there can be */
    uint64_t slot_bytes_min; /* a multiple of 4096; smaller blocks take as much */
    uint32_t devices; /* at most SLOT_DEVICES; 0 exactly if device_bytes is */
    enum policy_kind policy;
    uint64_t quarantine_ns; /* how long a slot with a possible late writer is held back */
    void *ledger; /* what the next server needs to know (ledger.h); NULL: there will be none */
    uint64_t ledger_bytes;
    uint32_t fetches_max; /* cold blocks that may be on their way at one time; 0: the least */
    struct claims_limits claims;
};

struct blocks {
    struct index_view index;
    _Atomic uint64_t *counters; /* those of the index header */
    struct arena arena; /* the memory of all that follows */
    struct pool pool;
    struct ledger ledger;
    struct policy_memory policy_memory;
    struct policy policies[POOL_CLASSES_MAX]; /* one a size class */
    uint32_t *space_blocks; /* slots with a block of each namespace, by its number */
    uint8_t *marks; /* enum pin_mark, one a slot; all PIN_NONE between evictions */
    struct claims claims;
    struct quarantine quarantine;
    struct holds holds;
    struct fetches fetches;
    struct spills spills;
    struct moves moves;
    struct cold cold;
    struct uses uses;
    uint32_t tick_class; /* where evict_tick() goes on */
    bool pins_met; /* the last batch of victims had a pinned one: look before marking (V1) */
};

/* How many descriptors the index of such a pool needs, extents of the host and of all devices
 * together; 0 if the sizes do not fit together. */
uint32_t blocks_slots(uint64_t pool_bytes, uint64_t device_bytes, uint32_t devices,
    uint64_t extent_bytes, uint64_t slot_bytes_min);

/* Open over a fresh index (layout_index_init() was called, no slot was ever used), or over one that
 * adopt_blocks() takes over before anything else is called.
 * Returns 0; STATUS_INVALID if limits and index disagree; STATUS_NO_MEMORY; or as
 * layout_index_view(). On failure `out` holds nothing. */
int blocks_open(
    struct blocks *out, const struct blocks_limits *limits, void *index_base, uint64_t index_bytes);

/* Give the memory back; the index is the caller's. Accepts NULL and a closed struct. */
void blocks_close(struct blocks *blocks);

#endif
