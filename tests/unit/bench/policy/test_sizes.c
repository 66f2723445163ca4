/* test_sizes: blocks and percents are read; anything else is refused. */
#include "bench/policy/sizes.h"

#include "tests/check.h"

static void blocks_and_percents_are_read(void **state)
{
    (void)state;
    struct sizes sizes;
    assert_true(sizes_parse("1%,0.5%,2000", &sizes));
    assert_int_equal(sizes.count, 3);
    assert_string_equal(sizes.items[1].text, "0.5%");
    assert_int_equal(sizes_blocks(&sizes.items[0], 182790), 1827);
    assert_int_equal(sizes_blocks(&sizes.items[1], 182790), 913);
    assert_int_equal(sizes_blocks(&sizes.items[2], 182790), 2000);
    assert_int_equal(sizes_blocks(&sizes.items[0], 3), 1);
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "0", "-1", "1%,", ",1", "101%", "1%%", "x", "nan",
        "inf", "1 %", "1e30", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"};
    for (size_t i = 0; i < CHECK_COUNT(wrong); i++) {
        struct sizes sizes;
        assert_false(sizes_parse(wrong[i], &sizes));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_and_percents_are_read),
        cmocka_unit_test(anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
