/* test_policy_plan: least worth first, the older of equals, before all what nobody can reach. */
#include "sidecar/block/policy_plan.h"

#include "sidecar/block/policy_adaptive.h"
#include "tests/unit/sidecar/block/policy_world.h"

#define SLOTS 2048u

static uint32_t plan_of(
    const struct policy_world *world, bool recency, struct policy_plan_step *plan)
{
    const struct policy_adaptive *own = world->policy.adaptive;
    const struct policy_plan_view view = {.hazard = &own->hazard,
        .depths = own->depths,
        .weights = &world->memory.weights,
        .recency = recency};
    uint64_t now = world->memory.used >> world->memory.time_shift;
    return policy_plan_make(&own->shelf, &view, (uint32_t)now, plan);
}

static uint32_t oldest_of(const struct policy_world *world, const struct policy_plan_step *step)
{
    return world->policy.adaptive->shelf.ends[step->row][step->column].oldest;
}

static void test_steps_rise_in_worth_and_start_with_the_oldest(void **state)
{
    (void)state;
    struct policy_world world;
    struct policy_plan_step plan[POLICY_PLAN_STEPS];
    /* Too few for it to learn anything; a segment for each, at first. */
    policy_world_open(&world, POLICY_ADAPTIVE, 64, 32);
    for (uint32_t slot = 0; slot < 60; slot++) {
        policy_insert(&world.policy, slot, slot, POLICY_NONE);
    }
    uint32_t count = plan_of(&world, false, plan);
    assert_in_range(count, 8, POLICY_PLAN_STEPS);
    assert_int_equal(oldest_of(&world, &plan[0]), 0);
    for (uint32_t i = 1; i < count; i++) {
        assert_true(plan[i].worth >= plan[i - 1].worth);
        assert_true(oldest_of(&world, &plan[i]) > oldest_of(&world, &plan[i - 1]));
    }
    arena_close(&world.arena);
}

static void test_classes_and_costs_are_steps_of_their_own(void **state)
{
    (void)state;
    struct policy_world world;
    struct policy_plan_step plan[POLICY_PLAN_STEPS];
    policy_world_open(&world, POLICY_ADAPTIVE, 8, 8);
    policy_insert(&world.policy, 0, 0, POLICY_NONE);
    policy_insert(&world.policy, 1, 1, POLICY_NONE);
    policy_insert(&world.policy, 2, 2, POLICY_MISSING);
    policy_cost(&world.policy, 1, POLICY_FETCH);
    assert_int_equal(plan_of(&world, false, plan), 3);
    assert_int_equal(oldest_of(&world, &plan[0]), 2);
    assert_true(plan[0].worth < 0);
    assert_int_equal(oldest_of(&world, &plan[1]), 1);
    assert_int_equal(oldest_of(&world, &plan[2]), 0);
    arena_close(&world.arena);
}

static void test_depth_raises_the_worth_of_what_is_computed(void **state)
{
    (void)state;
    struct policy_world world;
    struct policy_plan_step flat[POLICY_PLAN_STEPS];
    struct policy_plan_step deep[POLICY_PLAN_STEPS];
    policy_world_open(&world, POLICY_ADAPTIVE, SLOTS, SLOTS);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        policy_insert(&world.policy, slot, slot, slot == 0 ? POLICY_NONE : slot - 1);
    }
    assert_int_equal(plan_of(&world, false, flat), 1);
    policy_weigh(&world.memory, (struct policy_weights){.compute = 1, .fetch = 1, .deeper = 100});
    assert_int_equal(plan_of(&world, false, deep), 1);
    assert_true(deep[0].worth > 2 * flat[0].worth);
    arena_close(&world.arena);
}

static void test_by_recency_the_oldest_goes_first_whatever_was_learned(void **state)
{
    (void)state;
    struct policy_world world;
    struct policy_plan_step plan[POLICY_PLAN_STEPS];
    policy_world_open(&world, POLICY_ADAPTIVE, 8, 8);
    policy_insert(&world.policy, 0, 0, POLICY_NONE);
    policy_insert(&world.policy, 1, 1, POLICY_NONE);
    policy_touch(&world.policy, 0);
    /* As if blocks used twice were never used again, and those used once always. */
    struct policy_hazard *hazard = &world.policy.adaptive->hazard;
    for (uint32_t age = 0; age < POLICY_HAZARD_AGES; age++) {
        for (uint32_t class = 0; class < POLICY_HAZARD_CLASSES; class ++) {
            hazard->worth.of[class][age] = class == 0 ? 1 : 0;
        }
    }
    assert_int_equal(plan_of(&world, false, plan), 2);
    assert_int_equal(oldest_of(&world, &plan[0]), 0);
    assert_int_equal(plan_of(&world, true, plan), 2);
    assert_int_equal(oldest_of(&world, &plan[0]), 1);
    /* Costs count all the same: what can be fetched is as good as four times as old. */
    policy_touch(&world.policy, 1);
    policy_touch(&world.policy, 0);
    policy_cost(&world.policy, 0, POLICY_FETCH);
    assert_int_equal(plan_of(&world, true, plan), 2);
    assert_int_equal(oldest_of(&world, &plan[0]), 0);
    arena_close(&world.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_rise_in_worth_and_start_with_the_oldest),
        cmocka_unit_test(test_classes_and_costs_are_steps_of_their_own),
        cmocka_unit_test(test_depth_raises_the_worth_of_what_is_computed),
        cmocka_unit_test(test_by_recency_the_oldest_goes_first_whatever_was_learned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
