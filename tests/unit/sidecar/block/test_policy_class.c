/* test_policy_class: blocks used once by turn, others by how often and how long apart. */
#include "sidecar/block/policy_class.h"

#include "sidecar/block/policy_adaptive.h"
#include "tests/check.h"

static uint32_t of(uint8_t uses, uint8_t turn, uint64_t gap)
{
    struct policy_node node = {.uses = uses, .turn = turn};
    return policy_class_of(&node, gap);
}

static void test_blocks_used_once_differ_by_turn_alone(void **state)
{
    (void)state;
    assert_int_equal(of(1, 0, 0), of(1, 0, 1 << 20));
    assert_true(of(1, 0, 0) != of(1, 1, 0));
    assert_int_equal(of(1, 4, 0), of(1, 200, 0));
    assert_true(of(1, 200, 0) < of(2, 0, 0));
}

static void test_blocks_used_again_differ_by_uses_and_gap(void **state)
{
    (void)state;
    assert_int_equal(of(2, 0, 0), of(2, 3, 511));
    assert_true(of(2, 0, 1 << 10) != of(2, 0, 1 << 8));
    assert_true(of(2, 0, 0) != of(3, 0, 0));
    assert_int_equal(of(4, 0, 0), of(7, 0, 0));
    assert_int_equal(of(8, 0, 0), of(255, 0, 0));
    assert_true(of(255, 0, UINT64_MAX) < POLICY_UNREACHABLE);
}

static void test_a_group_is_used_as_often(void **state)
{
    (void)state;
    uint8_t groups[POLICY_HAZARD_CLASSES];
    policy_class_groups(groups);
    assert_int_equal(groups[of(1, 0, 0)], groups[of(1, 9, 0)]);
    assert_int_equal(groups[of(3, 0, 0)], groups[of(3, 0, 1 << 20)]);
    assert_true(groups[of(2, 0, 0)] != groups[of(3, 0, 0)]);
    for (uint32_t class = 0; class < POLICY_HAZARD_CLASSES; class ++) {
        assert_in_range(groups[class], 0, POLICY_HAZARD_GROUPS - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_used_once_differ_by_turn_alone),
        cmocka_unit_test(test_blocks_used_again_differ_by_uses_and_gap),
        cmocka_unit_test(test_a_group_is_used_as_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
