/* test_stats: percentiles are samples by nearest rank, whatever the order they came in. */
#include "bench/stats.h"

#include "tests/check.h"

static void percentiles_are_by_nearest_rank(void **state)
{
    (void)state;
    struct stats stats;
    assert_true(stats_open(&stats, 100));
    for (int i = 0; i < 100; i++) {
        stats_add(&stats, (double)((i * 37) % 100 + 1)); /* 1 to 100, shuffled */
    }
    assert_int_equal((int)stats_percentile(&stats, 0), 1);
    assert_int_equal((int)stats_percentile(&stats, 1), 1);
    assert_int_equal((int)stats_median(&stats), 50);
    assert_int_equal((int)stats_percentile(&stats, 99), 99);
    assert_int_equal((int)stats_percentile(&stats, 99.9), 100);
    assert_int_equal((int)stats_max(&stats), 100);
    assert_int_equal((int)(stats_mean(&stats) * 10), 505);
    stats_close(&stats);
}

static void a_later_sample_is_sorted_in(void **state)
{
    (void)state;
    struct stats stats;
    assert_true(stats_open(&stats, 3));
    stats_add(&stats, 5);
    stats_add(&stats, 9);
    assert_int_equal((int)stats_min(&stats), 5);
    stats_add(&stats, 1);
    assert_int_equal((int)stats_min(&stats), 1);
    assert_int_equal((int)stats_median(&stats), 5);
    stats_close(&stats);
}

static void a_full_set_counts_what_it_drops(void **state)
{
    (void)state;
    struct stats stats;
    assert_true(stats_open(&stats, 2));
    for (int i = 0; i < 5; i++) {
        stats_add(&stats, i);
    }
    assert_int_equal(stats.count, 2);
    assert_int_equal(stats.dropped, 3);
    stats_close(&stats);
}

static void an_empty_set_answers_zero(void **state)
{
    (void)state;
    struct stats stats = {0};
    assert_int_equal((int)stats_median(&stats), 0);
    assert_int_equal((int)stats_mean(&stats), 0);
}

/* Two columns of the same rounds are still of the same rounds afterwards. */
static void a_median_of_a_few_leaves_them_in_order(void **state)
{
    (void)state;
    double samples[] = {5, 1, 4, 2, 3};
    const double before[] = {5, 1, 4, 2, 3};
    assert_int_equal((int)stats_median_of(samples, 5), 3);
    assert_memory_equal(samples, before, sizeof before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_by_nearest_rank),
        cmocka_unit_test(a_median_of_a_few_leaves_them_in_order),
        cmocka_unit_test(a_later_sample_is_sorted_in),
        cmocka_unit_test(a_full_set_counts_what_it_drops),
        cmocka_unit_test(an_empty_set_answers_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
