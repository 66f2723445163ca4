/* test_counter: every counter has a name of its own, and a word of its own. */
#include "shm/counter.h"

#include "tests/check.h"

#include <string.h>

static void test_names_are_unique_and_explained(void **state)
{
    (void)state;
    for (int i = 0; i < COUNTER_COUNT; i++) {
        const char *name = counter_name((enum counter)i);
        assert_true(name[0] != '\0');
        assert_true(counter_unit((enum counter)i)[0] != '\0');
        assert_true(strlen(counter_what((enum counter)i)) > 3);
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(name, counter_name((enum counter)j));
        }
    }
    assert_string_equal(counter_name(COUNTER_commits), "commits");
    assert_string_equal(counter_unit(COUNTER_bytes_committed), "bytes");
}

static void test_each_counter_has_its_word(void **state)
{
    (void)state;
    _Atomic uint64_t words[COUNTER_ROOM] = {0};
    for (int i = 0; i < COUNTER_COUNT; i++) {
        counter_set(words, (enum counter)i, 1000u * (unsigned)i);
        counter_add(words, (enum counter)i, 7);
        counter_add(words, (enum counter)i, UINT64_C(1) << 40);
    }
    for (int i = 0; i < COUNTER_COUNT; i++) {
        uint64_t expected = 1000u * (unsigned)i + 7 + (UINT64_C(1) << 40);
        assert_int_equal(counter_get(words, (enum counter)i), expected);
    }
    for (int i = COUNTER_COUNT; i < COUNTER_ROOM; i++) {
        assert_int_equal(shared64_load_relaxed(&words[i]), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_unique_and_explained),
        cmocka_unit_test(test_each_counter_has_its_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
