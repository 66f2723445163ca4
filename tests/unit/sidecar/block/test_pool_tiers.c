/* pool: what is of host memory and what is of device memory never stands in for each other. */
#include "tests/unit/sidecar/block/fixture.h"

#define PER 8u

/* Take slots of a class until there is none. Returns how many; each must be in [from, to). */
static uint32_t take_all(struct fixture *fixture, uint32_t class, uint32_t from, uint32_t to)
{
    uint32_t count = 0;
    uint32_t slot;
    uint64_t generation;
    while (pool_take(&fixture->blocks, class, SLOT_RESERVED, &slot, &generation) == STATUS_OK) {
        assert_true(slot >= from && slot < to);
        count++;
    }
    return count;
}

static void test_a_class_takes_extents_of_its_own_tier_alone(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open_tiers(&fixture, 1, 2, PER, POLICY_LRU);
    const struct pool *pool = &fixture.blocks.pool;
    uint32_t host = fixture_class(&fixture, 4096);
    uint32_t device = fixture_class_in(&fixture, 4096, SLOT_TIER_DEVICE);
    assert_int_equal(pool_available(pool, host), PER);
    assert_int_equal(pool_available(pool, device), 2 * PER);
    /* All of the host's is used up while the device's is free. */
    assert_int_equal(take_all(&fixture, host, 0, PER), PER);
    assert_int_equal(pool_available(pool, host), 0);
    assert_int_equal(pool_available(pool, device), 2 * PER);
    for (uint32_t slot = 0; slot < PER; slot++) {
        pool_give(&fixture.blocks, slot);
    }
    /* And the other way round. */
    assert_int_equal(take_all(&fixture, device, PER, 3 * PER), 2 * PER);
    assert_int_equal(pool->sides[SLOT_TIER_HOST].free.count, 1);
    assert_int_equal(pool->sides[SLOT_TIER_DEVICE].free.count, 0);
    fixture_close(&fixture);
}

static void test_offsets_begin_anew_in_each_tier(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open_devices(&fixture, 2, SLOT_DEVICES, 2, PER, POLICY_LRU);
    const struct pool *pool = &fixture.blocks.pool;
    for (uint32_t tier = 0; tier < SLOT_TIERS; tier++) {
        uint32_t class = fixture_class_in(&fixture, 3 * 4096, (enum slot_tier)tier);
        /* Two slots of three pages in an extent of eight. */
        const uint64_t pages[] = {0, 3, PER, PER + 3};
        for (uint32_t i = 0; i < CHECK_COUNT(pages); i++) {
            uint32_t slot;
            uint64_t generation;
            assert_int_equal(
                pool_take(&fixture.blocks, class, SLOT_RESERVED, &slot, &generation), STATUS_OK);
            assert_int_equal(pool_tier(pool, slot), tier);
            assert_int_equal(pool_offset(pool, slot), pages[i] * 4096);
        }
    }
    fixture_close(&fixture);
}

static void test_a_slot_number_says_the_tier(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open_devices(&fixture, 3, 2, 4, PER, POLICY_LRU);
    const struct pool *pool = &fixture.blocks.pool;
    static const struct {
        uint32_t first;
        uint32_t slots;
    } wanted[] = {{0, 3 * PER}, {3 * PER, 4 * PER}, {7 * PER, 4 * PER}, {0, 0}};
    for (uint32_t tier = 0; tier < CHECK_COUNT(wanted); tier++) {
        uint32_t first = UINT32_MAX;
        uint32_t count = pool_tier_slots(pool, (enum slot_tier)tier, &first);
        assert_int_equal(count, wanted[tier].slots);
        assert_int_equal(first, wanted[tier].first);
        for (uint32_t slot = first; slot < first + count; slot++) {
            assert_int_equal(pool_tier(pool, slot), tier);
        }
    }
    assert_int_equal(pool_tiers(pool), 3);
    assert_int_equal(fixture.blocks.index.slots, 11 * PER);
    fixture_close(&fixture);
}

static void test_a_tier_that_is_off_has_no_classes(void **state)
{
    (void)state;
    struct fixture fixture;
    uint32_t class;
    fixture_open_devices(&fixture, 1, 2, 1, PER, POLICY_LRU);
    struct pool *pool = &fixture.blocks.pool;
    pool_tier_off(pool, slot_tier_of_device(0));
    assert_int_equal(
        pool_class_take(pool, 4096, slot_tier_of_device(0), &class), STATUS_UNSUPPORTED);
    assert_int_equal(pool->class_count, 0);
    class = fixture_class_in(&fixture, 4096, slot_tier_of_device(1));
    assert_int_equal(fixture_commit(&fixture, class, 1, NULL), 2 * PER);
    /* There is no third one. */
    assert_int_equal(
        pool_class_take(pool, 4096, slot_tier_of_device(2), &class), STATUS_UNSUPPORTED);
    fixture_close(&fixture);
}

/* Evict and commit again until `blocks` blocks of the class went. */
static void churn(struct fixture *fixture, uint32_t class, uint32_t blocks, uint64_t number)
{
    struct evict_sweep sweep = fixture_sweeper(fixture);
    for (uint32_t i = 0; i < blocks; i++) {
        if (pool_available(&fixture->blocks.pool, class) == 0) {
            assert_true(evict_room(&fixture->blocks, class, 1, &sweep) > 0);
        }
        fixture_commit(fixture, class, number + i, NULL);
    }
}

static void test_a_class_idles_by_the_evictions_of_its_own_tier(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open_tiers(&fixture, 2, 1, PER, POLICY_LRU);
    const struct pool *pool = &fixture.blocks.pool;
    uint32_t host = fixture_class(&fixture, 4096);
    uint32_t device = fixture_class_in(&fixture, 4096, SLOT_TIER_DEVICE);
    fixture_commit(&fixture, host, 0, NULL);
    fixture_commit(&fixture, device, 0, NULL);
    /* Many times what all of the pool holds. */
    churn(&fixture, host, 20 * PER, 100);
    assert_false(pool_idle(pool, device));
    churn(&fixture, host, 1, 1000);
    uint64_t used_at = pool->classes[host].used_at;
    assert_true(used_at > 0);
    /* What a device holds once over is enough, however large the host's part is. */
    fixture.blocks.pool.classes[device].used_at = 0;
    churn(&fixture, device, PER, 2000);
    fixture.blocks.pool.classes[device].used_at = 0;
    assert_false(pool_idle(pool, device));
    churn(&fixture, device, PER, 3000);
    fixture.blocks.pool.classes[device].used_at = 0;
    assert_true(pool_idle(pool, device));
    assert_int_equal(pool->classes[host].used_at, used_at);
    fixture_close(&fixture);
}

static void test_a_touch_goes_by_the_clock_of_its_tier(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open_tiers(&fixture, 1, 1, PER, POLICY_LRU);
    const struct pool *pool = &fixture.blocks.pool;
    uint32_t host = fixture_class(&fixture, 4096);
    uint32_t device = fixture_class_in(&fixture, 4096, SLOT_TIER_DEVICE);
    uint32_t slot = fixture_commit(&fixture, device, 1, NULL);
    churn(&fixture, host, 4 * PER, 100);
    admit_touch(&fixture.blocks, slot);
    assert_int_equal(pool->classes[device].used_at, 0);
    assert_false(pool_idle(pool, device));
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_class_takes_extents_of_its_own_tier_alone),
        cmocka_unit_test(test_offsets_begin_anew_in_each_tier),
        cmocka_unit_test(test_a_slot_number_says_the_tier),
        cmocka_unit_test(test_a_tier_that_is_off_has_no_classes),
        cmocka_unit_test(test_a_class_idles_by_the_evictions_of_its_own_tier),
        cmocka_unit_test(test_a_touch_goes_by_the_clock_of_its_tier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
