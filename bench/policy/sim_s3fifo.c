/* sim_s3fifo: newcomers pass through a small queue, a tenth of the room; those used in it go on to
 * the main queue, the others are only remembered, and go to the main queue if they come again.
 *
 * Source: Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023. Promotion at
 * the first use, as many remembered as the cache holds.
 */
#include "bench/policy/queue.h"
#include "bench/policy/sim.h"

#include <stdlib.h>

#define SMALL_PARTS 10u
#define USES_MAX 3u

enum place { OUT = 0, SMALL = 1, MAIN = 2, GHOST = 3 };

struct s3fifo {
    struct queue queues[4]; /* by enum place; OUT is not used */
    struct queue_link *links;
    uint8_t *places; /* by block */
    uint8_t *uses; /* by block: since it came into its queue */
    uint32_t capacity;
    uint32_t small;
};

static void close_sim(void *sim)
{
    struct s3fifo *s3fifo = sim;
    if (s3fifo != NULL) {
        free(s3fifo->links);
        free(s3fifo->places);
        free(s3fifo->uses);
        free(s3fifo);
    }
}

static void *open_sim(const struct trace *trace, uint32_t capacity)
{
    struct s3fifo *s3fifo = calloc(1, sizeof *s3fifo);
    if (s3fifo == NULL) {
        return NULL;
    }
    s3fifo->capacity = capacity;
    s3fifo->small = capacity < SMALL_PARTS ? 1 : capacity / SMALL_PARTS;
    s3fifo->links = calloc((size_t)trace->unique, sizeof s3fifo->links[0]);
    s3fifo->places = calloc((size_t)trace->unique, sizeof s3fifo->places[0]);
    s3fifo->uses = calloc((size_t)trace->unique, sizeof s3fifo->uses[0]);
    if (s3fifo->links == NULL || s3fifo->places == NULL || s3fifo->uses == NULL) {
        close_sim(s3fifo);
        return NULL;
    }
    for (int place = OUT; place <= GHOST; place++) {
        queue_init(&s3fifo->queues[place], s3fifo->links);
    }
    return s3fifo;
}

static bool has(const void *sim, uint32_t block)
{
    const struct s3fifo *s3fifo = sim;
    return s3fifo->places[block] == SMALL || s3fifo->places[block] == MAIN;
}

static void move(struct s3fifo *s3fifo, uint32_t block, enum place to)
{
    if (s3fifo->places[block] != OUT) {
        queue_remove(&s3fifo->queues[s3fifo->places[block]], block);
    }
    if (to != OUT) {
        queue_add(&s3fifo->queues[to], block);
    }
    s3fifo->places[block] = (uint8_t)to;
}

static void remember(struct s3fifo *s3fifo, uint32_t block)
{
    if (s3fifo->queues[GHOST].count == s3fifo->capacity) {
        move(s3fifo, s3fifo->queues[GHOST].oldest, OUT);
    }
    move(s3fifo, block, GHOST);
}

/* Bounded: a turn that evicts nothing moves a block out of the small queue, or takes a use away. */
static void evict(struct s3fifo *s3fifo)
{
    for (;;) {
        struct queue *small = &s3fifo->queues[SMALL];
        struct queue *main = &s3fifo->queues[MAIN];
        if (small->count >= s3fifo->small || main->count == 0) {
            uint32_t block = small->oldest;
            if (s3fifo->uses[block] == 0) {
                remember(s3fifo, block);
                return;
            }
            s3fifo->uses[block] = 0;
            move(s3fifo, block, MAIN);
            continue;
        }
        uint32_t block = main->oldest;
        if (s3fifo->uses[block] == 0) {
            move(s3fifo, block, OUT);
            return;
        }
        s3fifo->uses[block]--;
        move(s3fifo, block, MAIN);
    }
}

static void request(void *sim, const uint32_t *blocks, uint32_t count)
{
    struct s3fifo *s3fifo = sim;
    for (uint32_t i = count; i-- > 0;) {
        uint32_t block = blocks[i];
        if (has(s3fifo, block)) {
            s3fifo->uses[block] = (uint8_t)(s3fifo->uses[block] + (s3fifo->uses[block] < USES_MAX));
            continue;
        }
        enum place to = s3fifo->places[block] == GHOST ? MAIN : SMALL;
        if (s3fifo->queues[SMALL].count + s3fifo->queues[MAIN].count == s3fifo->capacity) {
            evict(s3fifo);
        }
        move(s3fifo, block, to);
        s3fifo->uses[block] = 0;
    }
}

const struct sim_ops sim_s3fifo = {
    .name = "s3fifo",
    .open = open_sim,
    .has = has,
    .request = request,
    .close = close_sim,
};
