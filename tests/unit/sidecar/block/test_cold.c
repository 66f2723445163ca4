/* cold: events of the tiers reach those whom they concern, a bounded number a turn. */
#include "tests/unit/sidecar/block/cold_world.h"

static struct cold_world world;

static void what_a_rescan_finds_costs_nothing_to_drop(void **state)
{
    (void)state;
    uint32_t slot = cold_commit(&world, 1);
    struct tier_id id = cold_id(&world, 1);
    assert_false(spill_is_stored(world.blocks, slot));
    cold_put(&world, 1);
    assert_true(spill_is_stored(world.blocks, slot));
    double_say(&world.tier, TIER_LOST, &id);
    (void)cold_step(&world);
    assert_false(spill_is_stored(world.blocks, slot));
    assert_int_equal(cold_count(&world, COUNTER_cold_now), 0);
}

static void blocks_of_an_unknown_namespace_are_known_all_the_same(void **state)
{
    (void)state;
    struct tier_id id = cold_id(&world, 1);
    id.space[0] ^= 1;
    uint32_t slot = cold_commit(&world, 1);
    double_say(&world.tier, TIER_FOUND, &id);
    (void)cold_step(&world);
    assert_false(spill_is_stored(world.blocks, slot));
    assert_int_equal(cold_count(&world, COUNTER_cold_now), 1);
}

static void a_turn_takes_so_many_events_and_says_that_there_are_more(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < COLD_EVENTS + 10; i++) {
        struct tier_id id = cold_id(&world, 1000 + i);
        id.key.word[0] = i; /* a bucket each */
        double_say(&world.tier, TIER_FOUND, &id);
    }
    assert_true(cold_step(&world));
    assert_int_equal(world.tier.event_count, 10);
    assert_false(cold_step(&world));
    assert_int_equal(world.tier.event_count, 0);
}

static void a_tier_without_a_descriptor_is_looked_at_until_it_answers(void **state)
{
    (void)state;
    world.tier.fd = -1;
    cold_put(&world, 1);
    assert_false(cold_step(&world));
    (void)cold_ask(&world, &(struct fetch_ask){.session = 1, .blocks = 1}, 1);
    assert_true(cold_step(&world));
    double_end_all(&world.tier, STATUS_OK);
    assert_false(cold_step(&world));
    assert_true(cold_is_hot(&world, 1));
}

static void nothing_is_copied_while_a_tier_finds_what_it_has(void **state)
{
    (void)state;
    world.tier.health.finding = true;
    cold_search(world.blocks, world.now_ns);
    world.blocks->spills.always = true;
    for (uint64_t i = 0; i < 16; i++) {
        (void)cold_commit(&world, i);
    }
    (void)cold_step(&world);
    for (uint32_t i = 0; i < 8; i++) {
        cold_put(&world, i);
        cold_pass(&world, 60 * COLD_MS);
    }
    assert_int_equal(world.tier.stores, 0);
    world.tier.health.finding = false;
    cold_pass(&world, 101 * COLD_MS); /* the next tick sees it */
    uint32_t stores = world.tier.stores;
    assert_true(stores > 0 || spill_is_stored(world.blocks, fixture_find(&world.fixture, 3)));
    for (uint64_t i = 0; i < 8; i++) {
        struct tier_id id = cold_id(&world, i);
        for (uint32_t j = 0; j < world.tier.op_count; j++) {
            assert_memory_not_equal(&world.tier.ops[j].wish.id, &id, sizeof id);
        }
    }
    double_end_all(&world.tier, STATUS_OK);
    (void)cold_step(&world);
}

static void the_next_deadline_is_told(void **state)
{
    (void)state;
    struct fetch_means means = cold_means(&world);
    assert_int_equal(cold_tick(world.blocks, &means), UINT64_MAX);
    cold_put(&world, 1);
    struct fetch_ask ask = {.session = 1, .blocks = 1, .deadline_ns = world.now_ns + 200 * COLD_MS};
    (void)cold_ask(&world, &ask, 1);
    assert_int_equal(cold_tick(world.blocks, &means), world.now_ns + 200 * COLD_MS);
    (void)cold_step(&world);
    double_end_all(&world.tier, STATUS_OK);
    (void)cold_step(&world);
    assert_int_equal(cold_tick(world.blocks, &means), world.now_ns + COLD_HOLD);
    cold_pass(&world, COLD_HOLD);
    means.now_ns = world.now_ns;
    assert_int_equal(cold_tick(world.blocks, &means), UINT64_MAX);
}

static void evicted_and_fetched_again_it_has_the_same_bytes(void **state)
{
    (void)state;
    struct evict_sweep sweep = fixture_sweeper(&world.fixture);
    world.blocks->spills.always = true;
    for (uint64_t i = 0; i < 16; i++) {
        (void)cold_commit(&world, i);
    }
    for (uint32_t i = 0; i < 4; i++) {
        cold_pass(&world, 10 * COLD_MS);
        double_end_all(&world.tier, STATUS_OK);
        (void)cold_step(&world);
        assert_true(evict_room(world.blocks, world.class, 4, &sweep) > 0);
    }
    assert_int_equal(cold_count(&world, COUNTER_slots_hot), 0);
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t asked = cold_ask(&world, &(struct fetch_ask){.session = 1, .blocks = 1}, i);
        (void)cold_step(&world);
        double_end_all(&world.tier, STATUS_OK);
        (void)cold_step(&world);
        assert_int_equal(cold_answer(&world, asked)->hot, 1);
        assert_true(cold_is_hot(&world, i));
    }
    /* They lie below already: their second leaving writes nothing. */
    uint32_t stores = world.tier.stores;
    cold_pass(&world, 2 * COLD_HOLD);
    assert_int_equal(evict_room(world.blocks, world.class, 16, &sweep), 16 - 12);
    assert_int_equal(world.tier.stores, stores);
}

#define IN_WORLD(test) \
    cmocka_unit_test_prestate_setup_teardown(test, cold_set_up, cold_tear_down, &world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(what_a_rescan_finds_costs_nothing_to_drop),
        IN_WORLD(blocks_of_an_unknown_namespace_are_known_all_the_same),
        IN_WORLD(a_turn_takes_so_many_events_and_says_that_there_are_more),
        IN_WORLD(a_tier_without_a_descriptor_is_looked_at_until_it_answers),
        IN_WORLD(nothing_is_copied_while_a_tier_finds_what_it_has),
        IN_WORLD(the_next_deadline_is_told),
        IN_WORLD(evicted_and_fetched_again_it_has_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
