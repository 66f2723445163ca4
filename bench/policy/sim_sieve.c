/* sim_sieve: one queue; a hand moves from old to new, spares once what was used since it last
 * passed, and takes the first that was not.
 *
 * Source: Zhang et al., "SIEVE is simpler than LRU", NSDI 2024.
 */
#include "bench/policy/queue.h"
#include "bench/policy/sim.h"

#include <stdlib.h>

enum place { OUT = 0, UNUSED = 1, USED = 2 };

struct sieve {
    struct queue queue;
    struct queue_link *links;
    uint8_t *places; /* by block: enum place */
    uint32_t hand; /* where it goes on, or QUEUE_NONE: at the oldest */
    uint32_t capacity;
};

static void close_sim(void *sim)
{
    struct sieve *sieve = sim;
    if (sieve != NULL) {
        free(sieve->links);
        free(sieve->places);
        free(sieve);
    }
}

static void *open_sim(const struct trace *trace, uint32_t capacity)
{
    struct sieve *sieve = calloc(1, sizeof *sieve);
    if (sieve == NULL) {
        return NULL;
    }
    sieve->capacity = capacity;
    sieve->hand = QUEUE_NONE;
    sieve->links = calloc((size_t)trace->unique, sizeof sieve->links[0]);
    sieve->places = calloc((size_t)trace->unique, sizeof sieve->places[0]);
    if (sieve->links == NULL || sieve->places == NULL) {
        close_sim(sieve);
        return NULL;
    }
    queue_init(&sieve->queue, sieve->links);
    return sieve;
}

static bool has(const void *sim, uint32_t block)
{
    const struct sieve *sieve = sim;
    return sieve->places[block] != OUT;
}

/* Bounded: it clears a mark at every step but the last. */
static void evict(struct sieve *sieve)
{
    uint32_t at = sieve->hand;
    for (;;) {
        at = at == QUEUE_NONE ? sieve->queue.oldest : at;
        if (sieve->places[at] == UNUSED) {
            break;
        }
        sieve->places[at] = UNUSED;
        at = sieve->links[at].newer;
    }
    sieve->hand = sieve->links[at].newer;
    queue_remove(&sieve->queue, at);
    sieve->places[at] = OUT;
}

static void request(void *sim, const uint32_t *blocks, uint32_t count)
{
    struct sieve *sieve = sim;
    for (uint32_t i = count; i-- > 0;) {
        if (sieve->places[blocks[i]] != OUT) {
            sieve->places[blocks[i]] = USED;
            continue;
        }
        if (sieve->queue.count == sieve->capacity) {
            evict(sieve);
        }
        queue_add(&sieve->queue, blocks[i]);
        sieve->places[blocks[i]] = UNUSED;
    }
}

const struct sim_ops sim_sieve = {
    .name = "sieve",
    .open = open_sim,
    .has = has,
    .request = request,
    .close = close_sim,
};
