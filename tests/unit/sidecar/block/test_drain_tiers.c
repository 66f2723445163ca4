/* drain: who lacks room in one tier takes extents of that tier, whatever the other one has. */
#include "tests/unit/sidecar/block/fixture.h"

#include "sidecar/block/drain.h"

#define HOST 12u
#define DEVICE 4u
#define PER 16u

static void fill(struct fixture *fixture, uint32_t class, uint32_t extents, uint64_t number)
{
    for (uint32_t i = 0; i < extents * PER; i++) {
        fixture_commit(fixture, class, number + i, NULL);
    }
}

static uint32_t hot_slots(const struct fixture *fixture, uint32_t from, uint32_t to)
{
    uint32_t count = 0;
    for (uint32_t slot = from; slot < to; slot++) {
        count += fixture_state(fixture, slot) == SLOT_VALID;
    }
    return count;
}

static void test_a_device_class_grows_at_the_cost_of_device_classes(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open_tiers(&fixture, HOST, DEVICE, PER, POLICY_LRU);
    struct evict_sweep sweep = fixture_sweeper(&fixture);
    const struct pool *pool = &fixture.blocks.pool;
    /* The host's class has most extents of all; it is no donor. */
    uint32_t host = fixture_class(&fixture, 4096);
    uint32_t small = fixture_class_in(&fixture, 4096, SLOT_TIER_DEVICE);
    fill(&fixture, host, HOST, 0);
    fill(&fixture, small, DEVICE, 1000);
    uint32_t large = fixture_class_in(&fixture, 4 * 4096, SLOT_TIER_DEVICE);
    uint64_t number = 2000;
    /* Its share is one half of the device's extents, not of all. */
    for (uint32_t i = 0; i < DEVICE * (PER / 4); i++) {
        if (pool_available(pool, large) == 0) {
            assert_true(evict_room(&fixture.blocks, large, 1, &sweep) > 0);
        }
        assert_true(fixture_commit(&fixture, large, number++, NULL) >= HOST * PER);
    }
    assert_int_equal(pool_class_extents(pool, large), DEVICE / 2);
    assert_int_equal(pool_class_extents(pool, small), DEVICE / 2);
    assert_int_equal(fixture_count(&fixture, COUNTER_extents_moved), DEVICE / 2);
    assert_int_equal(hot_slots(&fixture, 0, HOST * PER), HOST * PER);
    fixture_close(&fixture);
}

static void test_a_share_is_one_of_its_own_tier(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open_tiers(&fixture, HOST, DEVICE, PER, POLICY_LRU);
    struct evict_sweep sweep = fixture_sweeper(&fixture);
    const struct pool *pool = &fixture.blocks.pool;
    uint32_t small = fixture_class_in(&fixture, 4096, SLOT_TIER_DEVICE);
    uint32_t middle = fixture_class_in(&fixture, 2 * 4096, SLOT_TIER_DEVICE);
    uint32_t large = fixture_class_in(&fixture, 4 * 4096, SLOT_TIER_DEVICE);
    fill(&fixture, small, DEVICE - 1, 0);
    for (uint32_t i = 0; i < PER / 2; i++) {
        fixture_commit(&fixture, middle, 1000 + i, NULL);
    }
    /* The host's extents are all free: that is no room here. */
    assert_int_equal(evict_room(&fixture.blocks, large, 1, &sweep), PER / 4);
    fixture_commit(&fixture, large, 2000, NULL);
    assert_int_equal(pool_class_extents(pool, small), DEVICE - 2);
    /* Four extents for three classes: who has one has its share. */
    assert_false(drain_start(&fixture.blocks, middle));
    assert_int_equal(pool->sides[SLOT_TIER_HOST].free.count, HOST);
    fixture_close(&fixture);
}

static void test_a_lone_class_of_a_tier_replaces_its_own(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open_tiers(&fixture, HOST, DEVICE, PER, POLICY_LRU);
    struct evict_sweep sweep = fixture_sweeper(&fixture);
    uint32_t device = fixture_class_in(&fixture, 4096, SLOT_TIER_DEVICE);
    uint32_t host = fixture_class(&fixture, 4096);
    fill(&fixture, host, HOST, 0);
    fill(&fixture, device, DEVICE, 1000);
    assert_false(drain_start(&fixture.blocks, device));
    assert_int_equal(evict_room(&fixture.blocks, device, PER, &sweep), PER);
    assert_int_equal(hot_slots(&fixture, 0, HOST * PER), HOST * PER);
    assert_int_equal(hot_slots(&fixture, HOST * PER, (HOST + DEVICE) * PER), (DEVICE - 1) * PER);
    /* Room in one tier is none in the other: a tick of the full one evicts. */
    (void)evict_tick(&fixture.blocks, &sweep);
    assert_true(hot_slots(&fixture, 0, HOST * PER) < HOST * PER);
    fixture_close(&fixture);
}

static void test_what_is_stuck_in_one_tier_delays_nobody_in_the_other(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open_tiers(&fixture, HOST, DEVICE, PER, POLICY_LRU);
    struct evict_sweep sweep = fixture_sweeper(&fixture);
    const struct pool *pool = &fixture.blocks.pool;
    uint32_t host = fixture_class(&fixture, 4096);
    uint32_t small = fixture_class_in(&fixture, 4096, SLOT_TIER_DEVICE);
    fill(&fixture, host, HOST, 0);
    fill(&fixture, small, DEVICE, 1000);
    for (uint32_t i = 0; i < HOST; i++) {
        fixture_pin(&fixture, i, i * PER);
    }
    uint32_t other = fixture_class(&fixture, 4 * 4096);
    while (pool->sides[SLOT_TIER_HOST].draining.count < DRAIN_EXTENTS_MAX) {
        assert_int_equal(evict_room(&fixture.blocks, other, 1, &sweep), 0);
    }
    /* As many drain in the host as may: the device's go on as if there were none. */
    uint32_t large = fixture_class_in(&fixture, 4 * 4096, SLOT_TIER_DEVICE);
    assert_int_equal(evict_room(&fixture.blocks, large, 1, &sweep), PER / 4);
    assert_int_equal(pool->sides[SLOT_TIER_HOST].draining.count, DRAIN_EXTENTS_MAX);
    /* A tick goes on in both. */
    uint32_t first = pool->sides[SLOT_TIER_HOST].draining.first;
    for (uint32_t i = 0; i < HOST; i++) {
        fixture_unpin(&fixture, i);
    }
    for (uint32_t i = 0; i < 4 && pool->extents[first].class == host; i++) {
        (void)evict_tick(&fixture.blocks, &sweep);
    }
    assert_int_equal(pool->extents[first].class, other);
    fixture_close(&fixture);
}

static void test_a_tick_goes_on_in_every_tier(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open_devices(&fixture, 2, SLOT_DEVICES, 2, PER, POLICY_LRU);
    struct evict_sweep sweep = fixture_sweeper(&fixture);
    struct blocks *blocks = &fixture.blocks;
    uint32_t small[SLOT_TIERS];
    uint32_t large[SLOT_TIERS];
    for (uint32_t tier = 0; tier < SLOT_TIERS; tier++) {
        small[tier] = fixture_class_in(&fixture, 4096, (enum slot_tier)tier);
        large[tier] = fixture_class_in(&fixture, 4 * 4096, (enum slot_tier)tier);
        fill(&fixture, small[tier], 2, 1000 * tier);
        pool_drain(blocks, pool_tier_first(&blocks->pool, (enum slot_tier)tier), large[tier]);
    }
    while (evict_tick(blocks, &sweep)) {
    }
    for (uint32_t tier = 0; tier < SLOT_TIERS; tier++) {
        assert_int_equal(pool_class_extents(&blocks->pool, large[tier]), 1);
    }
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_device_class_grows_at_the_cost_of_device_classes),
        cmocka_unit_test(test_a_share_is_one_of_its_own_tier),
        cmocka_unit_test(test_a_lone_class_of_a_tier_replaces_its_own),
        cmocka_unit_test(test_what_is_stuck_in_one_tier_delays_nobody_in_the_other),
        cmocka_unit_test(test_a_tick_goes_on_in_every_tier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
