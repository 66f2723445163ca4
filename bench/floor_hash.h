/* floor_hash: what OpenSSL itself needs for a key chain. Called by scenario_prefix. */
#ifndef CISTERN_BENCH_FLOOR_HASH_H
#define CISTERN_BENCH_FLOOR_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nanoseconds a block to chain SHA-256 over `blocks` blocks of `block_tokens` tokens: a context
 * copied from a template, the key before, the tokens. The fastest form that OpenSSL 3 has. */
bool floor_hash_ns(
    const uint32_t *tokens, uint32_t block_tokens, size_t blocks, double *out_ns_per_block);

#endif
