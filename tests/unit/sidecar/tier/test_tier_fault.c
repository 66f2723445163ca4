/* test_tier_fault: each rate alone does what it says, the rest is left alone, a seed does it
 * again. */
#include "sidecar/tier/tier_fault.h"

#include "tests/unit/sidecar/tier/tier_world.h"

#include <poll.h>

#define PLENTY (UINT64_C(64) << 20)
#define ALWAYS 65536u
#define POLLS 10u

static bool spoil_nothing(void *context, const struct tier_id *id, bool tear, uint64_t random)
{
    (void)id;
    (void)tear;
    (void)random;
    ++*(uint32_t *)context;
    return false;
}

/* A fault tier of these rates around the world's file tier. */
static void wrap(struct tier_world *world, struct tier_fault_rates rates, uint64_t seed)
{
    struct tier_fault_options options = {.seed = seed, .rates = rates, .delay_polls = POLLS};
    tier_world_open(world, PLENTY);
    options.inner = world->tier;
    assert_int_equal(tier_fault_open(&options, &world->tier), STATUS_OK);
}

static void set(struct tier_world *world, struct tier_fault_rates rates)
{
    tier_fault_set(world->tier, &rates);
}

static void test_no_rates_change_nothing(void **state)
{
    (void)state;
    struct tier_world world;
    wrap(&world, (struct tier_fault_rates){.busy = 0}, 1);
    for (uint64_t i = 0; i < 20; i++) {
        assert_int_equal(tier_world_store(&world, i), STATUS_OK);
        assert_int_equal(tier_world_store(&world, i), STATUS_OK);
        assert_int_equal(tier_world_load(&world, i), STATUS_OK);
    }
    assert_int_equal(tier_world_load(&world, 20), STATUS_MISS);
    struct tier_health health = tier_world_health(&world);
    assert_int_equal(health.errors + health.refused + health.corrupt, 0);
    assert_int_equal(health.loads, 20);
    tier_world_close(&world);
}

static void test_failures_end_with_io_and_touch_nothing(void **state)
{
    (void)state;
    struct tier_world world;
    wrap(&world, (struct tier_fault_rates){.fail_store = ALWAYS}, 1);
    assert_int_equal(tier_world_store(&world, 1), STATUS_IO);
    assert_int_equal(folder_count(&world.folder, ".block"), 0);
    set(&world, (struct tier_fault_rates){.fail_load = ALWAYS});
    assert_int_equal(tier_world_store(&world, 1), STATUS_OK);
    assert_int_equal(tier_world_load(&world, 1), STATUS_IO);
    assert_int_equal(tier_world_health(&world).errors, 2);
    set(&world, (struct tier_fault_rates){.busy = ALWAYS});
    assert_int_equal(tier_world_store(&world, 2), STATUS_BUSY);
    assert_int_equal(tier_world_load(&world, 1), STATUS_BUSY);
    set(&world, (struct tier_fault_rates){.busy = 0});
    assert_int_equal(tier_world_load(&world, 1), STATUS_OK);
    tier_world_close(&world);
}

/* Without a way to spoil the medium, damage shows as the miss that a checksum makes of it. */
static void test_damage_is_a_miss(void **state)
{
    (void)state;
    static const struct tier_fault_rates damage[] = {{.tear = ALWAYS}, {.corrupt = ALWAYS}};
    for (size_t i = 0; i < CHECK_COUNT(damage); i++) {
        struct tier_world world;
        wrap(&world, (struct tier_fault_rates){.busy = 0}, 1);
        assert_int_equal(tier_world_store(&world, 1), STATUS_OK);
        set(&world, damage[i]);
        assert_int_equal(tier_world_load(&world, 1), STATUS_MISS); /* on its way up */
        assert_int_equal(tier_world_store(&world, 2), STATUS_OK); /* on its way down */
        set(&world, (struct tier_fault_rates){.busy = 0});
        assert_int_equal(tier_world_load(&world, 1), STATUS_OK);
        assert_int_equal(tier_world_load(&world, 2), STATUS_MISS);
        tier_world_close(&world);
    }
}

static void test_the_medium_is_spoiled_where_that_is_offered(void **state)
{
    (void)state;
    struct tier_world world;
    uint32_t asked = 0;
    struct tier_fault_options options = {
        .rates = {.corrupt = ALWAYS}, .spoil = spoil_nothing, .context = &asked};
    tier_world_open(&world, PLENTY);
    options.inner = world.tier;
    assert_int_equal(tier_fault_open(&options, &world.tier), STATUS_OK);
    assert_int_equal(tier_world_store(&world, 1), STATUS_OK);
    assert_int_equal(asked, 1);
    (void)tier_world_load(&world, 1);
    assert_int_equal(asked, 2);
    tier_world_close(&world);
}

static void test_lost_blocks_are_told(void **state)
{
    (void)state;
    struct tier_world world;
    wrap(&world, (struct tier_fault_rates){.lose = ALWAYS}, 1);
    assert_int_equal(tier_world_store(&world, 1), STATUS_OK);
    assert_true(tier_world_saw(&world, TIER_LOST, 1));
    set(&world, (struct tier_fault_rates){.busy = 0});
    assert_int_equal(tier_world_load(&world, 1), STATUS_MISS);
    assert_int_equal(tier_world_store(&world, 1), STATUS_OK);
    set(&world, (struct tier_fault_rates){.lose = ALWAYS});
    assert_int_equal(tier_world_load(&world, 1), STATUS_MISS); /* says so itself */
    set(&world, (struct tier_fault_rates){.busy = 0});
    assert_int_equal(tier_world_load(&world, 1), STATUS_MISS);
    assert_int_equal(tier_world_health(&world).blocks, 0);
    tier_world_close(&world);
}

/* Each event comes within so many polls, in the order of its kind, and the descriptor is readable
 * as long as something is held back. */
static void test_delays_are_bounded_and_rung_for(void **state)
{
    (void)state;
    struct tier_world world;
    static _Alignas(4096) uint8_t data[4096];
    struct tier_block block = {.data = data, .bytes = 4000};
    uint32_t stored = 0;
    uint32_t polls = 0;
    uint32_t late = 0;
    wrap(&world, (struct tier_fault_rates){.delay = ALWAYS / 2}, 3);
    for (uint64_t i = 0; i < 50; i++) {
        block.id = tier_world_id(i);
        assert_int_equal(tier_store(world.tier, &block, i), STATUS_PENDING);
    }
    while (stored < 50) {
        struct pollfd wait = {.fd = tier_fd(world.tier), .events = POLLIN};
        assert_int_equal(poll(&wait, 1, 0), 1);
        tier_world_poll(&world);
        late += polls > 0 ? world.count : 0;
        for (uint32_t i = 0; i < world.count; i++) {
            assert_int_equal(world.done[i].cookie, stored++);
        }
        assert_true(++polls <= POLLS + 1);
    }
    assert_true(late > 0);
    tier_world_poll(&world);
    struct pollfd quiet = {.fd = tier_fd(world.tier), .events = POLLIN};
    assert_int_equal(poll(&quiet, 1, 0), 0); /* nothing is left: nobody is woken for nothing */
    tier_world_close(&world);
}

static void test_a_delayed_part_stays_before_its_block(void **state)
{
    (void)state;
    struct tier_world world;
    static _Alignas(4096) uint8_t data[TIER_WORLD_ROOM];
    struct tier_wish wish = {.id = tier_world_id(1),
        .out_data = data,
        .room = sizeof data,
        .part_bytes = 1,
        .deadline_ns = UINT64_MAX};
    uint32_t parts = 0;
    wrap(&world, (struct tier_fault_rates){.busy = 0}, 5);
    assert_int_equal(tier_world_store(&world, 1), STATUS_OK);
    set(&world, (struct tier_fault_rates){.delay = ALWAYS / 2});
    for (uint64_t i = 0; i < 50; i++) {
        bool over = false;
        uint32_t before = parts;
        assert_int_equal(tier_load(world.tier, &wish, i), STATUS_PENDING);
        for (uint32_t polls = 0; polls <= 2 * POLLS + 1; polls++) {
            tier_world_poll(&world);
            for (uint32_t j = 0; j < world.count; j++) {
                assert_false(over);
                parts += world.done[j].event == TIER_PART;
                over = world.done[j].event == TIER_LOADED;
            }
        }
        assert_true(over && parts == before + 1);
    }
    tier_world_close(&world);
}

/* What a run looks like from outside, as a number. */
static uint64_t run(uint64_t seed)
{
    struct tier_world world;
    uint64_t hash = 0;
    struct tier_fault_rates rates = {.fail_store = ALWAYS / 8,
        .fail_load = ALWAYS / 8,
        .busy = ALWAYS / 8,
        .tear = ALWAYS / 8,
        .lose = ALWAYS / 8};
    wrap(&world, rates, seed);
    for (uint64_t i = 0; i < 100; i++) {
        int status = i % 2 == 0 ? tier_world_store(&world, i / 4) : tier_world_load(&world, i / 4);
        hash = hash * 31 + (uint64_t)(status + 1000);
        tier_world_poll(&world);
    }
    tier_world_close(&world);
    return hash;
}

static void test_a_seed_does_it_again(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    assert_true(run(seed) == run(seed));
    assert_true(run(seed) != run(seed + 1) || run(seed) != run(seed + 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_rates_change_nothing),
        cmocka_unit_test(test_failures_end_with_io_and_touch_nothing),
        cmocka_unit_test(test_damage_is_a_miss),
        cmocka_unit_test(test_the_medium_is_spoiled_where_that_is_offered),
        cmocka_unit_test(test_lost_blocks_are_told),
        cmocka_unit_test(test_delays_are_bounded_and_rung_for),
        cmocka_unit_test(test_a_delayed_part_stays_before_its_block),
        cmocka_unit_test(test_a_seed_does_it_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
