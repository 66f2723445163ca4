/* test_policy: parents outlive their children, passing over is bounded, and nothing is lost. */
#include "tests/unit/sidecar/block/policy_world.h"

#define CHAIN 10000u

static void test_chain_from_the_root_goes_from_the_leaf(void **state)
{
    (void)state;
    struct policy_world world;
    policy_world_open(&world, POLICY_LRU, 8, 8);
    /* 0 <- 1 <- 2, and 3 alone, newer than all. */
    policy_insert(&world.policy, 0, 100, POLICY_NONE);
    policy_insert(&world.policy, 1, 101, 0);
    policy_insert(&world.policy, 2, 102, 1);
    policy_insert(&world.policy, 3, 103, POLICY_NONE);
    policy_world_evicts(&world, (uint32_t[]){2, 1, 0, 3}, 4);
    arena_close(&world.arena);
}

static void test_chain_comes_out_leaf_first_in_one_batch(void **state)
{
    (void)state;
    struct policy_world world;
    policy_world_open(&world, POLICY_ARC, CHAIN, CHAIN);
    for (uint32_t i = 0; i < CHAIN; i++) {
        policy_insert(&world.policy, i, i, i == 0 ? POLICY_NONE : i - 1);
    }
    /* One call passes over 4,096 blocks; the leaf lies behind 9,999. */
    uint32_t victims[64];
    assert_int_equal(policy_victims(&world.policy, 1, victims), 0);
    assert_int_equal(policy_victims(&world.policy, 1, victims), 0);
    assert_int_equal(policy_victims(&world.policy, 64, victims), 64);
    for (uint32_t i = 0; i < 64; i++) {
        assert_int_equal(victims[i], CHAIN - 1 - i);
    }
    arena_close(&world.arena);
}

static void test_kept_child_holds_its_parent(void **state)
{
    (void)state;
    struct policy_world world;
    uint32_t victims[2];
    policy_world_open(&world, POLICY_LRU, 4, 4);
    policy_insert(&world.policy, 0, 0, POLICY_NONE);
    policy_insert(&world.policy, 1, 1, 0);
    assert_int_equal(policy_victims(&world.policy, 2, victims), 2);
    assert_int_equal(victims[0], 1);
    policy_keep(&world.policy, 1);
    assert_int_equal(policy_children(&world.policy, victims[1]), 1);
    policy_keep(&world.policy, 0);
    policy_world_evicts(&world, (uint32_t[]){1, 0}, 2);
    arena_close(&world.arena);
}

static void test_new_block_in_a_parents_slot_is_not_the_parent(void **state)
{
    (void)state;
    struct policy_world world;
    policy_world_open(&world, POLICY_LRU, 4, 4);
    policy_insert(&world.policy, 0, 0, POLICY_NONE);
    policy_insert(&world.policy, 1, 1, 0);
    /* The parent goes by force, another block takes its slot, gets a child, loses it. */
    policy_choose(&world.policy, 0);
    policy_evicted(&world.policy, 0);
    policy_insert(&world.policy, 0, 50, POLICY_NONE);
    policy_insert(&world.policy, 2, 51, 0);
    assert_int_equal(policy_children(&world.policy, 0), 1);
    policy_remove(&world.policy, 1);
    assert_int_equal(policy_children(&world.policy, 0), 1);
    policy_world_evicts(&world, (uint32_t[]){2, 0}, 2);
    arena_close(&world.arena);
}

static void test_touched_while_parked_is_newest(void **state)
{
    (void)state;
    struct policy_world world;
    policy_world_open(&world, POLICY_LRU, 4, 4);
    policy_insert(&world.policy, 0, 0, POLICY_NONE);
    policy_insert(&world.policy, 1, 1, 0);
    policy_insert(&world.policy, 2, 2, POLICY_NONE);
    uint32_t victim;
    assert_int_equal(policy_victims(&world.policy, 1, &victim), 1);
    assert_int_equal(victim, 1);
    policy_keep(&world.policy, 1); /* 0 was parked on the way, and is parked again below */
    assert_int_equal(policy_victims(&world.policy, 1, &victim), 1);
    assert_int_equal(victim, 2);
    policy_evicted(&world.policy, 2);
    policy_touch(&world.policy, 1);
    policy_touch(&world.policy, 0);
    policy_insert(&world.policy, 3, 3, POLICY_NONE);
    policy_world_evicts(&world, (uint32_t[]){1, 0, 3}, 3);
    arena_close(&world.arena);
}

/* Random calls; a plain set says who is resident, and whose child is. */
static void test_random_calls_lose_nothing(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    enum { SLOTS = 64 };
    for (int kind = POLICY_LRU; kind <= POLICY_ARC; kind++) {
        struct policy_world world;
        uint32_t parent[SLOTS];
        bool resident[SLOTS] = {false};
        uint32_t count = 0;
        policy_world_open(&world, (enum policy_kind)kind, SLOTS, SLOTS);
        for (int step = 0; step < 100000; step++) {
            uint32_t slot = (uint32_t)(check_random(&seed) % SLOTS);
            uint32_t other = (uint32_t)(check_random(&seed) % SLOTS);
            if (!resident[slot]) {
                bool child = other != slot && resident[other];
                parent[slot] = child ? other : POLICY_NONE;
                policy_insert(&world.policy, slot, check_random(&seed) % 200, parent[slot]);
                resident[slot] = true;
                count++;
            } else if (check_random(&seed) % 3 > 0) {
                policy_touch(&world.policy, slot);
            } else {
                uint32_t victim;
                assert_int_equal(policy_victims(&world.policy, 1, &victim), 1);
                assert_true(resident[victim]);
                for (uint32_t i = 0; i < SLOTS; i++) {
                    assert_false(resident[i] && parent[i] == victim);
                }
                if (check_random(&seed) % 4 == 0) {
                    policy_keep(&world.policy, victim);
                } else {
                    policy_evicted(&world.policy, victim);
                    resident[victim] = false;
                    count--;
                }
            }
            assert_int_equal(world.policy.lists[0].count + world.policy.lists[1].count, count);
            assert_true(world.policy.ghosts[0].count + world.policy.ghosts[1].count <= SLOTS);
        }
        arena_close(&world.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain_from_the_root_goes_from_the_leaf),
        cmocka_unit_test(test_chain_comes_out_leaf_first_in_one_batch),
        cmocka_unit_test(test_kept_child_holds_its_parent),
        cmocka_unit_test(test_new_block_in_a_parents_slot_is_not_the_parent),
        cmocka_unit_test(test_touched_while_parked_is_newest),
        cmocka_unit_test(test_random_calls_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
