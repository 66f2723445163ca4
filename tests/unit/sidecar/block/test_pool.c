/* test_pool: extents join classes and leave them, and slots of two never overlap. */
#include "tests/unit/sidecar/block/fixture.h"

static void test_slots_of_a_class_tile_the_extent(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, 2, 8, POLICY_LRU);
    /* Three pages a slot: two fit in eight pages. */
    uint32_t class = fixture_class(&fixture, 3 * 4096);
    assert_int_equal(pool_available(&fixture.blocks.pool, class), 4);
    uint64_t pages = 0;
    uint64_t generation;
    uint32_t slot;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(
            pool_take(&fixture.blocks, class, SLOT_RESERVED, &slot, &generation), STATUS_OK);
        uint64_t page = pool_offset(&fixture.blocks.pool, slot) / 4096;
        assert_int_equal(page / 8, (page + 2) / 8);
        assert_int_equal(pages & UINT64_C(7) << page, 0);
        pages |= UINT64_C(7) << page;
    }
    assert_int_equal(
        pool_take(&fixture.blocks, class, SLOT_RESERVED, &slot, &generation), STATUS_BUSY);
    assert_int_equal(fixture_count(&fixture, COUNTER_slots_lent), 4);
    assert_int_equal(fixture_count(&fixture, COUNTER_slots_free), 0);
    fixture_close(&fixture);
}

static void test_an_empty_extent_serves_another_class(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, 1, 8, POLICY_ARC);
    uint32_t small = fixture_class(&fixture, 4096);
    uint32_t large = fixture_class(&fixture, 8192);
    uint32_t slot;
    uint32_t other;
    uint64_t first;
    uint64_t second;
    assert_int_equal(pool_take(&fixture.blocks, small, SLOT_LOADING, &slot, &first), STATUS_OK);
    assert_int_equal(fixture.blocks.policies[small].capacity, 8);
    assert_int_equal(pool_take(&fixture.blocks, large, SLOT_LOADING, &other, &second), STATUS_BUSY);
    pool_give(&fixture.blocks, slot);
    assert_int_equal(fixture.blocks.policies[small].capacity, 0);
    assert_int_equal(fixture_count(&fixture, COUNTER_slots_free), 0);
    assert_int_equal(pool_take(&fixture.blocks, large, SLOT_LOADING, &other, &second), STATUS_OK);
    /* The same slot number in another life. */
    assert_int_equal(other, slot);
    assert_true(second > first);
    assert_int_equal(fixture_count(&fixture, COUNTER_extents_moved), 1);
    assert_int_equal(fixture_count(&fixture, COUNTER_slots_free), 3);
    fixture_close(&fixture);
}

static void test_draining_lends_nothing_and_ends_in_its_heir(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, 1, 4, POLICY_LRU);
    uint32_t small = fixture_class(&fixture, 4096);
    uint32_t large = fixture_class(&fixture, 8192);
    uint32_t slot;
    uint32_t none;
    uint64_t generation;
    assert_int_equal(
        pool_take(&fixture.blocks, small, SLOT_RESERVED, &slot, &generation), STATUS_OK);
    pool_drain(&fixture.blocks, 0, large);
    assert_int_equal(
        pool_take(&fixture.blocks, small, SLOT_RESERVED, &none, &generation), STATUS_BUSY);
    assert_int_equal(fixture_count(&fixture, COUNTER_slots_free), 0);
    pool_undrain(&fixture.blocks, 0);
    assert_int_equal(fixture_count(&fixture, COUNTER_slots_free), 3);
    pool_drain(&fixture.blocks, 0, large);
    pool_give(&fixture.blocks, slot);
    assert_int_equal(pool_available(&fixture.blocks.pool, small), 0);
    assert_int_equal(pool_available(&fixture.blocks.pool, large), 2);
    assert_int_equal(fixture_count(&fixture, COUNTER_extents_moved), 1);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_of_a_class_tile_the_extent),
        cmocka_unit_test(test_an_empty_extent_serves_another_class),
        cmocka_unit_test(test_draining_lends_nothing_and_ends_in_its_heir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
