/* heap: blocks by priority, lowest on top; each block at most once. Called by sim_lrfu and
 * sim_optimum. */
#ifndef CISTERN_BENCH_POLICY_HEAP_H
#define CISTERN_BENCH_POLICY_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#define HEAP_NONE UINT32_MAX

/* Compared by value, then by tie. */
struct heap_priority {
    double value;
    uint64_t tie;
};

struct heap {
    uint32_t *items; /* blocks, each before its two children */
    uint32_t *places; /* by block: where it is in `items`, or HEAP_NONE */
    struct heap_priority *priorities; /* by block */
    uint32_t count;
};

/* Room for blocks 0 to `blocks` - 1. Returns false if there is no memory. */
bool heap_open(struct heap *out_heap, uint32_t blocks);
void heap_close(struct heap *heap);

/* Put the block in, or change its priority. */
void heap_set(struct heap *heap, uint32_t block, struct heap_priority priority);

/* Take the block out; ignored if it is not in. */
void heap_remove(struct heap *heap, uint32_t block);

static inline bool heap_has(const struct heap *heap, uint32_t block)
{
    return heap->places[block] != HEAP_NONE;
}

/* The block of lowest priority; the heap is not empty. */
static inline uint32_t heap_top(const struct heap *heap)
{
    return heap->items[0];
}

#endif
