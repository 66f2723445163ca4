/* touch: from the lanes' touch logs to the eviction policy, and to what is held for the client. */
#include "sidecar/session/touch.h"

#include "shm/counter.h"
#include "sidecar/block/admit.h"

/* Was this block touched already since the last touch_pass()? Readers of one hot prefix name the
 * same blocks thousands of times in that time; to the policy that is one use. A collision says no,
 * and costs a touch more. */
static bool is_repeated(struct session_table *table, uint32_t slot)
{
    uint64_t *recent = &table->touched[slot % SESSION_TOUCHED];
    uint64_t word = (uint64_t)table->touch_period << 32 | slot;
    bool repeated = *recent == word;
    *recent = word;
    return repeated;
}

void touch_pass(struct session_table *table)
{
    table->touch_period++;
}

/* A block of host memory is used where a device is: perhaps it is worth its place there. */
static void bring_up(const struct session *session, uint32_t slot)
{
    struct blocks *blocks = session->table->blocks;
    if (session->device != SESSION_NO_DEVICE && pool_tier(&blocks->pool, slot) == SLOT_TIER_HOST) {
        const struct move_up_reader reader = session_reader(session);
        struct evict_sweep sweep = session_sweeper(session->table);
        move_up_touched(blocks, slot, &reader, &sweep);
    }
}

static uint32_t drain_seat(struct session *session, struct session_seat *seat)
{
    struct session_table *table = session->table;
    struct blocks *blocks = table->blocks;
    /* Acquire: the entries below the tail are there; partner: lane_touch_publish(). */
    uint32_t tail = shared32_load_acquire(&seat->lane.client->touch_tail);
    uint32_t count = tail - seat->touch_head;
    if (count > LANE_TOUCHES) {
        count = LANE_TOUCHES; /* the older ones are overwritten, or the tail runs wild */
    }
    for (uint32_t i = tail - count; i != tail; i++) {
        uint32_t slot = shared32_load_relaxed(&seat->lane.touches[i & (LANE_TOUCHES - 1)]);
        if (slot < blocks->index.slots) {
            if (!is_repeated(table, slot)) {
                admit_touch(blocks, slot);
                bring_up(session, slot);
            }
            /* Pinned before it was touched: what was fetched for it need not be held any more. */
            hold_touched(&blocks->holds, slot, session_place(session));
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
            count += drain_seat(session, &session->seats[seat]);
        }
    }
    if (count > 0) {
        counter_add(table->blocks->counters, COUNTER_touches, count);
    }
    return count;
}
