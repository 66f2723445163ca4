/* sim_lrfu: a block's score is the sum of its uses, each worth half as much after every 1,000
 * requests; the lowest goes. Scores of evicted blocks are remembered, for as long as the trace.
 *
 * Source: Lee et al., "LRFU: a spectrum of policies", IEEE ToC 2001. All scores halve alike, so
 * their order only changes by uses: a score is kept as if it were taken at the trace's start.
 */
#include "bench/policy/heap.h"
#include "bench/policy/sim.h"

#include <math.h>
#include <stdlib.h>

#define HALF_LIFE 1000.0 /* requests */

struct lrfu {
    struct heap heap; /* residents, by score */
    double *scores; /* by block: log2 */
    uint32_t capacity;
    uint64_t now; /* requests */
    uint64_t touches;
};

static void close_sim(void *sim)
{
    struct lrfu *lrfu = sim;
    if (lrfu != NULL) {
        heap_close(&lrfu->heap);
        free(lrfu->scores);
        free(lrfu);
    }
}

static void *open_sim(const struct trace *trace, uint32_t capacity)
{
    struct lrfu *lrfu = calloc(1, sizeof *lrfu);
    if (lrfu == NULL) {
        return NULL;
    }
    lrfu->capacity = capacity;
    lrfu->scores = malloc((size_t)trace->unique * sizeof lrfu->scores[0]);
    if (lrfu->scores == NULL || !heap_open(&lrfu->heap, (uint32_t)trace->unique)) {
        close_sim(lrfu);
        return NULL;
    }
    for (uint64_t block = 0; block < trace->unique; block++) {
        lrfu->scores[block] = -INFINITY;
    }
    return lrfu;
}

static bool has(const void *sim, uint32_t block)
{
    const struct lrfu *lrfu = sim;
    return heap_has(&lrfu->heap, block);
}

static void request(void *sim, const uint32_t *blocks, uint32_t count)
{
    struct lrfu *lrfu = sim;
    double use = (double)lrfu->now / HALF_LIFE;
    for (uint32_t i = count; i-- > 0;) {
        uint32_t block = blocks[i];
        if (!heap_has(&lrfu->heap, block) && lrfu->heap.count == lrfu->capacity) {
            heap_remove(&lrfu->heap, heap_top(&lrfu->heap));
        }
        /* log2(2^score + 2^use), without leaving the range of a double */
        lrfu->scores[block] = use + log2(1 + exp2(lrfu->scores[block] - use));
        heap_set(&lrfu->heap, block,
            (struct heap_priority){.value = lrfu->scores[block], .tie = lrfu->touches++});
    }
    lrfu->now++;
}

const struct sim_ops sim_lrfu = {
    .name = "lrfu",
    .open = open_sim,
    .has = has,
    .request = request,
    .close = close_sim,
};
