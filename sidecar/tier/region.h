/* region: the stretches of one directory's file: which are free, written, full, and what they hold.
 *
 * Owned by the front of tier_nvme; called on the server's thread alone. It knows the catalog, and
 * no disk.
 *
 *   FREE ── region_lend ──▶ OPEN ── region_seal ──▶ FULL ── region_victim ──▶ LEAVING
 *     ▲                                              ▲                           │
 *     │                          region_found ───────┘      empty, nobody reads  │
 *     └──────────────────────────────── region_free ─────────────────────────────┘
 *
 * Always: a region that somebody reads is not made free, so a place that was handed out stays what
 * it was until the read is over.
 */
#ifndef CISTERN_SIDECAR_TIER_REGION_H
#define CISTERN_SIDECAR_TIER_REGION_H

#include "sidecar/tier/catalog.h"

#include <stdbool.h>
#include <stdint.h>

#define REGION_NONE UINT32_MAX
#define REGION_WINDOW 4u /* of so many oldest regions the least worth goes … */
#define REGION_WINDOW_PART 8u /* … but of no more than this part of the full ones */

enum region_state { REGION_FREE, REGION_OPEN, REGION_FULL, REGION_LEAVING };

struct region {
    uint64_t generation;
    uint64_t bytes; /* of the blocks held, as stored, in whole pages */
    uint32_t newest; /* of its blocks, or CATALOG_NONE */
    uint32_t blocks;
    uint32_t reads; /* operations under way that read it */
    uint32_t worth; /* hits on its blocks, halved each time it was passed over */
    enum region_state state;
};

/* All regions of one directory. */
struct regions {
    struct region *region; /* owned */
    uint32_t count;
    uint32_t free;
    uint32_t open;
    uint32_t full;
    uint64_t generation; /* the highest given out or found */
    uint8_t directory;
};

/* Returns 0 or STATUS_NO_MEMORY. All are free. */
int region_open(struct regions *out_regions, uint32_t count, uint8_t directory);
void region_close(struct regions *regions);

/* Take a free one, with a generation of its own; REGION_NONE: there is none. */
uint32_t region_lend(struct regions *regions);

/* It takes no more blocks. */
void region_seal(struct regions *regions, uint32_t number);

/* It was written by an earlier life. False: the number is none, or it is not free. */
bool region_found(struct regions *regions, uint32_t number, uint64_t generation);

/* Choose the one to give up: the emptiest, if it holds less than `sparse_bytes`: what it holds is
 * cheap to write once more; else of the oldest full ones the least worth. It becomes LEAVING.
 * REGION_NONE: there is none; or only such as are not that empty, and none `must` go. */
uint32_t region_victim(struct regions *regions, uint64_t sparse_bytes, bool must);

/* A leaving one is empty and unread: it can be used again. */
void region_free(struct regions *regions, uint32_t number);

/* A block that catalog_place() put there begins, or ends, to be one of its region's. */
void region_link(struct regions *regions, struct catalog *catalog, uint32_t index);
void region_unlink(struct regions *regions, struct catalog *catalog, uint32_t index);

/* A block was loaded. */
void region_hit(struct regions *regions, struct catalog *catalog, uint32_t index);

#endif
