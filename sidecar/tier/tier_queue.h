/* tier_queue: events that wait for poll(), oldest first. Owned by one tier, used on its thread.
 *
 * Always: as many as were pushed come out, once, in order. Room is fixed at open; who pushes asks
 * for room before it accepts an operation, so an event is never lost.
 */
#ifndef CISTERN_SIDECAR_TIER_TIER_QUEUE_H
#define CISTERN_SIDECAR_TIER_TIER_QUEUE_H

#include "sidecar/tier/tier.h"

struct tier_queue {
    struct tier_done *ring; /* owned */
    uint32_t room; /* a power of two */
    uint32_t head; /* of the oldest; runs free */
    uint32_t tail;
};

/* Returns 0 or STATUS_NO_MEMORY. */
int tier_queue_open(uint32_t room, struct tier_queue *out_queue);
void tier_queue_close(struct tier_queue *queue);

uint32_t tier_queue_left(const struct tier_queue *queue); /* events that can still be pushed */
void tier_queue_push(struct tier_queue *queue, const struct tier_done *done);
uint32_t tier_queue_pop(struct tier_queue *queue, struct tier_done *out_done, uint32_t room);

#endif
