/* touch: the logs are read once, as far as they were not overwritten, and never believed. */
#include "tests/unit/sidecar/session/world.h"

#include "sidecar/block/admit.h"
#include "sidecar/block/evict.h"
#include "sidecar/session/touch.h"

#define EXTENTS 16u

static struct world world;
static struct player player;

static int setup(void **state)
{
    (void)state;
    struct hello hello = world_hello("a");
    world_open(&world, EXTENTS);
    hello.seats = 2;
    player_enter(&player, &world, &hello);
    (void)dispatch_turn(&world.table);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_check(&world);
    player_leave(&player);
    world_close(&world);
    return 0;
}

static void touch(uint32_t seat, uint32_t slot)
{
    struct player_seat *at = &player.seats[seat];
    lane_touch(&at->lane, &at->touch_tail, slot);
    lane_touch_publish(&at->lane, at->touch_tail);
}

static void each_touch_is_read_once(void **state)
{
    (void)state;
    touch(0, 1);
    touch(0, 2);
    touch(1, 3);
    assert_int_equal(touch_drain(&world.table), 3);
    assert_int_equal(touch_drain(&world.table), 0);
    touch(1, 3);
    assert_int_equal(touch_drain(&world.table), 1);
    assert_int_equal(world_count(&world, COUNTER_touches), 4);
}

static void what_was_overwritten_is_not_read(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2 * LANE_TOUCHES + 3; i++) {
        touch(0, i % (EXTENTS * WORLD_PER));
    }
    assert_int_equal(touch_drain(&world.table), LANE_TOUCHES);
    assert_int_equal(touch_drain(&world.table), 0);
}

static void wild_slots_and_tails_do_no_harm(void **state)
{
    (void)state;
    touch(0, EXTENTS * WORLD_PER);
    touch(0, UINT32_MAX);
    touch(0, 5); /* holds nothing */
    assert_int_equal(touch_drain(&world.table), 3);
    lane_touch_publish(&player.seats[0].lane, UINT32_MAX - 5);
    assert_int_equal(touch_drain(&world.table), LANE_TOUCHES);
    lane_touch_publish(&player.seats[0].lane, 2); /* around the end of the number's range */
    assert_int_equal(touch_drain(&world.table), 8);
}

static void who_is_revoked_says_nothing_more(void **state)
{
    (void)state;
    touch(0, 1);
    session_revoke(player.session, "test");
    assert_int_equal(touch_drain(&world.table), 0);
}

static uint32_t slot_of(uint64_t number)
{
    struct key key = world_key(number);
    return admit_find(&world.blocks, &key, (uint16_t)player.welcome.space);
}

static void a_touched_block_outlives_an_older_untouched_one(void **state)
{
    (void)state;
    struct evict_sweep sweep = session_sweeper(&world.table);
    for (uint64_t i = 0; i < EXTENTS * WORLD_PER; i++) {
        player_put(&player, i);
    }
    touch(1, slot_of(0));
    assert_int_equal(touch_drain(&world.table), 1);
    assert_true(evict_room(&world.blocks, player.session->size_class, 1, &sweep) > 0);
    assert_true(player_sees(&player, 0));
    assert_false(player_sees(&player, 1));
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_WORLD(each_touch_is_read_once),
        IN_WORLD(what_was_overwritten_is_not_read),
        IN_WORLD(wild_slots_and_tails_do_no_harm),
        IN_WORLD(who_is_revoked_says_nothing_more),
        IN_WORLD(a_touched_block_outlives_an_older_untouched_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
