/* test_policy_path: touches and commits of one prompt become one path, from the root on. */
#include "sidecar/block/policy_path.h"

#include "tests/unit/sidecar/block/policy_world.h"

#define SLOTS 64u

/* A world, and a path that is told of everything; the keys of the last whole path. */
struct world {
    struct policy_world of;
    struct policy_path path;
};

static void world_open(struct world *world, uint32_t shift)
{
    policy_world_open(&world->of, POLICY_LRU, SLOTS, SLOTS);
    policy_path_reset(&world->path, shift);
}

/* Returns whether it went on. */
static bool tell(struct world *world, uint32_t slot, bool came)
{
    const struct policy_node *nodes = world->of.memory.nodes;
    bool goes_on = policy_path_goes_on(&world->path, nodes, slot, came);
    if (!goes_on) {
        policy_path_begin(&world->path);
    }
    policy_path_add(&world->path, nodes, slot, 0, came);
    return goes_on;
}

static bool come(struct world *world, uint32_t slot, uint32_t parent)
{
    policy_insert(&world->of.policy, slot, slot, parent);
    return tell(world, slot, true);
}

static bool find(struct world *world, uint32_t slot)
{
    policy_touch(&world->of.policy, slot);
    return tell(world, slot, false);
}

static void expect(const struct world *world, const uint32_t *keys, uint32_t count, bool parent)
{
    struct policy_shadow_prompt prompt;
    assert_true(policy_path_take(&world->path, world->of.memory.nodes, &prompt));
    assert_int_equal(prompt.count, count);
    assert_int_equal(prompt.has_parent, parent);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(prompt.uses[i].key_hash, keys[i]);
    }
}

static void test_what_was_found_and_what_came_after_it_is_one_path(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, 0);
    assert_false(come(&world, 0, POLICY_NONE));
    assert_true(come(&world, 1, 0));
    assert_true(come(&world, 2, 1));
    expect(&world, (uint32_t[]){0, 1, 2}, 3, false);
    assert_false(find(&world, 2));
    assert_true(find(&world, 1));
    assert_true(find(&world, 0));
    assert_true(come(&world, 3, 2));
    assert_true(come(&world, 4, 3));
    expect(&world, (uint32_t[]){0, 1, 2, 3, 4}, 5, false);
    arena_close(&world.of.arena);
}

static void test_a_piece_names_what_lies_above_it(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, 0);
    for (uint32_t slot = 0; slot < 4; slot++) {
        come(&world, slot, slot == 0 ? POLICY_NONE : slot - 1);
    }
    /* Another worker's prompt comes between. */
    find(&world, 3);
    assert_true(find(&world, 2));
    expect(&world, (uint32_t[]){2, 3}, 2, true);
    assert_false(come(&world, 10, POLICY_NONE));
    expect(&world, (uint32_t[]){10}, 1, false);
    assert_false(find(&world, 1));
    assert_true(find(&world, 0));
    expect(&world, (uint32_t[]){0, 1}, 2, false);
    /* A second child of a block, and a commit after it to another: pieces of their own. */
    assert_false(come(&world, 5, 2));
    expect(&world, (uint32_t[]){5}, 1, true);
    arena_close(&world.of.arena);
}

static void test_a_block_that_left_its_slot_is_not_taken_for_the_next_one(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, 0);
    come(&world, 0, POLICY_NONE);
    come(&world, 1, 0);
    policy_remove(&world.of.policy, 1);
    policy_remove(&world.of.policy, 0);
    policy_insert(&world.of.policy, 1, 11, POLICY_NONE);
    policy_insert(&world.of.policy, 2, 12, 1);
    assert_false(tell(&world, 2, true));
    /* Behind a block that came and went at once: still the same prompt. */
    policy_insert(&world.of.policy, 3, 13, POLICY_MISSING);
    assert_true(tell(&world, 3, true));
    arena_close(&world.of.arena);
}

static void test_of_a_sample_the_order_stays(void **state)
{
    (void)state;
    struct world world;
    struct policy_shadow_prompt prompt;
    world_open(&world, 2);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        assert_int_equal(come(&world, slot, slot == 0 ? POLICY_NONE : slot - 1), slot > 0);
    }
    assert_true(policy_path_take(&world.path, world.of.memory.nodes, &prompt));
    assert_in_range(prompt.count, 1, SLOTS / 2);
    for (uint32_t i = 1; i < prompt.count; i++) {
        assert_true(prompt.uses[i].key_hash > prompt.uses[i - 1].key_hash);
    }
    /* Its last key, found alone, has the one before it above. */
    uint32_t last = prompt.uses[prompt.count - 1].key_hash;
    uint32_t above = prompt.uses[prompt.count - 2].key_hash;
    assert_false(find(&world, last));
    assert_true(policy_path_take(&world.path, world.of.memory.nodes, &prompt));
    assert_int_equal(prompt.count, 1);
    assert_true(prompt.has_parent);
    assert_int_equal(prompt.parent, above);
    arena_close(&world.of.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_found_and_what_came_after_it_is_one_path),
        cmocka_unit_test(test_a_piece_names_what_lies_above_it),
        cmocka_unit_test(test_a_block_that_left_its_slot_is_not_taken_for_the_next_one),
        cmocka_unit_test(test_of_a_sample_the_order_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
