/* test_status: each number is in the group that its meaning belongs to, named and explained. */
#include "shm/status.h"

#include "tests/check.h"

#include <string.h>

struct row {
    const char *name;
    int number;
};

static const struct row rows[] = {
#define STATUS(name, number, meaning, advice) {"CISTERN_" #name, number},
#include "shm/status.def"
#undef STATUS
};

static void test_every_status_is_named_and_explained(void **state)
{
    (void)state;
    for (size_t i = 0; i < CHECK_COUNT(rows); i++) {
        assert_string_equal(status_name(rows[i].number), rows[i].name);
        assert_true(strlen(status_meaning(rows[i].number)) > 3);
        assert_true(strlen(status_advice(rows[i].number)) > 3);
        for (size_t j = 0; j < i; j++) {
            assert_true(rows[i].number != rows[j].number);
        }
    }
}

static void test_numbers_lie_in_a_group(void **state)
{
    (void)state;
    for (size_t i = 0; i < CHECK_COUNT(rows); i++) {
        assert_true(rows[i].number >= -499 && rows[i].number < 100);
    }
    /* One of each group, as the style names them. */
    assert_int_equal(STATUS_OK, 0);
    assert_true(STATUS_MISS > 0);
    assert_true(STATUS_INVALID <= -1 && STATUS_INVALID >= -99);
    assert_true(STATUS_BUSY <= -100 && STATUS_BUSY >= -199);
    assert_true(STATUS_NO_SERVER <= -200 && STATUS_NO_SERVER >= -299);
    assert_true(STATUS_VERSION <= -300 && STATUS_VERSION >= -399);
    assert_true(STATUS_IO <= -400 && STATUS_IO >= -499);
}

static void test_unknown_numbers_are_answered(void **state)
{
    (void)state;
    const int numbers[] = {99, -99, -12345, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < CHECK_COUNT(numbers); i++) {
        assert_string_equal(status_name(numbers[i]), "unknown status");
        assert_non_null(status_meaning(numbers[i]));
        assert_non_null(status_advice(numbers[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_status_is_named_and_explained),
        cmocka_unit_test(test_numbers_lie_in_a_group),
        cmocka_unit_test(test_unknown_numbers_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
