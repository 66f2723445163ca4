/* content: the bytes of a test block, derived from its key. Called by whatever fills or verifies.
 *
 * A block's words are a splitmix64 stream whose seed is folded from all 32 bytes of its key, so any
 * process can say what a block must hold without having seen it, and a block of another key, a torn
 * or a stale one differs almost everywhere.
 */
#ifndef CISTERN_BENCH_CONTENT_H
#define CISTERN_BENCH_CONTENT_H

#include <cistern.h>

#include <stdint.h>

/* Fill `bytes` bytes at `out_data`; any size, any alignment. */
void content_fill(const struct cistern_key *key, void *out_data, uint64_t bytes);

/* How many of `bytes` bytes at `data` are not what content_fill() writes. */
uint64_t content_wrong_bytes(const struct cistern_key *key, const void *data, uint64_t bytes);

/* A key that stands for `number` in the stream of `seed`: for scenarios that need no tokens. */
struct cistern_key content_key(uint64_t seed, uint64_t number);

#endif
