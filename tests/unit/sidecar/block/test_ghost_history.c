/* test_ghost_history: what was added is known once; who was used longest ago makes room. */
#include "sidecar/block/ghost_history.h"

#include "tests/check.h"

static void test_known_once(void **state)
{
    (void)state;
    struct arena arena;
    struct ghost_history history;
    struct ghost_past past;
    assert_int_equal(arena_open(ghost_history_arena_bytes(4), &arena), 0);
    ghost_history_open(&history, 4, &arena);
    assert_false(ghost_history_take(&history, 0, &past));
    ghost_history_add(&history, 0x80000007, (struct ghost_past){.used_at = 9, .uses = 3}, 10);
    assert_false(ghost_history_take(&history, 0x80000008, &past));
    assert_true(ghost_history_take(&history, 0x80000007, &past));
    assert_int_equal(past.used_at, 9);
    assert_int_equal(past.uses, 3);
    assert_false(ghost_history_take(&history, 0x80000007, &past));
    arena_close(&arena);
}

static void test_added_again_it_is_what_was_added_last(void **state)
{
    (void)state;
    struct arena arena;
    struct ghost_history history;
    struct ghost_past past;
    assert_int_equal(arena_open(ghost_history_arena_bytes(1), &arena), 0);
    ghost_history_open(&history, 1, &arena);
    ghost_history_add(&history, 5, (struct ghost_past){.used_at = 1, .uses = 1}, 2);
    ghost_history_add(&history, 5, (struct ghost_past){.used_at = 3, .uses = 2}, 4);
    assert_true(ghost_history_take(&history, 5, &past));
    assert_int_equal(past.uses, 2);
    assert_false(ghost_history_take(&history, 5, &past));
    arena_close(&arena);
}

static void test_who_was_used_longest_ago_makes_room(void **state)
{
    (void)state;
    struct arena arena;
    struct ghost_history history;
    struct ghost_past past;
    assert_int_equal(arena_open(ghost_history_arena_bytes(1), &arena), 0);
    ghost_history_open(&history, 1, &arena);
    /* Time wraps between the third and the fourth. */
    for (uint32_t i = 0; i <= GHOST_HISTORY_WAYS; i++) {
        uint32_t used_at = UINT32_MAX - 2 + (i * 5) % (GHOST_HISTORY_WAYS + 1);
        ghost_history_add(&history, i, (struct ghost_past){.used_at = used_at, .uses = 1}, 1000);
    }
    assert_false(ghost_history_take(&history, 0, &past));
    for (uint32_t i = 1; i <= GHOST_HISTORY_WAYS; i++) {
        assert_true(ghost_history_take(&history, i, &past));
    }
    arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_once),
        cmocka_unit_test(test_added_again_it_is_what_was_added_last),
        cmocka_unit_test(test_who_was_used_longest_ago_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
