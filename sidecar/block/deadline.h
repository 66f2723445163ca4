/* deadline: which of many numbered things is due first.
 *
 * A binary heap over fixed arrays; each number is in it at most once. Called by claim.
 */
#ifndef CISTERN_SIDECAR_BLOCK_DEADLINE_H
#define CISTERN_SIDECAR_BLOCK_DEADLINE_H

#include "sidecar/block/arena.h"

#include <stdint.h>

#define DEADLINE_NONE UINT32_MAX

struct deadlines {
    uint64_t *at_ns; /* by number */
    uint32_t *place; /* by number: where in the heap, or DEADLINE_NONE */
    uint32_t *heap; /* numbers, the earliest first */
    uint32_t count;
    uint32_t numbers;
};

uint64_t deadline_arena_bytes(uint32_t numbers);
void deadline_open(struct deadlines *deadlines, uint32_t numbers, struct arena *arena);

/* Set, or change, the deadline of a number. Cost: O(log count), as for drop. */
void deadline_set(struct deadlines *deadlines, uint32_t number, uint64_t at_ns);

/* Forget it; nothing happens if it has none. */
void deadline_drop(struct deadlines *deadlines, uint32_t number);

/* The number that is due first, or DEADLINE_NONE; `out_at_ns` is its time, or UINT64_MAX. */
uint32_t deadline_first(const struct deadlines *deadlines, uint64_t *out_at_ns);

#endif
