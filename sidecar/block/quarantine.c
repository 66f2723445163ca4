/* quarantine: see quarantine.h. */
#include "sidecar/block/quarantine.h"

#include "sidecar/block/blocks.h"

#include <assert.h>

uint64_t quarantine_arena_bytes(uint32_t slots)
{
    return arena_bytes(slots, sizeof(uint64_t));
}

void quarantine_open(
    struct quarantine *quarantine, uint64_t delay_ns, uint32_t slots, struct arena *arena)
{
    *quarantine = (struct quarantine){
        .delay_ns = delay_ns,
        .until_ns = arena_take(arena, slots, sizeof(uint64_t)),
        .first = POOL_NONE,
        .last = POOL_NONE,
    };
}

void quarantine_put(struct blocks *blocks, uint32_t slot, uint64_t now_ns)
{
    struct quarantine *quarantine = &blocks->quarantine;
    assert(slot < blocks->index.slots);
    enum slot_state state = slot_state_of(shared64_load_relaxed(&blocks->index.lines[slot].state));
    assert(state == SLOT_RESERVED || state == SLOT_LOADING);
    quarantine->until_ns[slot] = now_ns + quarantine->delay_ns;
    /* The link is free: a slot in use is in no stack. */
    blocks->pool.next[slot] = POOL_NONE;
    if (quarantine->last != POOL_NONE) {
        blocks->pool.next[quarantine->last] = slot;
    } else {
        quarantine->first = slot;
    }
    quarantine->last = slot;
    quarantine->count++;
    counter_add(blocks->counters, COUNTER_quarantined, 1);
}

uint64_t quarantine_tick(struct blocks *blocks, uint64_t now_ns)
{
    struct quarantine *quarantine = &blocks->quarantine;
    for (uint32_t i = 0; i < QUARANTINE_TICK_MAX; i++) {
        uint32_t slot = quarantine->first;
        if (slot == POOL_NONE) {
            return UINT64_MAX;
        }
        if (quarantine->until_ns[slot] > now_ns) {
            break;
        }
        quarantine->first = blocks->pool.next[slot];
        if (quarantine->first == POOL_NONE) {
            quarantine->last = POOL_NONE;
        }
        quarantine->count--;
        pool_give(blocks, slot);
    }
    return quarantine->first == POOL_NONE ? UINT64_MAX : quarantine->until_ns[quarantine->first];
}
