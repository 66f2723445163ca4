/* move_up: what is used a second time comes to the device where it is used, and pushes nothing out
 * that is nowhere else. */
#include "tests/unit/sidecar/block/move_world.h"

static struct move_world world;

static uint64_t dropped(void)
{
    return cold_count(&world.cold, COUNTER_promotions_dropped);
}

static void the_second_use_brings_a_block_to_its_device(void **state)
{
    (void)state;
    uint32_t slot = move_commit(&world, MOVE_HOST, 1, NULL);
    move_touch(&world, slot, 1);
    assert_int_equal(world.mover.starts, 0);
    move_touch(&world, slot, 1);
    assert_int_equal(world.mover.starts, 1);
    assert_int_equal(world.mover.bytes, COLD_BLOCK);
    /* Once; not again while it is on its way, nor when it is there. */
    move_touch(&world, slot, 1);
    move_land(&world, STATUS_OK);
    move_touch(&world, slot, 1);
    assert_int_equal(world.mover.starts, 1);
    move_same(&world, 1, MOVE_SECOND);
    assert_int_equal(move_find(&world, 1, MOVE_FIRST), HINT_NONE);
    /* There it costs a fetch: host memory has it. A third use on another device brings it there. */
    assert_true(spill_is_stored(world.blocks, move_find(&world, 1, MOVE_SECOND)));
    move_touch(&world, slot, 0);
    move_land(&world, STATUS_OK);
    move_same(&world, 1, MOVE_FIRST);
    assert_int_equal(dropped(), 0);
}

static void a_new_block_in_the_slot_begins_anew(void **state)
{
    (void)state;
    (void)move_commit(&world, MOVE_HOST, 9, NULL); /* keeps the extent in its class */
    uint32_t slot = move_commit(&world, MOVE_HOST, 1, NULL);
    move_touch(&world, slot, 0);
    assert_int_equal(move_evict(&world, slot), 1);
    assert_int_equal(move_commit(&world, MOVE_HOST, 2, NULL), slot);
    move_touch(&world, slot, 0);
    assert_int_equal(world.mover.starts, 0);
    move_touch(&world, slot, 0);
    assert_int_equal(world.mover.starts, 1);
    move_land(&world, STATUS_OK);
    move_same(&world, 2, MOVE_FIRST);
}

static void modes_say_how_many_uses(void **state)
{
    (void)state;
    struct key key = fixture_key(2);
    struct move_up_reader reader = move_reader(&world, 0);
    struct evict_sweep sweep = fixture_sweeper(&world.cold.fixture);
    uint32_t first = move_commit(&world, MOVE_HOST, 1, NULL);
    uint32_t second = move_commit(&world, MOVE_HOST, 2, NULL);
    world.blocks->moves.promote = MOVE_ALWAYS;
    move_touch(&world, first, 0);
    assert_int_equal(world.mover.starts, 1);
    world.blocks->moves.promote = MOVE_NEVER;
    for (uint32_t i = 0; i < 4; i++) {
        move_touch(&world, second, 0);
    }
    assert_int_equal(world.mover.starts, 1);
    /* Unless somebody asks. */
    move_up_ahead(world.blocks, &key, &reader, &sweep);
    assert_int_equal(world.mover.starts, 2);
    move_up_ahead(world.blocks, &key, &reader, &sweep);
    key = fixture_key(99);
    move_up_ahead(world.blocks, &key, &reader, &sweep);
    assert_int_equal(world.mover.starts, 2);
    move_land(&world, STATUS_OK);
    move_same(&world, 1, MOVE_FIRST);
    move_same(&world, 2, MOVE_FIRST);
    assert_int_equal(dropped(), 0);
}

/* Touches are a client's word: they name any slot there is. */
static void a_touch_of_what_is_not_the_sessions_brings_nothing(void **state)
{
    (void)state;
    struct evict_sweep sweep = fixture_sweeper(&world.cold.fixture);
    world.blocks->moves.promote = MOVE_ALWAYS;
    uint32_t slot = move_commit(&world, MOVE_HOST, 1, NULL);
    struct move_up_reader other = move_reader(&world, 0);
    other.space = COLD_SPACE + 1;
    move_up_touched(world.blocks, slot, &other, &sweep);
    /* Of another size. */
    struct move_up_reader larger = move_reader(&world, 0);
    larger.class = fixture_class_in(&world.cold.fixture, 2 * COLD_BLOCK, slot_tier_of_device(0));
    move_up_touched(world.blocks, slot, &larger, &sweep);
    /* Of a device, free, lent. */
    uint32_t device = move_commit(&world, MOVE_SECOND, 2, NULL);
    move_touch(&world, device, 0);
    uint32_t lent;
    uint64_t generation;
    assert_int_equal(
        pool_take(world.blocks, world.classes[MOVE_HOST], SLOT_RESERVED, &lent, &generation),
        STATUS_OK);
    move_touch(&world, lent, 0);
    pool_give(world.blocks, lent);
    for (uint32_t i = 0; i < world.blocks->index.slots; i++) {
        if (fixture_state(&world.cold.fixture, i) == SLOT_FREE) {
            move_touch(&world, i, 0);
        }
    }
    assert_int_equal(world.mover.starts, 0);
    assert_int_equal(dropped(), 0);
}

static void what_a_class_keeps_for_grants_is_left(void **state)
{
    (void)state;
    const struct pool *pool = &world.blocks->pool;
    world.blocks->moves.promote = MOVE_ALWAYS;
    /* Blocks that only the device has, up to what it keeps free. */
    uint32_t mark = 0;
    uint32_t count = 0;
    do {
        (void)move_commit(&world, MOVE_FIRST, 100 + count++, NULL);
        mark = evict_low_mark(&pool->classes[world.classes[MOVE_FIRST]]);
    } while (pool_available(pool, world.classes[MOVE_FIRST]) > mark);
    assert_true(mark > 0);
    uint32_t slot = move_commit(&world, MOVE_HOST, 1, NULL);
    move_touch(&world, slot, 0);
    assert_int_equal(world.mover.starts, 0);
    assert_int_equal(dropped(), 1);
    assert_int_equal(cold_count(&world.cold, COUNTER_evictions), 0);
    /* Three of them have copies elsewhere: those may go. */
    cold_put(&world.cold, 100);
    (void)move_commit(&world, MOVE_HOST, 101, NULL);
    cold_put(&world.cold, 102);
    move_touch(&world, slot, 0);
    assert_int_equal(world.mover.starts, 1);
    assert_int_equal(cold_count(&world.cold, COUNTER_evictions), 3);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(move_find(&world, 100 + i, MOVE_FIRST) == HINT_NONE, i < 3);
    }
    assert_int_equal(pool_available(pool, world.classes[MOVE_FIRST]), mark + 2);
    assert_int_equal(cold_count(&world.cold, COUNTER_moves_missed), 0);
    move_land(&world, STATUS_OK);
    move_same(&world, 1, MOVE_FIRST);
}

static void what_the_mover_does_not_take_is_dropped(void **state)
{
    (void)state;
    uint32_t slot = move_commit(&world, MOVE_HOST, 1, NULL);
    world.mover.most = 0;
    move_touch(&world, slot, 0);
    move_touch(&world, slot, 0);
    assert_int_equal(dropped(), 1);
    /* It is still used: the next use tries again. */
    world.mover.most = 1;
    move_touch(&world, slot, 0);
    assert_int_equal(world.mover.starts, 1);
    move_land(&world, STATUS_IO);
    assert_int_equal(move_find(&world, 1, MOVE_FIRST), HINT_NONE);
    move_touch(&world, slot, 0);
    move_land(&world, STATUS_OK);
    move_same(&world, 1, MOVE_FIRST);
}

static void a_block_on_its_way_down_to_a_tier_waits_its_turn(void **state)
{
    (void)state;
    uint32_t cursor = 0;
    world.blocks->spills.always = true;
    world.blocks->moves.promote = MOVE_ALWAYS;
    uint32_t slot = move_commit(&world, MOVE_HOST, 1, NULL);
    assert_true(spill_rest(world.blocks, &cursor));
    move_touch(&world, slot, 0);
    assert_int_equal(world.mover.starts, 0);
    double_end_all(&world.cold.tier, STATUS_OK);
    (void)cold_step(&world.cold);
    move_touch(&world, slot, 0);
    assert_int_equal(world.mover.starts, 1);
    move_land(&world, STATUS_OK);
}

#define IN_WORLD(test) \
    cmocka_unit_test_prestate_setup_teardown(test, move_set_up, move_tear_down, &world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(the_second_use_brings_a_block_to_its_device),
        IN_WORLD(a_new_block_in_the_slot_begins_anew),
        IN_WORLD(modes_say_how_many_uses),
        IN_WORLD(a_touch_of_what_is_not_the_sessions_brings_nothing),
        IN_WORLD(what_a_class_keeps_for_grants_is_left),
        IN_WORLD(what_the_mover_does_not_take_is_dropped),
        IN_WORLD(a_block_on_its_way_down_to_a_tier_waits_its_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
