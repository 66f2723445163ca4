/* sim_optimum: knows the future. The block that is used again last goes, the deeper of equals;
 * blocks that are never used again are not kept, so a newcomer may be the one that goes.
 *
 * Source: Belady's MIN. For chained keys its plain and its prefix hits are equal (the deepest-first
 * ties see to it), so it bounds every policy.
 */
#include "bench/policy/heap.h"
#include "bench/policy/sim.h"

#include <stdlib.h>

struct optimum {
    struct heap heap; /* residents; on top the one whose next use is last */
    uint32_t *next; /* by reference: the next request that names its block, or SIM_NONE */
    uint32_t capacity;
    uint64_t reference; /* where the next request's blocks begin in `next` */
};

static void close_sim(void *sim)
{
    struct optimum *optimum = sim;
    if (optimum != NULL) {
        heap_close(&optimum->heap);
        free(optimum->next);
        free(optimum);
    }
}

/* Fill `next`, from the last reference to the first. */
static bool look_ahead(struct optimum *optimum, const struct trace *trace)
{
    uint32_t *upcoming = malloc((size_t)trace->unique * sizeof upcoming[0]);
    optimum->next = malloc((size_t)trace->block_references * sizeof optimum->next[0]);
    if (upcoming == NULL || optimum->next == NULL) {
        free(upcoming);
        return false;
    }
    for (uint64_t block = 0; block < trace->unique; block++) {
        upcoming[block] = SIM_NONE;
    }
    for (size_t i = trace->request_count; i-- > 0;) {
        const struct trace_request *request = &trace->requests[i];
        for (uint32_t j = 0; j < request->block_count; j++) {
            uint32_t block = trace->blocks[request->first_block + j];
            optimum->next[request->first_block + j] = upcoming[block];
            upcoming[block] = (uint32_t)i;
        }
    }
    free(upcoming);
    return true;
}

static void *open_sim(const struct trace *trace, uint32_t capacity)
{
    struct optimum *optimum = calloc(1, sizeof *optimum);
    if (optimum == NULL) {
        return NULL;
    }
    optimum->capacity = capacity;
    if (!look_ahead(optimum, trace) || !heap_open(&optimum->heap, (uint32_t)trace->unique)) {
        close_sim(optimum);
        return NULL;
    }
    return optimum;
}

static bool has(const void *sim, uint32_t block)
{
    const struct optimum *optimum = sim;
    return heap_has(&optimum->heap, block);
}

static void request(void *sim, const uint32_t *blocks, uint32_t count)
{
    struct optimum *optimum = sim;
    const uint32_t *next = optimum->next + optimum->reference;
    for (uint32_t i = 0; i < count; i++) {
        if (next[i] == SIM_NONE) {
            heap_remove(&optimum->heap, blocks[i]);
            continue;
        }
        heap_set(&optimum->heap, blocks[i],
            (struct heap_priority){.value = -(double)next[i], .tie = UINT32_MAX - i});
        if (optimum->heap.count > optimum->capacity) {
            heap_remove(&optimum->heap, heap_top(&optimum->heap));
        }
    }
    optimum->reference += count;
}

const struct sim_ops sim_optimum = {
    .name = "optimum",
    .open = open_sim,
    .has = has,
    .request = request,
    .close = close_sim,
};
