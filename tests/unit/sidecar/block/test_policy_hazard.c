/* test_policy_hazard: LRU's order without evidence; then what was seen, in both directions. */
#include "sidecar/block/policy_hazard.h"

#include "tests/check.h"

#include <math.h>

static struct policy_hazard hazard;
static struct policy_hazard_counts nobody;

static int open_hazard(void **state)
{
    (void)state;
    /* Each class for itself, as far as there are groups. */
    uint8_t groups[POLICY_HAZARD_CLASSES];
    for (uint32_t class = 0; class < POLICY_HAZARD_CLASSES; class ++) {
        groups[class] = (uint8_t)(class % POLICY_HAZARD_GROUPS);
    }
    policy_hazard_open(&hazard, groups);
    return 0;
}

static void test_worth_falls_with_age_while_nothing_is_known(void **state)
{
    (void)state;
    for (uint32_t class = 0; class < POLICY_HAZARD_CLASSES; class ++) {
        for (uint32_t age = 1; age < POLICY_HAZARD_AGES; age++) {
            float worth = hazard.worth.of[class][age];
            assert_true(worth > 0 && isfinite(worth));
            assert_true(worth <= hazard.worth.of[class][age - 1]);
            assert_true(worth <= hazard.worth.of[0][age] && worth >= hazard.worth.of[0][age]);
        }
    }
}

static void test_ages_are_in_order(void **state)
{
    (void)state;
    uint32_t before = 0;
    for (uint32_t bit = 0; bit < 32; bit++) {
        uint32_t time = UINT32_C(1) << bit;
        uint32_t age = policy_hazard_age(time);
        assert_true(age >= before && age < POLICY_HAZARD_AGES);
        assert_true(policy_hazard_age(time - 1) <= age);
        before = age;
    }
    assert_int_equal(policy_hazard_age(6), policy_hazard_age(7));
    assert_true(policy_hazard_age(5) < policy_hazard_age(6));
}

/* A reader in a loop, always seen after 100 uses of others; then others double their pace. */
static void test_worth_has_no_cliff_behind_the_age_of_all_uses(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        policy_hazard_used(&hazard, 1, 100);
        policy_hazard_unused(&hazard, 2, 100000);
    }
    policy_hazard_learn(&hazard, &nobody, 1);
    const float *loop = hazard.worth.of[1];
    assert_true(loop[policy_hazard_age(400)] > hazard.worth.of[2][policy_hazard_age(1)]);
    for (uint32_t age = 1; age < POLICY_HAZARD_AGES; age++) {
        assert_true(loop[age] >= loop[age - 1] / 10);
    }
}

static void test_a_class_that_is_used_more_is_worth_more(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        policy_hazard_used(&hazard, 1, 100);
        policy_hazard_unused(&hazard, 2, 100000);
        if (i % 10 == 0) {
            policy_hazard_used(&hazard, 2, 100);
        }
    }
    policy_hazard_learn(&hazard, &nobody, 1);
    assert_true(policy_hazard_worth(&hazard, 1, 10) > 2 * policy_hazard_worth(&hazard, 2, 10));
}

static void test_worth_rises_towards_the_age_at_which_blocks_come_back(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 10000; i++) {
        policy_hazard_used(&hazard, 1, 1000);
    }
    policy_hazard_learn(&hazard, &nobody, 1);
    assert_true(policy_hazard_worth(&hazard, 1, 800) > 2 * policy_hazard_worth(&hazard, 1, 8));
    /* Behind it nobody was seen to come. */
    assert_true(policy_hazard_worth(&hazard, 1, 4000) < policy_hazard_worth(&hazard, 1, 8));
}

static void test_those_alive_count_against(void **state)
{
    (void)state;
    static struct policy_hazard_counts alive;
    for (uint32_t i = 0; i < 100; i++) {
        policy_hazard_used(&hazard, 1, 100);
        policy_hazard_used(&hazard, 2, 100);
    }
    alive.of[2][policy_hazard_age(5000)] = 900;
    policy_hazard_learn(&hazard, &alive, 1);
    assert_true(policy_hazard_worth(&hazard, 1, 50) > 2 * policy_hazard_worth(&hazard, 2, 50));
}

static void test_a_new_class_takes_after_its_group(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        policy_hazard_used(&hazard, 1, 100);
        policy_hazard_unused(&hazard, 2, 100000);
    }
    policy_hazard_learn(&hazard, &nobody, 1);
    assert_true(policy_hazard_worth(&hazard, 1 + POLICY_HAZARD_GROUPS, 50) >
                2 * policy_hazard_worth(&hazard, 2 + POLICY_HAZARD_GROUPS, 50));
}

static void test_what_was_seen_fades(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        policy_hazard_used(&hazard, 1, 100);
    }
    policy_hazard_learn(&hazard, &nobody, 0.5f);
    float before = policy_hazard_worth(&hazard, 1, 50);
    for (uint32_t i = 0; i < 50; i++) {
        policy_hazard_learn(&hazard, &nobody, 0.5f);
    }
    assert_true(policy_hazard_worth(&hazard, 1, 50) < before / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_worth_falls_with_age_while_nothing_is_known, open_hazard),
        cmocka_unit_test(test_ages_are_in_order),
        cmocka_unit_test_setup(test_worth_has_no_cliff_behind_the_age_of_all_uses, open_hazard),
        cmocka_unit_test_setup(test_a_class_that_is_used_more_is_worth_more, open_hazard),
        cmocka_unit_test_setup(
            test_worth_rises_towards_the_age_at_which_blocks_come_back, open_hazard),
        cmocka_unit_test_setup(test_those_alive_count_against, open_hazard),
        cmocka_unit_test_setup(test_a_new_class_takes_after_its_group, open_hazard),
        cmocka_unit_test_setup(test_what_was_seen_fades, open_hazard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
