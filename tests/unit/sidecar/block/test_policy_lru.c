/* test_policy_lru: a small trace, every eviction written out. */
#include "tests/unit/sidecar/block/policy_world.h"

static void test_least_recently_used_first(void **state)
{
    (void)state;
    struct policy_world world;
    policy_world_open(&world, POLICY_LRU, 4, 4);
    for (uint32_t slot = 0; slot < 4; slot++) {
        policy_insert(&world.policy, slot, slot, POLICY_NONE);
    }
    policy_touch(&world.policy, 0);
    policy_touch(&world.policy, 2);
    policy_touch(&world.policy, 2);
    policy_world_evicts(&world, (uint32_t[]){1, 3}, 2);
    policy_insert(&world.policy, 1, 10, POLICY_NONE);
    policy_world_evicts(&world, (uint32_t[]){0, 2, 1}, 3);
    uint32_t victim;
    assert_int_equal(policy_victims(&world.policy, 1, &victim), 0);
    /* A slot that holds nothing is not touched into life. */
    policy_touch(&world.policy, 1);
    assert_int_equal(policy_victims(&world.policy, 1, &victim), 0);
    arena_close(&world.arena);
}

static void test_two_requests_touched_deepest_first(void **state)
{
    (void)state;
    struct policy_world world;
    policy_world_open(&world, POLICY_LRU, 8, 8);
    /* Request a: root 0, then 1, 2. Request b shares the root, then 3, 4. */
    policy_insert(&world.policy, 2, 2, POLICY_NONE);
    policy_insert(&world.policy, 1, 1, POLICY_NONE);
    policy_insert(&world.policy, 0, 0, POLICY_NONE);
    policy_insert(&world.policy, 4, 4, POLICY_NONE);
    policy_insert(&world.policy, 3, 3, 0);
    policy_touch(&world.policy, 0);
    policy_world_evicts(&world, (uint32_t[]){2, 1, 4, 3, 0}, 5);
    arena_close(&world.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_least_recently_used_first),
        cmocka_unit_test(test_two_requests_touched_deepest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
