/* test_policy_shadow: hits what a real cache would, leaf first; no keys can slow it down. */
#include "sidecar/block/policy_shadow.h"

#include "tests/unit/sidecar/block/policy_world.h"

#define MOST 64u
#define CHAINS 24u
#define CHAIN 12u
#define REQUESTS 4000u

struct shadow_world {
    struct arena arena;
    struct policy_shadow shadow;
    struct policy_weights weights;
    struct policy_hazard hazard;
    uint32_t now;
};

static void shadow_world_open(struct shadow_world *world)
{
    uint8_t groups[POLICY_HAZARD_CLASSES] = {0};
    world->now = 0;
    world->weights = (struct policy_weights){.compute = 1, .fetch = 1};
    policy_hazard_open(&world->hazard, groups);
    assert_int_equal(arena_open(policy_shadow_arena_bytes(MOST), &world->arena), 0);
    policy_shadow_open(&world->shadow, MOST, &world->arena);
    policy_shadow_reset(&world->shadow, 0);
}

/* A prompt of `count` keys, by recency. */
static uint32_t ask(struct shadow_world *world, const uint32_t *keys, uint32_t count)
{
    struct policy_shadow_use uses[CHAIN];
    /* Deepest first, as touches come. */
    for (uint32_t i = count; i-- > 0;) {
        uses[i] = (struct policy_shadow_use){.key_hash = keys[i], .stamp = world->now++};
    }
    policy_shadow_cut(&world->shadow, world->now);
    struct policy_shadow_prompt prompt = {.uses = uses, .count = count};
    struct policy_plan_view view = {
        .hazard = &world->hazard, .weights = &world->weights, .recency = true};
    return policy_shadow_request(&world->shadow, &view, &prompt, world->now);
}

static void test_hits_are_counted_in_one_piece_and_leaves_go_first(void **state)
{
    (void)state;
    struct shadow_world world;
    shadow_world_open(&world);
    world.shadow.capacity = 4;
    assert_int_equal(ask(&world, (uint32_t[]){1, 2, 3}, 3), 0);
    assert_int_equal(ask(&world, (uint32_t[]){1, 2, 3}, 3), 3);
    /* Two more: 3 goes, the leaf, and not 1, which is as old. */
    assert_int_equal(ask(&world, (uint32_t[]){8, 9}, 2), 0);
    assert_int_equal(ask(&world, (uint32_t[]){1, 2, 3}, 3), 2);
    assert_int_equal(world.shadow.count, 4);
    arena_close(&world.arena);
}

static void test_a_block_with_one_child_left_is_no_leaf(void **state)
{
    (void)state;
    struct shadow_world world;
    shadow_world_open(&world);
    world.shadow.capacity = 3;
    ask(&world, (uint32_t[]){1, 2}, 2);
    ask(&world, (uint32_t[]){1, 3}, 2);
    /* Newer than its parent: a touch of another worker came late. */
    assert_int_equal(ask(&world, (uint32_t[]){3}, 1), 1);
    /* 2 goes, then 3; 1, which is older than 3, must wait for it. */
    ask(&world, (uint32_t[]){8}, 1);
    ask(&world, (uint32_t[]){9}, 1);
    assert_int_equal(ask(&world, (uint32_t[]){1, 3}, 2), 1);
    arena_close(&world.arena);
}

/* The hits of LRU, by the plainest of lists. */
struct plain {
    uint32_t keys[MOST + CHAIN];
    uint32_t count;
};

static bool plain_has(const struct plain *plain, uint32_t key)
{
    for (uint32_t i = 0; i < plain->count; i++) {
        if (plain->keys[i] == key) {
            return true;
        }
    }
    return false;
}

/* Newest first. */
static void plain_use(struct plain *plain, uint32_t key)
{
    uint32_t at = 0;
    while (at < plain->count && plain->keys[at] != key) {
        at++;
    }
    plain->count += at == plain->count ? 1 : 0;
    for (; at > 0; at--) {
        plain->keys[at] = plain->keys[at - 1];
    }
    plain->keys[0] = key;
}

static void test_recency_hits_what_a_plain_list_hits(void **state)
{
    (void)state;
    struct shadow_world world;
    struct plain plain = {.count = 0};
    uint64_t random = 20261124;
    uint32_t hits = 0;
    uint32_t plain_hits = 0;
    print_message("seed %llu\n", (unsigned long long)random);
    shadow_world_open(&world);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        /* Some chains are asked for much more often than others. */
        uint32_t chain = (uint32_t)(check_random(&random) % CHAINS);
        chain = chain % (1 + (uint32_t)(check_random(&random) % CHAINS));
        uint32_t count = 1 + (uint32_t)(check_random(&random) % CHAIN);
        uint32_t keys[CHAIN];
        for (uint32_t j = 0; j < count; j++) {
            keys[j] = chain * CHAIN + j + 1;
        }
        hits += ask(&world, keys, count);
        for (uint32_t run = 0; run < count && plain_has(&plain, keys[run]); run++) {
            plain_hits++;
        }
        for (uint32_t j = count; j-- > 0;) {
            plain_use(&plain, keys[j]);
        }
        plain.count = plain.count < MOST ? plain.count : MOST;
    }
    print_message("%u hits, a plain list %u\n", hits, plain_hits);
    assert_true(plain_hits > REQUESTS);
    /* Within a segment of the shelf, a block that lost its last child goes before others. */
    assert_in_range(hits, plain_hits - plain_hits / 100, plain_hits + plain_hits / 100);
    arena_close(&world.arena);
}

static void test_keys_that_fall_together_are_refused(void **state)
{
    (void)state;
    struct shadow_world world;
    shadow_world_open(&world);
    for (uint32_t i = 0; i < MOST; i++) {
        uint32_t key = i * MOST + 7;
        assert_int_equal(ask(&world, &key, 1), 0);
    }
    assert_int_equal(world.shadow.count, 32);
    arena_close(&world.arena);
}

static void test_a_smaller_capacity_is_reached_step_by_step(void **state)
{
    (void)state;
    struct shadow_world world;
    shadow_world_open(&world);
    uint32_t key = 0;
    for (; key < 40; key++) {
        ask(&world, &key, 1);
    }
    world.shadow.capacity = 8;
    for (; key < 80; key++) {
        ask(&world, &key, 1);
    }
    assert_int_equal(world.shadow.count, 8);
    arena_close(&world.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hits_are_counted_in_one_piece_and_leaves_go_first),
        cmocka_unit_test(test_a_block_with_one_child_left_is_no_leaf),
        cmocka_unit_test(test_recency_hits_what_a_plain_list_hits),
        cmocka_unit_test(test_keys_that_fall_together_are_refused),
        cmocka_unit_test(test_a_smaller_capacity_is_reached_step_by_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
