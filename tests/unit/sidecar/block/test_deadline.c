/* test_deadline: the earliest comes first, whatever was set, changed and dropped before. */
#include "sidecar/block/deadline.h"

#include "tests/check.h"

#define NUMBERS 100u
#define STEPS 20000

static void test_like_a_plain_search(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    struct arena arena;
    struct deadlines deadlines;
    uint64_t plain[NUMBERS];
    assert_int_equal(arena_open(deadline_arena_bytes(NUMBERS), &arena), 0);
    deadline_open(&deadlines, NUMBERS, &arena);
    for (uint32_t i = 0; i < NUMBERS; i++) {
        plain[i] = UINT64_MAX;
    }
    for (int step = 0; step < STEPS; step++) {
        uint32_t number = (uint32_t)(check_random(&seed) % NUMBERS);
        if (check_random(&seed) % 2 == 0) {
            plain[number] = check_random(&seed) % 1000;
            deadline_set(&deadlines, number, plain[number]);
        } else {
            plain[number] = UINT64_MAX;
            deadline_drop(&deadlines, number);
        }
        uint64_t earliest = UINT64_MAX;
        for (uint32_t i = 0; i < NUMBERS; i++) {
            earliest = plain[i] < earliest ? plain[i] : earliest;
        }
        uint64_t at_ns;
        uint32_t first = deadline_first(&deadlines, &at_ns);
        assert_int_equal(at_ns, earliest);
        if (first != DEADLINE_NONE) {
            assert_int_equal(plain[first], earliest);
        }
    }
    arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_like_a_plain_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
