/* test_arena: arrays of an arena are zero, aligned, and do not overlap. */
#include "sidecar/block/arena.h"

#include "tests/check.h"

#include <string.h>

static void test_arrays_are_zero_aligned_and_apart(void **state)
{
    (void)state;
    struct arena arena;
    assert_int_equal(arena_open(arena_bytes(3, 5) + arena_bytes(7, 8), &arena), 0);
    unsigned char *first = arena_take(&arena, 3, 5);
    unsigned char *second = arena_take(&arena, 7, 8);
    assert_int_equal((uintptr_t)first % ARENA_ALIGN, 0);
    assert_int_equal((uintptr_t)second % ARENA_ALIGN, 0);
    memset(first, 0xff, 15);
    for (int i = 0; i < 56; i++) {
        assert_int_equal(second[i], 0);
    }
    arena_close(&arena);
    assert_null(arena.base);
    arena_close(&arena);
    arena_close(NULL);
}

static void test_too_much_is_a_status(void **state)
{
    (void)state;
    struct arena arena = {.used = 5};
    assert_int_not_equal(arena_open(UINT64_C(1) << 62, &arena), 0);
    assert_int_equal(arena.used, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrays_are_zero_aligned_and_apart),
        cmocka_unit_test(test_too_much_is_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
