/* uses: what every use of a block says about sizes: what a pool, or a cold tier, of another size
 * would have answered.
 *
 * Called by session/handle (commits) and admit (touches) with each use, and by the loop (tick).
 * The stacks are whatif's: LRU, of a sample of the keys. The pool is host and device memory
 * together; a block with a copy in each is one in the stack and two in the pool, so what is said of
 * sizes is a little too good then. Sizes are counted in blocks of the mean size of those that are
 * in the pool; when that, or what the tiers hold, changes by more than an eighth, counting starts
 * again.
 */
#ifndef CISTERN_SIDECAR_BLOCK_USES_H
#define CISTERN_SIDECAR_BLOCK_USES_H

#include "sidecar/block/whatif.h"

#include <stdint.h>

struct blocks;

struct uses {
    struct whatif pool;
    struct whatif cold; /* of pool and tiers together */
    uint64_t pool_blocks; /* what the stacks were made for */
    uint64_t cold_blocks; /* 0: there are no tiers */
};

/* Called by blocks_open(). */
uint64_t uses_arena_bytes(void);
void uses_open(struct uses *uses, uint64_t pool_blocks, struct arena *arena);

/* A client used the block of this hash (policy_node.key_hash), or computed and committed it. */
void uses_note(struct uses *uses, uint32_t key_hash);

/* Now and then: fit the stacks to the sizes of now, and bring the counters up to date. */
void uses_tick(struct blocks *blocks);

#endif
