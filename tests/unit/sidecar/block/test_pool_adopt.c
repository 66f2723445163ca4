/* pool: the extents of a former server take the places that they had. */
#include "tests/check.h"

#include "tests/unit/sidecar/block/heir.h"

/* After it, the pool gives out exactly the slots that are free, each once. */
static void take_all(struct heir *heir, uint32_t class, uint32_t expected)
{
    struct blocks *blocks = heir_blocks(heir);
    uint32_t taken = 0;
    uint32_t slot;
    uint64_t generation;
    while (pool_take(blocks, class, SLOT_RESERVED, &slot, &generation) == STATUS_OK) {
        taken++; /* slot_reserve() asserts that each was free */
    }
    assert_int_equal(taken, expected);
}

static void test_slots_in_use_stay_and_the_others_are_free(void **state)
{
    (void)state;
    struct heir heir;
    struct adopt_found found;
    uint32_t slots[24];
    uint64_t generation;
    heir_open(&heir, 3, 8, POLICY_LRU);
    uint32_t class = fixture_class(&heir.fixture, 4096);
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(
            pool_take(heir_blocks(&heir), class, SLOT_RESERVED, &slots[i], &generation), STATUS_OK);
    }
    for (uint32_t i = 0; i < 20; i += 3) {
        pool_give(heir_blocks(&heir), slots[i]); /* holes in the middle of extents */
    }
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    assert_int_equal(found.lent.count, 13);
    heir_check(&heir);
    take_all(&heir, class, 24 - 13);
    heir_close(&heir);
}

static void test_an_empty_extent_may_go_to_any_class(void **state)
{
    (void)state;
    struct heir heir;
    struct adopt_found found;
    uint32_t slot;
    uint64_t generation;
    heir_open(&heir, 2, 8, POLICY_LRU);
    uint32_t small = fixture_class(&heir.fixture, 4096);
    uint32_t large = fixture_class(&heir.fixture, 4 * 4096);
    assert_int_equal(
        pool_take(heir_blocks(&heir), small, SLOT_RESERVED, &slot, &generation), STATUS_OK);
    pool_give(heir_blocks(&heir), slot);
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    heir_check(&heir);
    take_all(&heir, large, 4);
    heir_close(&heir);
}

static void test_classes_of_two_sizes_keep_their_extents(void **state)
{
    (void)state;
    struct heir heir;
    struct adopt_found found;
    heir_open(&heir, 4, 8, POLICY_LRU);
    uint32_t small = fixture_class(&heir.fixture, 4096);
    uint32_t large = fixture_class(&heir.fixture, 3 * 4096);
    uint32_t first = fixture_commit(&heir.fixture, small, 1, NULL);
    uint32_t second = fixture_commit(&heir.fixture, large, 2, NULL);
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    assert_int_equal(found.blocks, 2);
    assert_int_equal(fixture_find(&heir.fixture, 1), first);
    assert_int_equal(fixture_find(&heir.fixture, 2), second);
    assert_int_equal(pool_class_of(&heir_blocks(&heir)->pool, first), small);
    assert_int_equal(pool_class_of(&heir_blocks(&heir)->pool, second), large);
    heir_check(&heir);
    heir_close(&heir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_in_use_stay_and_the_others_are_free),
        cmocka_unit_test(test_an_empty_extent_may_go_to_any_class),
        cmocka_unit_test(test_classes_of_two_sizes_keep_their_extents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
