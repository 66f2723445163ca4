/* spill: what is worth it is copied down before its turn to leave comes, once; then leaving is
 * free. */
#include "tests/unit/sidecar/block/cold_world.h"

#define SLOTS 16u

static struct cold_world world;

static void fill(void)
{
    for (uint64_t i = 0; i < SLOTS; i++) {
        (void)cold_commit(&world, i);
    }
}

static void touch(uint64_t number)
{
    admit_touch(world.blocks, fixture_find(&world.fixture, number));
}

static void stored(void)
{
    double_end_all(&world.tier, STATUS_OK);
    (void)cold_step(&world);
}

static bool is_below(uint64_t number)
{
    struct tier_id id = cold_id(&world, number);
    return double_find(&world.tier, &id) != NULL;
}

static void nothing_is_written_while_there_is_room(void **state)
{
    (void)state;
    world.blocks->spills.always = true;
    for (uint64_t i = 0; i < SLOTS / 2; i++) {
        (void)cold_commit(&world, i);
    }
    cold_pass(&world, 10 * COLD_MS);
    assert_int_equal(world.tier.stores, 0);
}

static void only_what_was_used_again_is_worth_it(void **state)
{
    (void)state;
    fill();
    touch(0);
    for (uint64_t i = 1; i < SLOTS; i++) {
        touch(i == 3 ? 3 : 0);
    }
    cold_pass(&world, 10 * COLD_MS);
    stored();
    for (uint64_t i = 0; i < SLOTS; i++) {
        /* The newest ones are too far from leaving. */
        assert_int_equal(is_below(i), false);
    }
    /* Their turn comes when the others are gone. */
    struct evict_sweep sweep = fixture_sweeper(&world.fixture);
    assert_int_equal(evict_room(world.blocks, world.class, SLOTS - 2, &sweep), SLOTS - 2);
    for (uint64_t i = 100; i < 100 + SLOTS - 2; i++) {
        (void)cold_commit(&world, i);
    }
    cold_pass(&world, 10 * COLD_MS);
    stored();
    assert_true(is_below(0) && is_below(3));
    assert_int_equal(world.tier.kept_count, 2);
    assert_int_equal(cold_count(&world, COUNTER_spills), 2);
    assert_int_equal(cold_count(&world, COUNTER_bytes_spilled), 2 * COLD_BLOCK);
    assert_int_equal(cold_count(&world, COUNTER_spills_missed), 0);
}

static void always_takes_all_that_leaves_and_each_once(void **state)
{
    (void)state;
    world.blocks->spills.always = true;
    fill();
    cold_pass(&world, 10 * COLD_MS);
    uint32_t first = world.tier.stores;
    assert_true(first > 0 && first < SLOTS); /* a few ahead, not the pool */
    cold_pass(&world, 10 * COLD_MS);
    assert_int_equal(world.tier.stores, first); /* on their way */
    stored();
    cold_pass(&world, 10 * COLD_MS);
    assert_int_equal(world.tier.stores, first); /* there */
    for (uint64_t i = 0; i < SLOTS; i++) {
        assert_int_equal(is_below(i), i < first);
        assert_int_equal(cold_is_cold(&world, i), i < first);
        assert_int_equal(spill_is_stored(world.blocks, fixture_find(&world.fixture, i)), i < first);
    }
}

static void a_block_stays_while_it_is_copied(void **state)
{
    (void)state;
    struct evict_sweep sweep = fixture_sweeper(&world.fixture);
    world.blocks->spills.always = true;
    fill();
    cold_pass(&world, 10 * COLD_MS);
    uint32_t held = world.tier.op_count;
    assert_int_equal(cold_count(&world, COUNTER_holds_now), held);
    assert_int_equal(evict_room(world.blocks, world.class, SLOTS, &sweep), SLOTS - held);
    for (uint64_t i = 0; i < held; i++) {
        assert_true(cold_is_hot(&world, i));
    }
    stored();
    assert_int_equal(cold_count(&world, COUNTER_holds_now), 0);
    assert_int_equal(evict_room(world.blocks, world.class, SLOTS, &sweep), held);
    /* The others went before they could be copied. */
    assert_int_equal(cold_count(&world, COUNTER_spills_missed), SLOTS - held);
    for (uint64_t i = 0; i < held; i++) {
        assert_true(cold_is_cold(&world, i));
    }
}

static void what_lies_below_leaves_before_older_ones_that_would_be_lost(void **state)
{
    (void)state;
    struct evict_sweep sweep = fixture_sweeper(&world.fixture);
    world.blocks->spills.always = true;
    fill();
    cold_pass(&world, 10 * COLD_MS);
    double_end(&world.tier, 1, STATUS_OK); /* block 1; the copies of 0 and the others fail */
    double_end_all(&world.tier, STATUS_IO);
    (void)cold_step(&world);
    assert_int_equal(evict_room(world.blocks, world.class, 1, &sweep), 1);
    assert_true(cold_is_hot(&world, 0));
    assert_false(cold_is_hot(&world, 1));
    assert_int_equal(cold_count(&world, COUNTER_spills_missed), 0);
    /* A commit gets its room all the same. */
    assert_int_equal(evict_room(world.blocks, world.class, 1, &sweep), 1);
    assert_false(cold_is_hot(&world, 0));
    assert_int_equal(cold_count(&world, COUNTER_spills_missed), 1);
    stored();
}

static void a_lost_copy_is_made_again(void **state)
{
    (void)state;
    world.blocks->spills.always = true;
    fill();
    cold_pass(&world, 10 * COLD_MS);
    stored();
    uint32_t stores = world.tier.stores;
    struct tier_id id = cold_id(&world, 0);
    double_say(&world.tier, TIER_LOST, &id);
    (void)cold_step(&world);
    assert_false(cold_is_cold(&world, 0));
    assert_false(spill_is_stored(world.blocks, fixture_find(&world.fixture, 0)));
    cold_pass(&world, 10 * COLD_MS);
    assert_int_equal(world.tier.stores, stores + 1);
    stored();
    assert_true(is_below(0));
}

static void what_lies_below_already_is_not_written_again(void **state)
{
    (void)state;
    cold_put(&world, 0);
    world.blocks->spills.always = true;
    fill();
    cold_pass(&world, 10 * COLD_MS);
    assert_true(spill_is_stored(world.blocks, fixture_find(&world.fixture, 0)));
    stored();
    assert_int_equal(world.tier.kept_count, world.tier.stores);
}

static void failures_are_counted_and_tried_again(void **state)
{
    (void)state;
    world.blocks->spills.always = true;
    fill();
    world.tier.refuse = STATUS_LIMIT;
    cold_pass(&world, 10 * COLD_MS);
    assert_int_equal(cold_count(&world, COUNTER_spills_refused), 1);
    (void)cold_step(&world);
    assert_int_equal(cold_count(&world, COUNTER_spills_refused), 1);
    world.tier.refuse = 0;
    cold_pass(&world, 10 * COLD_MS);
    double_end_all(&world.tier, STATUS_IO);
    (void)cold_step(&world);
    assert_true(cold_count(&world, COUNTER_spills_failed) > 0);
    assert_false(spill_is_stored(world.blocks, fixture_find(&world.fixture, 0)));
    cold_pass(&world, 10 * COLD_MS);
    stored();
    assert_true(is_below(0));
}

static void a_clean_stop_saves_all_that_is_worth_it(void **state)
{
    (void)state;
    struct cold_cursor cursor = {0};
    uint32_t steps = 0;
    world.tier.depth = 3;
    for (uint64_t i = 0; i < 10; i++) {
        (void)cold_commit(&world, i);
        if (i % 2 == 0) {
            touch(i);
        }
    }
    struct fetch_means means = cold_means(&world);
    while (!cold_save(world.blocks, &means, &cursor)) {
        double_end_all(&world.tier, STATUS_OK);
        assert_true(++steps < 100);
    }
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(is_below(i), i % 2 == 0);
    }
}

static void bytes_below_are_those_of_the_block(void **state)
{
    (void)state;
    unsigned char bytes[COLD_BLOCK];
    world.blocks->spills.always = true;
    fill();
    cold_pass(&world, 10 * COLD_MS);
    stored();
    struct tier_id id = cold_id(&world, 1);
    cold_bytes(1, bytes);
    assert_memory_equal(double_find(&world.tier, &id)->data, bytes, sizeof bytes);
}

#define IN_WORLD(test) \
    cmocka_unit_test_prestate_setup_teardown(test, cold_set_up, cold_tear_down, &world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(nothing_is_written_while_there_is_room),
        IN_WORLD(only_what_was_used_again_is_worth_it),
        IN_WORLD(always_takes_all_that_leaves_and_each_once),
        IN_WORLD(a_block_stays_while_it_is_copied),
        IN_WORLD(what_lies_below_leaves_before_older_ones_that_would_be_lost),
        IN_WORLD(a_lost_copy_is_made_again),
        IN_WORLD(what_lies_below_already_is_not_written_again),
        IN_WORLD(failures_are_counted_and_tried_again),
        IN_WORLD(a_clean_stop_saves_all_that_is_worth_it),
        IN_WORLD(bytes_below_are_those_of_the_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
