/* tier_queue: see tier_queue.h. */
#include "sidecar/tier/tier_queue.h"

#include "shm/status.h"

#include <assert.h>
#include <stdlib.h>

int tier_queue_open(uint32_t room, struct tier_queue *out_queue)
{
    assert(room > 0 && (room & (room - 1)) == 0);
    struct tier_done *ring = calloc(room, sizeof *ring);
    if (ring == NULL) {
        return STATUS_NO_MEMORY;
    }
    *out_queue = (struct tier_queue){.ring = ring, .room = room};
    return STATUS_OK;
}

void tier_queue_close(struct tier_queue *queue)
{
    free(queue->ring);
    *queue = (struct tier_queue){.ring = NULL};
}

uint32_t tier_queue_left(const struct tier_queue *queue)
{
    return queue->room - (queue->tail - queue->head);
}

void tier_queue_push(struct tier_queue *queue, const struct tier_done *done)
{
    assert(tier_queue_left(queue) > 0);
    queue->ring[queue->tail++ & (queue->room - 1)] = *done;
}

uint32_t tier_queue_pop(struct tier_queue *queue, struct tier_done *out_done, uint32_t room)
{
    uint32_t count = 0;
    while (count < room && queue->head != queue->tail) {
        out_done[count++] = queue->ring[queue->head++ & (queue->room - 1)];
    }
    return count;
}
