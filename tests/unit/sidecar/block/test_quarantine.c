/* test_quarantine: a slot held back is nobody's until its time is over, and then free again. */
#include "tests/unit/sidecar/block/fixture.h"

static void test_held_back_and_given_back(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, 1, 4, POLICY_LRU);
    struct evict_sweep sweep = fixture_sweeper(&fixture);
    uint32_t class = fixture_class(&fixture, 4096);
    uint32_t slot[4];
    uint64_t generation[4];
    for (int i = 0; i < 4; i++) {
        pool_take(&fixture.blocks, class, SLOT_RESERVED, &slot[i], &generation[i]);
    }
    assert_int_equal(quarantine_tick(&fixture.blocks, 0), UINT64_MAX);
    quarantine_put(&fixture.blocks, slot[0], 100);
    quarantine_put(&fixture.blocks, slot[1], 200);
    assert_int_equal(quarantine_tick(&fixture.blocks, 1099), 1100);
    uint32_t again;
    uint64_t later;
    assert_int_equal(evict_room(&fixture.blocks, class, 1, &sweep), 0);
    assert_int_equal(pool_take(&fixture.blocks, class, SLOT_RESERVED, &again, &later), STATUS_BUSY);
    assert_int_equal(quarantine_tick(&fixture.blocks, 1100), 1200);
    assert_int_equal(pool_take(&fixture.blocks, class, SLOT_RESERVED, &again, &later), STATUS_OK);
    assert_int_equal(again, slot[0]);
    assert_true(later > generation[0]);
    assert_int_equal(quarantine_tick(&fixture.blocks, 1200), UINT64_MAX);
    assert_int_equal(fixture_state(&fixture, slot[1]), SLOT_FREE);
    assert_int_equal(fixture_count(&fixture, COUNTER_quarantined), 2);
    fixture_close(&fixture);
}

static void test_one_tick_is_bounded(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, 1, QUARANTINE_TICK_MAX + 1, POLICY_LRU);
    uint32_t class = fixture_class(&fixture, 4096);
    for (uint32_t i = 0; i <= QUARANTINE_TICK_MAX; i++) {
        uint32_t slot;
        uint64_t generation;
        pool_take(&fixture.blocks, class, SLOT_LOADING, &slot, &generation);
        quarantine_put(&fixture.blocks, slot, i);
    }
    assert_int_equal(quarantine_tick(&fixture.blocks, 1000000), 1000 + QUARANTINE_TICK_MAX);
    assert_int_equal(fixture.blocks.quarantine.count, 1);
    assert_int_equal(quarantine_tick(&fixture.blocks, 1000000), UINT64_MAX);
    assert_int_equal(fixture.blocks.pool.sides[SLOT_TIER_HOST].free.count, 1);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held_back_and_given_back),
        cmocka_unit_test(test_one_tick_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
