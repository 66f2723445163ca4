/* test_policy_adaptive: LRU at first, then what it learned; costs; what nobody can reach. */
#include "tests/unit/sidecar/block/policy_world.h"

#define SLOTS 64u
#define HOT 16u
#define EVENTS 40000u

/* A cache over keys: where each key is, and who is in each slot. */
struct cache {
    struct policy_world world;
    uint32_t key_of[SLOTS];
    uint32_t *slot_of;
    uint32_t used;
    uint32_t hits;
};

static void cache_open(struct cache *cache, enum policy_kind kind, uint32_t keys)
{
    *cache = (struct cache){.slot_of = malloc(keys * sizeof(uint32_t))};
    assert_non_null(cache->slot_of);
    for (uint32_t key = 0; key < keys; key++) {
        cache->slot_of[key] = POLICY_NONE;
    }
    policy_world_open(&cache->world, kind, SLOTS, SLOTS);
}

static void cache_close(struct cache *cache)
{
    free(cache->slot_of);
    arena_close(&cache->world.arena);
}

static void cache_use(struct cache *cache, uint32_t key)
{
    struct policy *policy = &cache->world.policy;
    if (cache->slot_of[key] != POLICY_NONE) {
        cache->hits++;
        policy_touch(policy, cache->slot_of[key]);
        return;
    }
    uint32_t slot = cache->used;
    if (cache->used < SLOTS) {
        cache->used++;
    } else {
        assert_int_equal(policy_victims(policy, 1, &slot), 1);
        policy_evicted(policy, slot);
        cache->slot_of[cache->key_of[slot]] = POLICY_NONE;
    }
    uint64_t hash = key;
    policy_insert(policy, slot, check_random(&hash), POLICY_NONE);
    cache->slot_of[key] = slot;
    cache->key_of[slot] = key;
}

/* A few keys come again and again, with more between two uses than the cache holds. */
static uint32_t scan_hits(enum policy_kind kind)
{
    struct cache cache;
    cache_open(&cache, kind, EVENTS + HOT);
    for (uint32_t i = 0; i < EVENTS; i++) {
        cache_use(&cache, i % 6 == 0 ? i / 6 % HOT : HOT + i);
    }
    cache_close(&cache);
    return cache.hits;
}

static void test_what_comes_again_is_kept_from_a_scan(void **state)
{
    (void)state;
    /* Sixteen keys, one use of them in six: 96 uses apart, in 64 slots. */
    assert_int_equal(scan_hits(POLICY_LRU), 0);
    uint32_t hits = scan_hits(POLICY_ADAPTIVE);
    print_message("%u hits of %u\n", hits, EVENTS / 6);
    assert_true(hits > EVENTS / 6 * 9 / 10);
}

static void test_a_loop_too_long_is_kept_in_part(void **state)
{
    (void)state;
    struct cache cache;
    cache_open(&cache, POLICY_ADAPTIVE, 2 * SLOTS);
    for (uint32_t i = 0; i < EVENTS; i++) {
        cache_use(&cache, i % (2 * SLOTS));
    }
    print_message("%u hits of %u\n", cache.hits, EVENTS);
    /* LRU hits nothing here, the optimum just under a half. */
    assert_true(cache.hits > EVENTS / 4);
    cache_close(&cache);
}

static void test_order_is_lru_while_nothing_is_known(void **state)
{
    (void)state;
    struct policy_world world;
    policy_world_open(&world, POLICY_ADAPTIVE, 16, 16);
    for (uint32_t slot = 0; slot < 16; slot++) {
        policy_insert(&world.policy, slot, slot, POLICY_NONE);
    }
    policy_touch(&world.policy, 3);
    policy_touch(&world.policy, 0);
    policy_world_evicts(&world, (uint32_t[]){1, 2, 4, 5, 6, 7}, 6);
    arena_close(&world.arena);
}

static void test_what_nobody_can_reach_goes_first(void **state)
{
    (void)state;
    struct policy_world world;
    policy_world_open(&world, POLICY_ADAPTIVE, 8, 8);
    policy_insert(&world.policy, 0, 0, POLICY_NONE);
    policy_insert(&world.policy, 1, 1, POLICY_MISSING);
    policy_insert(&world.policy, 2, 2, 1);
    policy_insert(&world.policy, 3, 3, POLICY_MISSING);
    policy_insert(&world.policy, 4, 4, POLICY_NONE);
    /* Somebody reached it all the same. */
    policy_touch(&world.policy, 3);
    policy_world_evicts(&world, (uint32_t[]){2, 1, 0}, 3);
    arena_close(&world.arena);
}

static void test_a_block_that_can_be_fetched_goes_before_one_to_compute(void **state)
{
    (void)state;
    struct policy_world world;
    policy_world_open(&world, POLICY_ADAPTIVE, 8, 8);
    for (uint32_t slot = 0; slot < 4; slot++) {
        policy_insert(&world.policy, slot, slot, POLICY_NONE);
    }
    policy_cost(&world.policy, 1, POLICY_FETCH);
    policy_cost(&world.policy, 2, POLICY_FETCH);
    policy_cost(&world.policy, 2, POLICY_COMPUTE);
    policy_world_evicts(&world, (uint32_t[]){1, 0}, 2);
    /* A slot's next block has no copy below. */
    policy_insert(&world.policy, 1, 100, POLICY_NONE);
    policy_world_evicts(&world, (uint32_t[]){2, 3, 1}, 3);
    arena_close(&world.arena);
}

static void test_with_equal_weights_only_reuse_counts(void **state)
{
    (void)state;
    struct policy_world world;
    policy_world_open(&world, POLICY_ADAPTIVE, 8, 8);
    policy_weigh(&world.memory, (struct policy_weights){.compute = 1, .fetch = 1});
    for (uint32_t slot = 0; slot < 4; slot++) {
        policy_insert(&world.policy, slot, slot, POLICY_NONE);
    }
    policy_cost(&world.policy, 2, POLICY_FETCH);
    policy_world_evicts(&world, (uint32_t[]){0, 1, 2, 3}, 4);
    arena_close(&world.arena);
}

static void test_draining_takes_any_block(void **state)
{
    (void)state;
    struct policy_world world;
    policy_world_open(&world, POLICY_ADAPTIVE, 8, 8);
    policy_insert(&world.policy, 0, 0, POLICY_NONE);
    policy_insert(&world.policy, 1, 1, 0);
    policy_insert(&world.policy, 2, 2, 1);
    policy_resize(&world.policy, 2);
    policy_choose(&world.policy, 0);
    policy_evicted(&world.policy, 0);
    policy_choose(&world.policy, 2);
    policy_keep(&world.policy, 2);
    policy_remove(&world.policy, 1);
    policy_world_evicts(&world, (uint32_t[]){2}, 1);
    policy_resize(&world.policy, 0);
    uint32_t victim;
    assert_int_equal(policy_victims(&world.policy, 1, &victim), 0);
    arena_close(&world.arena);
}

static void test_policies_of_one_memory_do_not_mix(void **state)
{
    (void)state;
    struct policy_world world;
    struct policy other;
    policy_world_open(&world, POLICY_ADAPTIVE, 8, 4);
    policy_open(&other, &world.memory);
    policy_resize(&other, 4);
    policy_insert(&world.policy, 0, 0, POLICY_NONE);
    policy_insert(&other, 1, 1, POLICY_NONE);
    uint32_t victims[2];
    assert_int_equal(policy_victims(&other, 2, victims), 1);
    assert_int_equal(victims[0], 1);
    assert_int_equal(policy_victims(&world.policy, 2, victims), 1);
    assert_int_equal(victims[0], 0);
    arena_close(&world.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_comes_again_is_kept_from_a_scan),
        cmocka_unit_test(test_a_loop_too_long_is_kept_in_part),
        cmocka_unit_test(test_order_is_lru_while_nothing_is_known),
        cmocka_unit_test(test_what_nobody_can_reach_goes_first),
        cmocka_unit_test(test_a_block_that_can_be_fetched_goes_before_one_to_compute),
        cmocka_unit_test(test_with_equal_weights_only_reuse_counts),
        cmocka_unit_test(test_draining_takes_any_block),
        cmocka_unit_test(test_policies_of_one_memory_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
