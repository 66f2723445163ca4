/* test_ghost: ghosts are found once, in their own list, and the oldest goes first. */
#include "sidecar/block/ghost.h"

#include "tests/check.h"

struct world {
    struct arena arena;
    struct ghosts ghosts;
    struct ghost_list lists[3];
};

static void open_world(struct world *world, uint32_t count)
{
    assert_int_equal(arena_open(ghost_arena_bytes(count), &world->arena), 0);
    ghost_open(&world->ghosts, count, &world->arena);
    for (int i = 0; i < 3; i++) {
        ghost_list_open(&world->lists[i]);
    }
}

static void test_found_once_in_its_list(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 8);
    assert_true(ghost_add(&world.ghosts, &world.lists[1], 77));
    /* Another policy's lists do not see it. */
    assert_int_equal(ghost_take(&world.ghosts, &world.lists[2], 1, 77), GHOST_NONE);
    assert_int_equal(ghost_take(&world.ghosts, world.lists, 2, 78), GHOST_NONE);
    assert_int_equal(ghost_take(&world.ghosts, world.lists, 2, 77), 1);
    assert_int_equal(ghost_take(&world.ghosts, world.lists, 2, 77), GHOST_NONE);
    assert_int_equal(world.lists[1].count, 0);
    arena_close(&world.arena);
}

static void test_full_table_says_so_and_oldest_goes(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(ghost_add(&world.ghosts, &world.lists[0], i));
    }
    assert_false(ghost_add(&world.ghosts, &world.lists[0], 3));
    ghost_drop_oldest(&world.ghosts, &world.lists[0]);
    assert_int_equal(ghost_take(&world.ghosts, world.lists, 1, 0), GHOST_NONE);
    assert_int_equal(ghost_take(&world.ghosts, world.lists, 1, 1), 0);
    assert_int_equal(world.lists[0].count, 1);
    arena_close(&world.arena);
}

static void test_colliding_keys_cost_bounded_looks(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 64);
    /* All in one bucket: a client chose them. */
    for (uint32_t i = 0; i < 64; i++) {
        assert_true(ghost_add(&world.ghosts, &world.lists[0], i << 16));
    }
    assert_int_equal(ghost_take(&world.ghosts, world.lists, 1, 63u << 16), 0);
    assert_int_equal(ghost_take(&world.ghosts, world.lists, 1, 0), GHOST_NONE);
    while (world.lists[0].count > 0) {
        ghost_drop_oldest(&world.ghosts, &world.lists[0]);
    }
    arena_close(&world.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_once_in_its_list),
        cmocka_unit_test(test_full_table_says_so_and_oldest_goes),
        cmocka_unit_test(test_colliding_keys_cost_bounded_looks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
