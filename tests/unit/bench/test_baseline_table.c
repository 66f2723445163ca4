/* test_baseline_table: finds what was added, nothing else, and stops at its room. */
#include "bench/baseline_table.h"

#include "bench/content.h"
#include "tests/check.h"

#define KEYS 1000u

static void added_keys_are_found_and_others_are_not(void **state)
{
    (void)state;
    struct baseline_table table;
    assert_true(baseline_table_open(&table, KEYS));
    for (uint64_t i = 0; i < KEYS; i++) {
        struct cistern_key key = content_key(1, i);
        assert_int_equal(baseline_table_add(&table, &key, i), i);
    }
    for (uint64_t i = 0; i < KEYS; i++) {
        struct cistern_key key = content_key(1, i);
        struct cistern_key other = content_key(2, i);
        assert_int_equal(baseline_table_find(&table, &key), i);
        assert_true(baseline_table_find(&table, &other) == BASELINE_TABLE_NONE);
    }
    baseline_table_close(&table);
}

static void the_first_value_stays(void **state)
{
    (void)state;
    struct baseline_table table;
    struct cistern_key key = content_key(1, 1);
    assert_true(baseline_table_open(&table, 4));
    assert_int_equal(baseline_table_add(&table, &key, 7), 7);
    assert_int_equal(baseline_table_add(&table, &key, 8), 7);
    assert_int_equal(table.count, 1);
    baseline_table_close(&table);
}

static void a_full_table_refuses(void **state)
{
    (void)state;
    struct baseline_table table;
    assert_true(baseline_table_open(&table, 2));
    for (uint64_t i = 0; i < 3; i++) {
        struct cistern_key key = content_key(1, i);
        assert_true(baseline_table_add(&table, &key, i) == (i < 2 ? i : BASELINE_TABLE_NONE));
    }
    assert_int_equal(table.count, 2);
    baseline_table_close(&table);
}

static void keys_of_one_place_are_kept_apart(void **state)
{
    (void)state;
    struct baseline_table table;
    assert_true(baseline_table_open(&table, 4));
    struct cistern_key one = content_key(1, 1);
    struct cistern_key two = one;
    two.bytes[31] ^= 1; /* the same first eight bytes, hence the same place */
    assert_int_equal(baseline_table_add(&table, &one, 1), 1);
    assert_int_equal(baseline_table_add(&table, &two, 2), 2);
    assert_int_equal(baseline_table_find(&table, &one), 1);
    assert_int_equal(baseline_table_find(&table, &two), 2);
    baseline_table_close(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(added_keys_are_found_and_others_are_not),
        cmocka_unit_test(the_first_value_stays),
        cmocka_unit_test(a_full_table_refuses),
        cmocka_unit_test(keys_of_one_place_are_kept_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
