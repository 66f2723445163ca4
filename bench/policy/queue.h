/* queue: blocks in the order in which they came; each in at most one place of one queue. Called by
 * sim_sieve and sim_s3fifo. Queues over the same blocks share their links. */
#ifndef CISTERN_BENCH_POLICY_QUEUE_H
#define CISTERN_BENCH_POLICY_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#define QUEUE_NONE UINT32_MAX

struct queue_link {
    uint32_t newer;
    uint32_t older;
};

struct queue {
    struct queue_link *links; /* by block; borrowed */
    uint32_t newest;
    uint32_t oldest;
    uint32_t count;
};

static inline void queue_init(struct queue *queue, struct queue_link *links)
{
    *queue = (struct queue){.links = links, .newest = QUEUE_NONE, .oldest = QUEUE_NONE};
}

static inline void queue_add(struct queue *queue, uint32_t block)
{
    queue->links[block] = (struct queue_link){.newer = QUEUE_NONE, .older = queue->newest};
    if (queue->newest != QUEUE_NONE) {
        queue->links[queue->newest].newer = block;
    } else {
        queue->oldest = block;
    }
    queue->newest = block;
    queue->count++;
}

static inline void queue_remove(struct queue *queue, uint32_t block)
{
    struct queue_link link = queue->links[block];
    if (link.newer != QUEUE_NONE) {
        queue->links[link.newer].older = link.older;
    } else {
        queue->newest = link.older;
    }
    if (link.older != QUEUE_NONE) {
        queue->links[link.older].newer = link.newer;
    } else {
        queue->oldest = link.newer;
    }
    queue->count--;
}

#endif
