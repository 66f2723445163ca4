/* whatif: what part of the uses a tier would have answered at a half, once, twice, four times its
 * size.
 *
 * Owned by whoever asks; fed with every block that a client used (hit) or committed (miss), deepest
 * first as touches come. One shadow stack in order of last use, of a sample of the keys, chosen by
 * hash; a use found at some depth would have been a hit in every LRU tier at least that deep. So
 * the answer is LRU's, whatever policy runs: it says what size is worth, not what policy is.
 * Always: fixed memory, constant work, nothing but counts.
 */
#ifndef CISTERN_SIDECAR_BLOCK_WHATIF_H
#define CISTERN_SIDECAR_BLOCK_WHATIF_H

#include "sidecar/block/arena.h"

#include <stdint.h>

#define WHATIF_SIZES 4u
#define WHATIF_ENTRIES 16384u /* keys of the sample at four times the size */

extern const char *const whatif_names[WHATIF_SIZES]; /* "0.5", "1", "2", "4" */

struct whatif_entry {
    uint64_t key_hash;
    uint32_t newer;
    uint32_t older; /* or the next free one */
    uint32_t chain; /* the next one in its bucket */
    uint32_t zone; /* the smallest size that would still hold it */
};

struct whatif_zone {
    uint32_t oldest;
    uint32_t count;
    uint32_t most;
};

struct whatif {
    struct whatif_entry *entries;
    uint32_t *buckets;
    uint32_t newest;
    uint32_t free;
    uint32_t shift; /* one key in 2^shift is in the sample */
    struct whatif_zone zones[WHATIF_SIZES];
    uint64_t uses; /* all */
    uint64_t sampled;
    uint64_t hits[WHATIF_SIZES]; /* of the sampled */
};

/* Since open or resize. `hits` are estimates; rate of size i: hits[i] / uses. */
struct whatif_rates {
    uint64_t uses;
    uint64_t hits[WHATIF_SIZES];
};

uint64_t whatif_arena_bytes(void);

/* `blocks`: how many the tier holds, at least 1. */
void whatif_open(struct whatif *whatif, uint64_t blocks, struct arena *arena);

/* The tier holds another number of blocks; start again. */
void whatif_resize(struct whatif *whatif, uint64_t blocks);

void whatif_use(struct whatif *whatif, uint64_t key_hash);

void whatif_rates(const struct whatif *whatif, struct whatif_rates *out_rates);

#endif
