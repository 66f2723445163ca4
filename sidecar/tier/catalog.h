/* catalog: which block lies where on the disks: a table in memory, 96 bytes a block and its bucket.
 *
 * Owned by the front of tier_nvme; called on the server's thread alone. It knows no disk. Memory is
 * reserved at open and touched only as blocks come, so it grows page by page and never moves: no
 * call takes long. Namespaces, with type and channels of their blocks, are kept once (a kind) and
 * counted.
 *
 *   find ── id ──▶ bucket ──▶ entry ──▶ next in bucket
 *                               ├─ older, newer: the blocks of one region
 *                               └─ kind: namespace, type, channels
 *
 * Keys are the clients' word: the hash is seeded, so nobody can fill one bucket on purpose.
 */
#ifndef CISTERN_SIDECAR_TIER_CATALOG_H
#define CISTERN_SIDECAR_TIER_CATALOG_H

#include "sidecar/tier/record.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define CATALOG_NONE UINT32_MAX
#define CATALOG_KINDS 4096u
#define CATALOG_HITS_MOST 15u

enum catalog_state {
    CATALOG_FREE,
    CATALOG_WRITING, /* its first write is under way: no place yet; next: HELD, FREE */
    CATALOG_HELD /* on disk; next: FREE */
};

struct catalog_place {
    uint32_t region;
    uint32_t page;
    uint16_t back; /* pages from the INDEX page of its group */
    uint8_t directory;
};

struct catalog_entry {
    struct key key;
    struct record_root root;
    uint8_t nonce[12]; /* sealed ones */
    uint32_t page;
    uint32_t raw_bytes;
    uint32_t stored_bytes;
    uint32_t next; /* in its bucket; of a free one: the next free one */
    uint32_t older; /* in its region */
    uint32_t newer;
    uint32_t region;
    uint16_t kind;
    uint16_t back;
    uint16_t use; /* rises when the entry is freed: an operation under way sees that it is gone */
    uint8_t state : 2; /* enum catalog_state */
    uint8_t hits : 4; /* loads since it was written */
    uint8_t sealed : 1;
    uint8_t moving : 1; /* is being written once more elsewhere */
    uint8_t codec : 4;
    uint8_t directory : 4;
};

static_assert(sizeof(struct catalog_entry) == 96, "RAM a block");

/* One namespace and what its blocks are. */
struct catalog_kind {
    uint8_t space[32];
    uint32_t channels;
    uint32_t blocks; /* that name it; 0: free */
    uint8_t type;
};

struct catalog {
    struct catalog_entry *entries; /* room for `most`; the first `used` were touched */
    uint32_t *buckets; /* entry + 1; 0: empty */
    uint64_t seed;
    uint32_t bucket_mask;
    uint32_t most;
    uint32_t used;
    uint32_t free; /* the last one freed, or CATALOG_NONE */
    uint32_t count;
    uint32_t kind_last; /* found last: most calls ask for it again */
    struct catalog_kind *kinds;
};

/* Room for `most` blocks; `usual` is how many are likely. Returns 0 or STATUS_NO_MEMORY. */
int catalog_open(struct catalog *out_catalog, uint32_t most, uint32_t usual, uint64_t seed);
void catalog_close(struct catalog *catalog);

/* The entry of a block, or CATALOG_NONE. */
uint32_t catalog_find(const struct catalog *catalog, const struct tier_id *id);

/* A new entry, in state WRITING, in no region. CATALOG_NONE: the table or the kinds are full. The
 * block is not there yet. */
uint32_t catalog_add(
    struct catalog *catalog, const struct tier_id *id, uint8_t type, uint32_t channels);

/* Forget a block; it is in no region's list any more. */
void catalog_remove(struct catalog *catalog, uint32_t index);

/* It is on disk: as its header says, at this place. */
void catalog_place(struct catalog *catalog, uint32_t index, const struct record_header *header,
    const struct catalog_place *place);

/* The header that was stored, without its parts and its checks: enough for record_decode(). */
void catalog_header(
    const struct catalog *catalog, uint32_t index, struct record_header *out_header);

void catalog_id(const struct catalog *catalog, uint32_t index, struct tier_id *out_id);

#endif
