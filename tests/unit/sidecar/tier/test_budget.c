/* The budget of a day: what may be written, on a clock of the test's own. */
#include "sidecar/tier/budget.h"

#include "tests/check.h"

#define DAY_NS (UINT64_C(86400) * 1000000000u)
#define HOUR_NS (DAY_NS / 24)
#define A_DAY UINT64_C(24000000)
#define BLOCK 1000

/* Write as much as is allowed, every `step_ns`. */
static uint64_t write_all(struct budget *budget, uint64_t from_ns, uint64_t to_ns, uint64_t step_ns)
{
    uint64_t written = 0;
    for (uint64_t now = from_ns; now <= to_ns; now += step_ns) {
        while (budget_allows(budget, now)) {
            budget_take(budget, BLOCK);
            written += BLOCK;
        }
    }
    return written;
}

static void test_a_day_gives_its_share_and_no_more(void **state)
{
    struct budget budget;
    (void)state;
    for (uint64_t step = HOUR_NS / 3600; step <= HOUR_NS; step *= 60) {
        budget_init(&budget, A_DAY, 5);
        uint64_t written = write_all(&budget, 5, 5 + DAY_NS, step);
        assert_in_range(written, A_DAY - A_DAY / 100, A_DAY + A_DAY / 1440 + BLOCK);
    }
}

static void test_an_idle_day_saves_one_hour(void **state)
{
    struct budget budget;
    (void)state;
    budget_init(&budget, A_DAY, 0);
    (void)write_all(&budget, 0, 0, 1);
    uint64_t written = write_all(&budget, DAY_NS, DAY_NS, 1);
    assert_in_range(written, A_DAY / 24, A_DAY / 24 + BLOCK);
}

static void test_a_new_one_gives_a_minute(void **state)
{
    struct budget budget;
    (void)state;
    budget_init(&budget, A_DAY, 7);
    assert_in_range(write_all(&budget, 7, 7, 1), A_DAY / 1440, A_DAY / 1440 + BLOCK);
}

static void test_without_a_bound_all_is_allowed(void **state)
{
    struct budget budget;
    (void)state;
    budget_init(&budget, 0, 0);
    budget_take(&budget, INT64_MAX / 2);
    assert_true(budget_allows(&budget, 1));
}

static void test_small_and_huge_budgets_and_gaps(void **state)
{
    struct budget budget;
    (void)state;
    budget_init(&budget, 24, 0); /* a byte an hour */
    assert_false(budget_allows(&budget, HOUR_NS / 2));
    assert_true(budget_allows(&budget, HOUR_NS));
    budget_init(&budget, UINT64_MAX, 0);
    assert_true(budget_allows(&budget, UINT64_MAX));
    budget_take(&budget, -1000); /* what was promised and not written */
    assert_true(budget_allows(&budget, 0)); /* a clock that stands */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_day_gives_its_share_and_no_more),
        cmocka_unit_test(test_an_idle_day_saves_one_hour),
        cmocka_unit_test(test_a_new_one_gives_a_minute),
        cmocka_unit_test(test_without_a_bound_all_is_allowed),
        cmocka_unit_test(test_small_and_huge_budgets_and_gaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
