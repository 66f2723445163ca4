/* test_policy: parents outlive their children, passing over is bounded, and nothing is lost. */
#include "tests/unit/sidecar/block/policy_world.h"

#define CHAIN 10000u

static void test_chain_from_the_root_goes_from_the_leaf(void **state)
{
    (void)state;
    struct policy_world world;
    for (int kind = POLICY_LRU; kind <= POLICY_ADAPTIVE; kind++) {
        policy_world_open(&world, (enum policy_kind)kind, 8, 8);
        /* 0 <- 1 <- 2, and 3 alone, newer than all. */
        policy_insert(&world.policy, 0, 100, POLICY_NONE);
        policy_insert(&world.policy, 1, 101, 0);
        policy_insert(&world.policy, 2, 102, 1);
        policy_insert(&world.policy, 3, 103, POLICY_NONE);
        policy_world_evicts(&world, (uint32_t[]){2, 1, 0, 3}, 4);
        arena_close(&world.arena);
    }
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
    for (int kind = POLICY_LRU; kind <= POLICY_ADAPTIVE; kind++) {
        policy_world_open(&world, (enum policy_kind)kind, 4, 4);
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
}

static void test_new_block_in_a_parents_slot_is_not_the_parent(void **state)
{
    (void)state;
    struct policy_world world;
    for (int kind = POLICY_LRU; kind <= POLICY_ADAPTIVE; kind++) {
        policy_world_open(&world, (enum policy_kind)kind, 4, 4);
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

static void test_what_is_coming_comes_and_nothing_moves(void **state)
{
    (void)state;
    for (int kind = POLICY_LRU; kind <= POLICY_ADAPTIVE; kind++) {
        struct policy_world world;
        uint32_t coming[8];
        uint32_t again[8];
        uint32_t victims[8];
        policy_world_open(&world, (enum policy_kind)kind, 16, 16);
        assert_int_equal(policy_coming(&world.policy, 8, coming), 0);
        /* Two prompts of 4 blocks, the first one touched since: the second goes first. */
        for (uint32_t slot = 0; slot < 8; slot++) {
            policy_insert(&world.policy, slot, slot, slot % 4 == 0 ? POLICY_NONE : slot - 1);
        }
        for (uint32_t slot = 4; slot-- > 0;) {
            policy_touch(&world.policy, slot);
        }
        uint32_t count = policy_coming(&world.policy, 8, coming);
        assert_true(count > 0);
        assert_int_equal(coming[0], 7);
        assert_int_equal(policy_coming(&world.policy, 8, again), count);
        assert_memory_equal(coming, again, count * sizeof coming[0]);
        assert_int_equal(policy_coming(&world.policy, 1, again), 1);
        assert_int_equal(policy_victims(&world.policy, 8, victims), 8);
        assert_int_equal(victims[0], 7);
        arena_close(&world.arena);
    }
}

/* Once their parents were passed over, whole chains are seen coming. */
static void test_parents_come_behind_their_last_child(void **state)
{
    (void)state;
    for (int kind = POLICY_LRU; kind <= POLICY_ADAPTIVE; kind++) {
        struct policy_world world;
        uint32_t coming[4];
        uint32_t victims[4];
        policy_world_open(&world, (enum policy_kind)kind, 16, 16);
        for (uint32_t slot = 0; slot < 5; slot++) {
            policy_insert(&world.policy, slot, slot, slot == 0 ? POLICY_NONE : slot - 1);
        }
        assert_int_equal(policy_victims(&world.policy, 1, victims), 1);
        policy_evicted(&world.policy, victims[0]);
        assert_int_equal(policy_coming(&world.policy, 4, coming), 4);
        assert_int_equal(policy_victims(&world.policy, 4, victims), 4);
        assert_memory_equal(coming, victims, sizeof coming);
        arena_close(&world.arena);
    }
}

static void test_a_parent_that_was_used_is_not_coming_behind_its_child(void **state)
{
    (void)state;
    struct policy_world world;
    uint32_t coming[3];
    policy_world_open(&world, POLICY_LRU, 4, 4);
    policy_insert(&world.policy, 0, 0, POLICY_NONE);
    policy_insert(&world.policy, 1, 1, 0);
    policy_insert(&world.policy, 2, 2, POLICY_NONE);
    policy_touch(&world.policy, 0);
    assert_true(policy_coming(&world.policy, 3, coming) >= 2);
    assert_int_equal(coming[0], 1);
    assert_int_equal(coming[1], 2);
    policy_world_evicts(&world, (uint32_t[]){1, 2, 0}, 3);
    arena_close(&world.arena);
}

static void test_second_use_is_known(void **state)
{
    (void)state;
    for (int kind = POLICY_LRU; kind <= POLICY_ADAPTIVE; kind++) {
        struct policy_world world;
        uint32_t victim;
        policy_world_open(&world, (enum policy_kind)kind, 4, 4);
        policy_insert(&world.policy, 0, 100, POLICY_NONE);
        assert_false(policy_reused(&world.policy, 0));
        policy_touch(&world.policy, 0);
        assert_true(policy_reused(&world.policy, 0));
        assert_int_equal(policy_victims(&world.policy, 1, &victim), 1);
        policy_evicted(&world.policy, victim);
        policy_insert(&world.policy, 1, 101, POLICY_NONE);
        assert_false(policy_reused(&world.policy, 1));
        /* LRU keeps no ghosts. */
        policy_insert(&world.policy, 0, 100, POLICY_NONE);
        assert_int_equal(policy_reused(&world.policy, 0), kind != POLICY_LRU);
        arena_close(&world.arena);
    }
}

/* Random calls; a plain set says who is resident, and whose child is. */
static void test_random_calls_lose_nothing(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    enum { SLOTS = 64 };
    for (int kind = POLICY_LRU; kind <= POLICY_ADAPTIVE; kind++) {
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
                policy_cost(&world.policy, other,
                    check_random(&seed) % 2 == 0 ? POLICY_FETCH : POLICY_COMPUTE);
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
            if (kind != POLICY_ADAPTIVE) {
                assert_int_equal(world.policy.lists[0].count + world.policy.lists[1].count, count);
                assert_true(world.policy.ghosts[0].count + world.policy.ghosts[1].count <= SLOTS);
            }
        }
        /* Nobody is forgotten: all of them come out, children first. */
        for (; count > 0; count--) {
            uint32_t victim;
            assert_int_equal(policy_victims(&world.policy, 1, &victim), 1);
            assert_true(resident[victim]);
            resident[victim] = false;
            policy_evicted(&world.policy, victim);
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
        cmocka_unit_test(test_what_is_coming_comes_and_nothing_moves),
        cmocka_unit_test(test_parents_come_behind_their_last_child),
        cmocka_unit_test(test_a_parent_that_was_used_is_not_coming_behind_its_child),
        cmocka_unit_test(test_second_use_is_known),
        cmocka_unit_test(test_random_calls_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
