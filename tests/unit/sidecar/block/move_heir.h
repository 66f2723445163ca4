/* move_heir: a move_world whose server dies with copies under way and is followed by another. */
#ifndef CISTERN_TESTS_UNIT_SIDECAR_BLOCK_MOVE_HEIR_H
#define CISTERN_TESTS_UNIT_SIDECAR_BLOCK_MOVE_HEIR_H

#include "tests/unit/sidecar/block/move_world.h"

#include "sidecar/block/adopt.h"

/* From now on a ledger is kept; before anything is in the pool. */
static inline void move_heir_keep(struct move_world *world)
{
    struct fixture *fixture = &world->cold.fixture;
    struct blocks_limits *limits = &fixture->limits;
    uint32_t slots = world->blocks->index.slots;
    uint32_t extents = world->blocks->pool.extent_count;
    limits->ledger_bytes = ledger_bytes(slots, extents);
    limits->ledger = aligned_alloc(LAYOUT_PAGE_BYTES, limits->ledger_bytes);
    assert_non_null(limits->ledger);
    fixture->ledger = limits->ledger;
    memset(limits->ledger, 0, limits->ledger_bytes);
    ledger_init(limits->ledger, slots, extents);
    assert_int_equal(
        ledger_view(limits->ledger, limits->ledger_bytes, slots, extents, &world->blocks->ledger),
        STATUS_OK);
}

/* What was under way may still land, though its server is dead: into the same memory, unless that
 * is a lost device's. */
static inline void move_heir_land(struct move_world *world, uint32_t lost_devices)
{
    struct double_mover *mover = &world->mover;
    for (uint32_t i = 0; i < mover->count; i++) {
        const struct double_move *late = &mover->copies[i];
        if (!late->copy.to_device || (lost_devices >> late->copy.device & 1) == 0) {
            memcpy(mover_to(mover, &late->copy), late->bytes, late->copy.bytes);
        }
    }
    mover->count = 0;
    mover->done_count = 0;
}

/* The server dies now; the next one takes over, without tiers, and finds these devices lost. Lent
 * slots are nobody's. Returns what it found; its quarantine has what was lent or loading, and its
 * mover takes nothing until move_heir_land(). */
static inline struct adopt_found move_heir_succeed(struct move_world *world, uint32_t lost_devices)
{
    static bool known[BLOCKS_SPACES];
    struct fixture *fixture = &world->cold.fixture;
    struct blocks *blocks = world->blocks;
    uint64_t slot_bytes[POOL_CLASSES_MAX];
    uint32_t classes = blocks->pool.class_count;
    for (uint32_t i = 0; i < classes; i++) {
        slot_bytes[i] = blocks->pool.classes[i].slot_bytes;
    }
    enum move_promote promote = blocks->moves.promote;
    blocks_close(blocks);
    assert_int_equal(
        blocks_open(blocks, &fixture->limits, fixture->index, fixture->index_bytes), STATUS_OK);
    for (uint32_t i = 0; i < classes; i++) {
        assert_int_equal(pool_class_adopt(blocks, i, slot_bytes[i]), STATUS_OK);
    }
    known[COLD_SPACE] = true;
    const struct adopt_terms terms = {.known = known, .lost_devices = lost_devices};
    struct evict_sweep sweep = fixture_sweeper(fixture);
    struct adopt_found found;
    assert_int_equal(adopt_blocks(blocks, &terms, &sweep, &found), STATUS_OK);
    const struct adopt_found report = found;
    struct adopt_chain *chains[] = {&found.lent, &found.loading, &found.read};
    for (uint32_t i = 0; i < CHECK_COUNT(chains); i++) {
        while (chains[i]->count > 0) {
            quarantine_put(blocks, adopt_pop(blocks, chains[i]), world->cold.now_ns);
        }
    }
    for (uint32_t tier = 0; tier < CHECK_COUNT(world->classes); tier++) {
        world->classes[tier] = fixture_class_in(fixture, COLD_BLOCK, (enum slot_tier)tier);
    }
    world->cold.class = world->classes[0];
    for (uint32_t i = 0; i < MOVER_DEVICES; i++) {
        if ((lost_devices >> i & 1) != 0) {
            memset(world->mover.device[i], 0xee, world->mover.device_bytes); /* other memory */
        }
    }
    blocks->moves.promote = promote;
    move_attach(blocks, &world->mover.mover);
    return report;
}

#endif
