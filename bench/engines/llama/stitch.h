/* stitch: one blob for the engine from the blocks of a prefix.
 *
 * Called by serve with views of pinned blocks. Rows are copied once, from shared memory to private
 * memory, and summed there: what another process writes into a block meanwhile is either not seen
 * or found out. Everything but the rows is written anew. Always: a blob that stitch_blocks() has
 * accepted is one that the engine takes.
 */
#ifndef CISTERN_BENCH_ENGINES_LLAMA_STITCH_H
#define CISTERN_BENCH_ENGINES_LLAMA_STITCH_H

#include "bench/engines/llama/blob.h"

struct stitch_view {
    const uint8_t *data;
    uint64_t bytes;
};

/* Where the engine shall take the cells up. */
struct stitch_target {
    uint32_t streams; /* 1: a unified cache; else as many as the engine has sequences */
    uint32_t stream; /* that of the sequence that is imported */
};

/* Bytes of the blob of `count` blocks. */
uint64_t stitch_bytes(const struct blob_shape *shape, uint32_t count, uint32_t block_tokens,
    const struct stitch_target *target);

/* Join blocks of `block_tokens` tokens, the first of which begins at position 0.
 *
 * views      `count` of them, at least one
 * out_data   room for stitch_bytes(); undefined if not all blocks are good
 * out_why    what is wrong with the first bad block, else NULL
 *
 * Returns the number of blocks before the first bad one; `count` if all are good. */
uint32_t stitch_blocks(const struct blob_shape *shape, const struct stitch_view *views,
    uint32_t count, uint32_t block_tokens, const struct stitch_target *target, uint8_t *out_data,
    const char **out_why);

#endif
