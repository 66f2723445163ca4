/* move_up: see move_up.h. */
#include "sidecar/block/move_up.h"

#include "sidecar/block/admit.h"
#include "sidecar/block/blocks.h"

#include <assert.h>
#include <stddef.h>

#define ROOM_AHEAD 16u /* slots made free at once, by one sweep */

/* Room on a device for what comes up. What the class keeps free is for grants; what is made free
 * here are copies of what others have. */
static bool has_slot(struct blocks *blocks, uint32_t class, const struct evict_sweep *sweep)
{
    uint64_t mark = evict_low_mark(&blocks->pool.classes[class]);
    uint64_t available = pool_available(&blocks->pool, class);
    return available > mark || evict_free(blocks, class, mark + ROOM_AHEAD - available, sweep) > 0;
}

static void promote(struct blocks *blocks, uint32_t slot, const struct move_up_reader *reader,
    const struct evict_sweep *sweep)
{
    const struct pool *pool = &blocks->pool;
    enum slot_tier tier = slot_tier_of_device(reader->device);
    assert(pool->classes[reader->class].tier == tier);
    struct slot_content content;
    move_content(blocks, slot, &content);
    if (content.space != reader->space || !spill_is_ready(blocks, slot) ||
        pool_slot_bytes(pool, pool_class_of(pool, slot)) != pool_slot_bytes(pool, reader->class) ||
        admit_find_tier(blocks, &content.key, content.space, tier) != HINT_NONE) {
        return;
    }
    bool begun = move_has_room(blocks, reader->device, content.bytes) &&
                 has_slot(blocks, reader->class, sweep) &&
                 move_begin(blocks, slot, reader->class) != NULL;
    counter_add(blocks->counters, COUNTER_promotions_dropped, begun ? 0 : 1);
}

/* Was the block touched by a session with a device before? From now on it was. */
static bool is_second(struct blocks *blocks, uint32_t slot)
{
    uint64_t word = shared64_load_relaxed(&blocks->index.lines[slot].state);
    uint32_t *note = &blocks->moves.notes[slot];
    bool second = *note == (uint32_t)slot_generation_of(word);
    *note = (uint32_t)slot_generation_of(word);
    return second;
}

void move_up_touched(struct blocks *blocks, uint32_t slot, const struct move_up_reader *reader,
    const struct evict_sweep *sweep)
{
    enum move_promote mode = blocks->moves.promote;
    assert(slot < blocks->index.slots);
    if (!move_can(blocks) || mode == MOVE_NEVER ||
        pool_tier(&blocks->pool, slot) != SLOT_TIER_HOST ||
        slot_state_of(shared64_load_relaxed(&blocks->index.lines[slot].state)) != SLOT_VALID) {
        return;
    }
    if (is_second(blocks, slot) || mode == MOVE_ALWAYS) {
        promote(blocks, slot, reader, sweep);
    }
}

void move_up_ahead(struct blocks *blocks, const struct key *key,
    const struct move_up_reader *reader, const struct evict_sweep *sweep)
{
    uint32_t slot = admit_find_tier(blocks, key, reader->space, SLOT_TIER_HOST);
    if (move_can(blocks) && slot != HINT_NONE) {
        promote(blocks, slot, reader, sweep);
    }
}
