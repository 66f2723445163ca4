/* block: what a slot holds: a header of ours, and the engine's blob of the block's tokens.
 *
 * Written by the worker that computed the block, into the slot itself; read by stitch in every
 * other one. Always: the header's sums are over the rows of one part, because whoever imports a
 * long prefix needs the sliding window's rows of its last blocks only.
 */
#ifndef CISTERN_BENCH_ENGINES_LLAMA_BLOCK_H
#define CISTERN_BENCH_ENGINES_LLAMA_BLOCK_H

#include "bench/engines/llama/blob.h"

#include <xxhash.h>

#define BLOCK_MAGIC UINT64_C(0x31616d616c6c6c63) /* "clllama1" */

struct block_header {
    uint64_t magic;
    uint32_t first; /* position of the first token */
    uint32_t tokens;
    uint64_t blob_bytes;
    uint64_t reserved; /* 0 */
    uint64_t sums[BLOB_PARTS_MAX][2]; /* XXH3-128 of the rows of a part, low word first; 0: none */
};

_Static_assert(sizeof(struct block_header) == 64, "the blob begins on a cache line");

/* Bytes of a slot for a block of `tokens` tokens. */
static inline uint64_t block_bytes(const struct blob_shape *shape, uint32_t tokens)
{
    return sizeof(struct block_header) + blob_bytes(shape, tokens);
}

/* Write the header before the blob that the engine has put at `data` + sizeof the header.
 * Returns NULL; or what is wrong with the blob: then it must not be published. */
const char *block_seal(
    const struct blob_shape *shape, uint32_t first, uint32_t tokens, uint8_t *data);

/* Is it the block of these positions, as far as one can say without its rows? Returns NULL and the
 * header, read once; or what is wrong. */
const char *block_check(const struct blob_shape *shape, uint32_t first, uint32_t tokens,
    const uint8_t *data, uint64_t bytes, struct block_header *out_header);

/* Is that the header's sum? */
static inline bool block_sum_is(const struct block_header *header, uint32_t part, XXH128_hash_t sum)
{
    return header->sums[part][0] == sum.low64 && header->sums[part][1] == sum.high64;
}

#endif
