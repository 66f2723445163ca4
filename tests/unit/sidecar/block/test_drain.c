/* test_drain: a class that has too little gets extents of one that has most, pins or not. */
#include "tests/unit/sidecar/block/fixture.h"

#include "sidecar/block/drain.h"

#define EXTENTS 8u
#define PER 16u

/* All of the pool holds blocks 0 to 127 of one class. */
static uint32_t fill(struct fixture *fixture)
{
    uint32_t class = fixture_class(fixture, 4096);
    for (uint32_t i = 0; i < EXTENTS * PER; i++) {
        fixture_commit(fixture, class, i, NULL);
    }
    return class;
}

static void test_a_new_class_gets_room_in_a_full_pool(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, EXTENTS, PER, POLICY_ARC);
    struct evict_sweep sweep = fixture_sweeper(&fixture);
    uint32_t small = fill(&fixture);
    uint32_t large = fixture_class(&fixture, 4 * 4096);
    uint64_t number = 1000;
    /* Up to its fair share, one half. */
    for (uint32_t extents = 1; extents <= EXTENTS / 2; extents++) {
        assert_int_equal(evict_room(&fixture.blocks, large, 4, &sweep), 4);
        assert_int_equal(fixture_count(&fixture, COUNTER_extents_moved), extents);
        for (int i = 0; i < 4; i++) {
            fixture_commit(&fixture, large, number++, NULL);
        }
    }
    /* From now on it replaces its own. */
    assert_int_equal(evict_room(&fixture.blocks, large, 4, &sweep), 4);
    assert_int_equal(fixture_count(&fixture, COUNTER_extents_moved), EXTENTS / 2);
    assert_int_equal(pool_class_extents(&fixture.blocks.pool, small), EXTENTS / 2);
    fixture_close(&fixture);
}

static void test_a_pinned_block_delays_its_extent(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, EXTENTS, PER, POLICY_LRU);
    struct evict_sweep sweep = fixture_sweeper(&fixture);
    fill(&fixture);
    uint32_t large = fixture_class(&fixture, 4 * 4096);
    for (uint32_t i = 0; i < EXTENTS; i++) {
        fixture_pin(&fixture, i, i * PER + 3);
    }
    assert_int_equal(evict_room(&fixture.blocks, large, 1, &sweep), 0);
    uint32_t extent = fixture.blocks.pool.sides[SLOT_TIER_HOST].draining.first;
    assert_int_not_equal(extent, POOL_NONE);
    assert_int_equal(fixture_state(&fixture, extent * PER + 3), SLOT_VALID);
    assert_int_equal(fixture_state(&fixture, extent * PER + 4), SLOT_FREE);
    fixture_unpin(&fixture, extent);
    assert_true(evict_tick(&fixture.blocks, &sweep));
    assert_int_equal(pool_available(&fixture.blocks.pool, large), PER / 4);
    assert_int_equal(fixture.blocks.pool.sides[SLOT_TIER_HOST].draining.count, 0);
    fixture_close(&fixture);
}

static void test_stuck_extents_do_not_stop_others(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, 32, PER, POLICY_LRU);
    struct evict_sweep sweep = fixture_sweeper(&fixture);
    uint32_t small = fixture_class(&fixture, 4096);
    for (uint32_t i = 0; i < 32 * PER; i++) {
        fixture_commit(&fixture, small, i, NULL);
    }
    uint32_t large = fixture_class(&fixture, 4 * 4096);
    /* Every extent but one is held by a pin: more than may drain at a time. */
    for (uint32_t i = 0; i < 31; i++) {
        fixture_pin(&fixture, i, i * PER);
    }
    uint32_t freed = 0;
    for (uint32_t i = 0; i < 20000 && freed == 0; i++) {
        freed = evict_room(&fixture.blocks, large, 1, &sweep);
        assert_true(fixture.blocks.pool.sides[SLOT_TIER_HOST].draining.count <= DRAIN_EXTENTS_MAX);
    }
    assert_int_equal(freed, PER / 4);
    for (uint32_t i = 0; i < 31; i++) {
        assert_int_equal(fixture_state(&fixture, i * PER), SLOT_VALID);
    }
    fixture_close(&fixture);
}

static void test_lent_slots_of_a_draining_extent_come_home(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, 1, PER, POLICY_LRU);
    struct evict_sweep sweep = fixture_sweeper(&fixture);
    uint32_t small = fixture_class(&fixture, 4096);
    uint32_t large = fixture_class(&fixture, 4 * 4096);
    uint32_t lent[2];
    uint64_t generation[2];
    for (int i = 0; i < 2; i++) {
        pool_take(&fixture.blocks, small, SLOT_RESERVED, &lent[i], &generation[i]);
    }
    assert_int_equal(evict_room(&fixture.blocks, large, 1, &sweep), 0);
    /* One is committed all the same, the other one given back. */
    bool duplicate;
    struct slot_content content = {.key = fixture_key(1), .bytes = 1, .space = 1};
    assert_int_equal(
        admit_block(&fixture.blocks, lent[0], generation[0], &content, NULL, &duplicate),
        STATUS_OK);
    assert_int_equal(fixture_find(&fixture, 1), lent[0]);
    pool_give(&fixture.blocks, lent[1]);
    evict_tick(&fixture.blocks, &sweep);
    assert_int_equal(fixture_find(&fixture, 1), HINT_NONE);
    assert_int_equal(pool_available(&fixture.blocks.pool, large), PER / 4);
    fixture_close(&fixture);
}

static void test_an_idle_class_gives_all(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, EXTENTS, PER, POLICY_ARC);
    struct evict_sweep sweep = fixture_sweeper(&fixture);
    uint32_t small = fill(&fixture);
    uint32_t large = fixture_class(&fixture, 4 * 4096);
    for (uint64_t number = 1000; number < 1000 + 4 * EXTENTS * PER; number++) {
        if (pool_available(&fixture.blocks.pool, large) == 0) {
            assert_int_not_equal(evict_room(&fixture.blocks, large, 1, &sweep), 0);
        }
        fixture_commit(&fixture, large, number, NULL);
    }
    assert_int_equal(pool_class_extents(&fixture.blocks.pool, small), 0);
    assert_int_equal(pool_class_extents(&fixture.blocks.pool, large), EXTENTS);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_class_gets_room_in_a_full_pool),
        cmocka_unit_test(test_a_pinned_block_delays_its_extent),
        cmocka_unit_test(test_stuck_extents_do_not_stop_others),
        cmocka_unit_test(test_lent_slots_of_a_draining_extent_come_home),
        cmocka_unit_test(test_an_idle_class_gives_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
