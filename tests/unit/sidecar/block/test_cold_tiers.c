/* cold: what lies in device memory is never copied down, and a fetch brings a block into host
 * memory whatever a device has. */
#include "tests/unit/sidecar/block/cold_world.h"

#define SLOTS 16u /* of each tier */
#define ONE ((struct fetch_ask){.session = 1, .blocks = 1})

static struct cold_world world;
static uint32_t device;

static int set_up(void **state)
{
    (void)state;
    cold_open_tiers(&world, 2, 2, 8);
    device = fixture_class_in(&world.fixture, COLD_BLOCK, SLOT_TIER_DEVICE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cold_settled(&world);
    cold_close(&world);
    return 0;
}

/* Block `number` is committed to device memory; who waits for it hears of it. */
static uint32_t commit_device(uint64_t number)
{
    struct fetch_means means = cold_means(&world);
    struct key key = fixture_key(number);
    uint32_t slot = fixture_commit(&world.fixture, device, number, NULL);
    fetch_hot(world.blocks, &key, COLD_SPACE, &means);
    return slot;
}

static void arrive(void)
{
    double_end_all(&world.tier, STATUS_OK);
    (void)cold_step(&world);
}

static void device_blocks_are_never_copied_down(void **state)
{
    (void)state;
    struct evict_sweep sweep = fixture_sweeper(&world.fixture);
    struct cold_cursor cursor = {0};
    world.blocks->spills.always = true;
    for (uint64_t i = 0; i < SLOTS; i++) {
        (void)cold_commit(&world, i);
        admit_touch(world.blocks, commit_device(100 + i));
    }
    cold_pass(&world, 10 * COLD_MS);
    arrive();
    spill_class(world.blocks, device);
    struct fetch_means means = cold_means(&world);
    while (!cold_save(world.blocks, &means, &cursor)) {
        double_end_all(&world.tier, STATUS_OK);
    }
    assert_int_equal(world.tier.stores, SLOTS); /* the host's, all of them */
    for (uint64_t i = 0; i < SLOTS; i++) {
        assert_true(cold_is_cold(&world, i));
        assert_false(cold_is_cold(&world, 100 + i));
    }
    /* They are dropped, as the policy says, and nothing was missed. */
    assert_int_equal(evict_free(world.blocks, device, SLOTS, &sweep), 0);
    assert_int_equal(evict_room(world.blocks, device, 1, &sweep), 1);
    assert_int_equal(fixture_find(&world.fixture, 100), HINT_NONE);
    assert_int_equal(evict_room(world.blocks, device, SLOTS - 1, &sweep), SLOTS - 1);
    assert_int_equal(cold_count(&world, COUNTER_spills_missed), 0);
    assert_int_equal(cold_count(&world, COUNTER_evictions), SLOTS);
    assert_int_equal(world.tier.stores, SLOTS);
}

static void room_in_one_tier_does_not_put_off_copies_of_the_other(void **state)
{
    (void)state;
    world.blocks->spills.always = true;
    for (uint64_t i = 0; i < SLOTS; i++) {
        (void)cold_commit(&world, i);
    }
    /* The device's extents are all free. */
    cold_pass(&world, 10 * COLD_MS);
    assert_true(world.tier.stores > 0);
    arrive();
}

static void device_blocks_do_not_wait_for_copies_of_others(void **state)
{
    (void)state;
    struct evict_sweep sweep = fixture_sweeper(&world.fixture);
    world.blocks->spills.always = true;
    for (uint64_t i = 0; i < SLOTS - 1; i++) {
        (void)commit_device(100 + i);
    }
    for (uint64_t i = 0; i < SLOTS; i++) {
        (void)cold_commit(&world, i);
    }
    cold_pass(&world, 10 * COLD_MS);
    assert_true(world.blocks->spills.count > 0);
    assert_int_equal(world.blocks->pool.classes[device].free, 1);
    (void)evict_tick(world.blocks, &sweep);
    assert_true(world.blocks->pool.classes[device].free > 1);
    arrive();
}

static void a_fetch_lands_in_host_memory_while_a_device_has_the_block(void **state)
{
    (void)state;
    cold_put(&world, 1);
    uint32_t copy = commit_device(1);
    uint64_t asked = cold_ask(&world, &ONE, 1);
    assert_null(cold_answer(&world, asked));
    (void)cold_step(&world);
    arrive();
    assert_int_equal(cold_answer(&world, asked)->hot, 1);
    uint32_t slot = fixture_find_in(&world.fixture, 1, SLOT_TIER_HOST);
    assert_int_not_equal(slot, HINT_NONE);
    assert_true(cold_is_hot(&world, 1)); /* with its bytes */
    /* Host, device and the lower tier have it. */
    assert_int_equal(fixture_find_in(&world.fixture, 1, SLOT_TIER_DEVICE), copy);
    assert_true(cold_is_cold(&world, 1));
    assert_int_equal(cold_count(&world, COUNTER_fetches), 1);
    assert_true(hold_is(&world.blocks->holds, slot));
    assert_false(hold_is(&world.blocks->holds, copy));
}

static void nobody_is_told_that_a_device_block_is_in_host_memory(void **state)
{
    (void)state;
    (void)commit_device(1);
    struct fetch_ask ask = {.session = 1, .blocks = 1, .part_bytes = 1024};
    uint64_t asked = cold_ask(&world, &ask, 1);
    /* No tier has it either. */
    assert_int_equal(cold_answer(&world, asked)->status, STATUS_MISS);
    assert_int_equal(cold_answer(&world, asked)->hot, 0);
    assert_int_equal(world.told_count, 0);
    assert_int_equal(cold_count(&world, COUNTER_holds_now), 0);
}

static void the_block_before_a_batch_is_kept_where_it_is(void **state)
{
    (void)state;
    struct fetch_batches *batches = &world.blocks->fetches.batches;
    struct fetch_means means = cold_means(&world);
    struct fetch_ask ask = ONE;
    struct fetch_want want = {.key = fixture_key(2),
        .parent = fixture_key(1),
        .has_parent = true,
        .space = COLD_SPACE,
        .class = world.class};
    uint32_t slots[FIXTURE_TIERS];
    slots[SLOT_TIER_DEVICE] = commit_device(1);
    ask.hold_ns = COLD_HOLD;
    ask.quota = 10;
    for (uint32_t session = 1; session < 3; session++) {
        ask.session = session;
        uint32_t batch = fetch_batch_begin(batches, &ask);
        assert_int_not_equal(batch, FETCH_BATCH_NONE);
        fetch_block(world.blocks, batch, &want, &means);
        fetch_batch_close(batches, batch, &means.answers);
        /* First there is one copy; then there are two, and everybody can read the host's. */
        assert_true(hold_is(&world.blocks->holds, slots[2 - session]));
        hold_drop(&world.blocks->holds, session);
        assert_int_equal(cold_count(&world, COUNTER_holds_now), 0);
        slots[SLOT_TIER_HOST] = session == 1 ? cold_commit(&world, 1) : slots[SLOT_TIER_HOST];
    }
}

static void a_commit_to_a_device_does_not_end_a_read(void **state)
{
    (void)state;
    cold_put(&world, 1);
    uint64_t asked = cold_ask(&world, &ONE, 1);
    (void)cold_step(&world);
    (void)commit_device(1);
    assert_null(cold_answer(&world, asked));
    arrive();
    assert_int_equal(cold_answer(&world, asked)->hot, 1);
    assert_int_not_equal(fixture_find_in(&world.fixture, 1, SLOT_TIER_HOST), HINT_NONE);
    /* Nor is it a reason not to bring up what a hint asks for. */
    cold_put(&world, 2);
    (void)commit_device(2);
    struct fetch_want want = {.key = fixture_key(2), .space = COLD_SPACE, .class = world.class};
    fetch_ahead(world.blocks, 1, &want, world.now_ns + COLD_MS);
    (void)cold_step(&world);
    arrive();
    assert_int_not_equal(fixture_find_in(&world.fixture, 2, SLOT_TIER_HOST), HINT_NONE);
}

static void what_lies_below_is_told_to_both_copies(void **state)
{
    (void)state;
    uint32_t slots[FIXTURE_TIERS];
    slots[SLOT_TIER_HOST] = cold_commit(&world, 1);
    slots[SLOT_TIER_DEVICE] = commit_device(1);
    struct tier_id id = cold_id(&world, 1);
    cold_put(&world, 1);
    for (uint32_t tier = 0; tier < FIXTURE_TIERS; tier++) {
        assert_true(spill_is_stored(world.blocks, slots[tier]));
    }
    double_say(&world.tier, TIER_LOST, &id);
    (void)cold_step(&world);
    assert_false(spill_is_stored(world.blocks, slots[SLOT_TIER_HOST]));
    assert_true(spill_is_stored(world.blocks, slots[SLOT_TIER_DEVICE])); /* the host has it */
    /* A copy of the host's is one of both; so it is if one comes to a device later. */
    uint32_t cursor = 0;
    world.blocks->spills.always = true;
    assert_true(spill_rest(world.blocks, &cursor));
    arrive();
    assert_int_equal(world.tier.stores, 1);
    for (uint32_t tier = 0; tier < FIXTURE_TIERS; tier++) {
        assert_true(spill_is_stored(world.blocks, slots[tier]));
    }
    cold_put(&world, 2);
    assert_true(spill_is_stored(world.blocks, commit_device(2)));
    assert_false(spill_is_stored(world.blocks, commit_device(3)));
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(device_blocks_are_never_copied_down),
        IN_WORLD(room_in_one_tier_does_not_put_off_copies_of_the_other),
        IN_WORLD(device_blocks_do_not_wait_for_copies_of_others),
        IN_WORLD(a_fetch_lands_in_host_memory_while_a_device_has_the_block),
        IN_WORLD(nobody_is_told_that_a_device_block_is_in_host_memory),
        IN_WORLD(the_block_before_a_batch_is_kept_where_it_is),
        IN_WORLD(a_commit_to_a_device_does_not_end_a_read),
        IN_WORLD(what_lies_below_is_told_to_both_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
