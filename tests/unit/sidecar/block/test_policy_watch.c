/* test_policy_watch: what ended and what lives is counted; when keys abound, fewer are watched. */
#include "sidecar/block/policy_watch.h"

#include "tests/check.h"

#define SLOTS 16u

struct world {
    struct arena arena;
    struct policy_watch watch;
    struct policy_hazard hazard;
    struct policy_watch_census census;
};

static struct world world;

static int open_world(void **state)
{
    (void)state;
    world = (struct world){0};
    assert_int_equal(arena_open(policy_watch_arena_bytes(SLOTS), &world.arena), 0);
    policy_watch_open(&world.watch, SLOTS, &world.arena);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    arena_close(&world.arena);
    return 0;
}

static void count_all(uint32_t now, uint32_t horizon)
{
    world.census = (struct policy_watch_census){0};
    policy_watch_count(&world.watch, &world.hazard, 0, now, horizon, UINT32_MAX, &world.census);
}

static void test_a_use_is_told_with_class_and_age(void **state)
{
    (void)state;
    policy_watch_use(&world.watch, &world.hazard, 0, 77, 3, 100);
    policy_watch_use(&world.watch, &world.hazard, 0, 77, 4, 150);
    assert_true(world.hazard.used.of[3][policy_hazard_age(50)] > 0);
    count_all(160, 1000);
    assert_true(world.census.alive.of[4][policy_hazard_age(10)] > 0);
    assert_int_equal(world.census.live, 1);
}

static void test_owners_do_not_see_each_others_blocks(void **state)
{
    (void)state;
    policy_watch_use(&world.watch, &world.hazard, 1, 77, 3, 100);
    policy_watch_use(&world.watch, &world.hazard, 0, 77, 3, 150);
    assert_true(world.hazard.used.of[3][policy_hazard_age(50)] <= 0);
    count_all(160, 1000);
    assert_int_equal(world.census.live, 2);
    assert_true(world.census.alive.of[3][policy_hazard_age(60)] <= 0);
    assert_true(world.census.alive.of[3][policy_hazard_age(10)] > 0);
}

static void test_beyond_the_horizon_they_leave_sight(void **state)
{
    (void)state;
    policy_watch_use(&world.watch, &world.hazard, 0, 77, 3, 100);
    count_all(5000, 1000);
    assert_true(world.hazard.unused.of[3][policy_hazard_age(4900)] > 0);
    count_all(5000, 1000);
    assert_int_equal(world.census.live, 0);
}

static void test_a_census_in_parts_is_the_same(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    for (uint32_t i = 0; i < 1000; i++) {
        policy_watch_use(&world.watch, &world.hazard, 0, (uint32_t)check_random(&seed), 2, i);
    }
    count_all(1000, 5000);
    struct policy_watch_census parts = {0};
    while (parts.next < policy_watch_entries(&world.watch)) {
        policy_watch_count(&world.watch, &world.hazard, 0, 1000, 5000, 97, &parts);
    }
    assert_memory_equal(&parts, &world.census, sizeof parts);
}

static void test_more_keys_than_room_are_sampled_and_then_not(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    uint32_t entries = policy_watch_entries(&world.watch);
    for (uint32_t i = 0; i < entries; i++) {
        policy_watch_use(&world.watch, &world.hazard, 0, (uint32_t)check_random(&seed), 2, i);
    }
    count_all(entries, 2 * entries);
    uint32_t before = world.census.live;
    policy_watch_adjust(&world.watch, &world.census);
    assert_int_equal(world.watch.shift, 1);
    count_all(entries, 2 * entries);
    assert_in_range(world.census.live, before / 4, before / 4 * 3);
    policy_watch_adjust(&world.watch, &world.census);
    assert_int_equal(world.watch.shift, 1);
    /* All of them grow old. */
    count_all(9 * entries, 2 * entries);
    count_all(9 * entries, 2 * entries);
    policy_watch_adjust(&world.watch, &world.census);
    assert_int_equal(world.watch.shift, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_use_is_told_with_class_and_age, open_world, close_world),
        cmocka_unit_test_setup_teardown(
            test_owners_do_not_see_each_others_blocks, open_world, close_world),
        cmocka_unit_test_setup_teardown(
            test_beyond_the_horizon_they_leave_sight, open_world, close_world),
        cmocka_unit_test_setup_teardown(
            test_a_census_in_parts_is_the_same, open_world, close_world),
        cmocka_unit_test_setup_teardown(
            test_more_keys_than_room_are_sampled_and_then_not, open_world, close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
