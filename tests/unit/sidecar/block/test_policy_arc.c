/* test_policy_arc: a scan does not push out what is used again, and ghosts move the target. */
#include "tests/unit/sidecar/block/policy_world.h"

static void test_a_scan_leaves_the_used_blocks(void **state)
{
    (void)state;
    struct policy_world world;
    policy_world_open(&world, POLICY_ARC, 4, 4);
    policy_insert(&world.policy, 0, 0, POLICY_NONE);
    policy_insert(&world.policy, 1, 1, POLICY_NONE);
    policy_touch(&world.policy, 0);
    policy_touch(&world.policy, 1);
    policy_insert(&world.policy, 2, 2, POLICY_NONE);
    policy_insert(&world.policy, 3, 3, POLICY_NONE);
    /* LRU would give 0 here. */
    policy_world_evicts(&world, (uint32_t[]){2, 3}, 2);
    for (uint64_t key = 10; key < 20; key++) {
        policy_insert(&world.policy, 2, key, POLICY_NONE);
        policy_world_evicts(&world, (uint32_t[]){2}, 1);
    }
    policy_world_evicts(&world, (uint32_t[]){0, 1}, 2);
    arena_close(&world.arena);
}

static void test_what_just_came_is_not_the_next_to_go(void **state)
{
    (void)state;
    struct policy_world world;
    policy_world_open(&world, POLICY_ARC, 16, 16);
    for (uint32_t slot = 0; slot < 14; slot++) {
        policy_insert(&world.policy, slot, slot, POLICY_NONE);
        policy_touch(&world.policy, slot);
    }
    policy_insert(&world.policy, 14, 14, POLICY_NONE);
    policy_insert(&world.policy, 15, 15, POLICY_NONE);
    assert_int_equal(world.policy.target, 0);
    /* Two blocks used once are an eighth of sixteen: older ones go, though they were used again. */
    policy_world_evicts(&world, (uint32_t[]){0, 1}, 2);
    /* A third is more than that: now the oldest of the three. */
    policy_insert(&world.policy, 0, 100, POLICY_NONE);
    policy_world_evicts(&world, (uint32_t[]){14, 2}, 2);
    arena_close(&world.arena);
}

static void test_ghosts_move_the_target(void **state)
{
    (void)state;
    struct policy_world world;
    policy_world_open(&world, POLICY_ARC, 4, 4);
    for (uint32_t slot = 0; slot < 4; slot++) {
        policy_insert(&world.policy, slot, slot, POLICY_NONE);
    }
    policy_touch(&world.policy, 3);
    policy_world_evicts(&world, (uint32_t[]){0}, 1);
    assert_int_equal(world.policy.ghosts[0].count, 1);
    assert_int_equal(world.policy.target, 0);
    /* Key 0 again: it should have stayed, so blocks used once get more room. And used twice. */
    policy_insert(&world.policy, 0, 0, POLICY_NONE);
    assert_int_equal(world.policy.target, 1);
    assert_int_equal(world.policy.ghosts[0].count, 0);
    assert_int_equal(world.policy.lists[1].count, 2);
    /* Slots 1 and 2 are in the first list, above its target; then only one of them is left. */
    policy_world_evicts(&world, (uint32_t[]){1, 3}, 2);
    assert_int_equal(world.policy.ghosts[1].count, 1);
    /* Key 3 again: blocks used again should have more. */
    policy_insert(&world.policy, 3, 3, POLICY_NONE);
    assert_int_equal(world.policy.target, 0);
    policy_world_evicts(&world, (uint32_t[]){2, 0, 3}, 3);
    arena_close(&world.arena);
}

static void test_a_smaller_class_forgets_ghosts(void **state)
{
    (void)state;
    struct policy_world world;
    policy_world_open(&world, POLICY_ARC, 8, 8);
    for (uint32_t slot = 0; slot < 8; slot++) {
        policy_insert(&world.policy, slot, slot, POLICY_NONE);
    }
    policy_world_evicts(&world, (uint32_t[]){0, 1, 2, 3, 4, 5}, 6);
    assert_int_equal(world.policy.ghosts[0].count, 6);
    policy_resize(&world.policy, 4);
    assert_int_equal(world.policy.ghosts[0].count, 2);
    /* The newest ghosts are the ones kept. */
    policy_insert(&world.policy, 5, 5, POLICY_NONE);
    assert_int_equal(world.policy.lists[1].count, 1);
    policy_resize(&world.policy, 0);
    assert_int_equal(world.policy.ghosts[0].count, 0);
    assert_int_equal(world.policy.target, 0);
    arena_close(&world.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_scan_leaves_the_used_blocks),
        cmocka_unit_test(test_what_just_came_is_not_the_next_to_go),
        cmocka_unit_test(test_ghosts_move_the_target),
        cmocka_unit_test(test_a_smaller_class_forgets_ghosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
