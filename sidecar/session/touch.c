/* touch: from the lanes' touch logs to the eviction policy. */
#include "sidecar/session/touch.h"

#include "shm/counter.h"
#include "sidecar/block/admit.h"

static uint32_t drain_seat(struct blocks *blocks, struct session_seat *seat)
{
    /* Acquire: the entries below the tail are there; partner: lane_touch_publish(). */
    uint32_t tail = shared32_load_acquire(&seat->lane.client->touch_tail);
    uint32_t count = tail - seat->touch_head;
    if (count > LANE_TOUCHES) {
        count = LANE_TOUCHES; /* the older ones are overwritten, or the tail runs wild */
    }
    for (uint32_t i = tail - count; i != tail; i++) {
        uint32_t slot = shared32_load_relaxed(&seat->lane.touches[i & (LANE_TOUCHES - 1)]);
        if (slot < blocks->index.slots) {
            admit_touch(blocks, slot);
        }
    }
    seat->touch_head = tail;
    return count;
}

uint32_t touch_drain(struct session_table *table)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->active_count; i++) {
        struct session *session = table->places[table->active[i]];
        if (session->state != SESSION_ATTACHED) {
            continue;
        }
        for (uint32_t seat = 0; seat < session->seats_used; seat++) {
            count += drain_seat(table->blocks, &session->seats[seat]);
        }
    }
    if (count > 0) {
        counter_add(table->blocks->counters, COUNTER_touches, count);
    }
    return count;
}
