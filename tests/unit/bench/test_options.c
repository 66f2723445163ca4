/* test_options: sizes and options are understood, or refused with a reason. */
#include "bench/options.h"

#include "tests/check.h"

static bool parse(int count, const char *const words[], struct options *out_options)
{
    char *argv[8];
    bool help;
    for (int i = 0; i < count; i++) {
        argv[i] = (char *)(uintptr_t)words[i];
    }
    argv[count] = NULL;
    return options_parse(count, argv, out_options, &help);
}

static void sizes_have_units(void **state)
{
    (void)state;
    uint64_t bytes;
    assert_true(options_parse_size("4096", &bytes) && bytes == 4096);
    assert_true(options_parse_size("64KiB", &bytes) && bytes == 65536);
    assert_true(options_parse_size("2G", &bytes) && bytes == UINT64_C(2) << 30);
    assert_false(options_parse_size("", &bytes));
    assert_false(options_parse_size("KiB", &bytes));
    assert_false(options_parse_size("-1", &bytes));
    assert_false(options_parse_size("4kb", &bytes));
    assert_false(options_parse_size("99999999999GiB", &bytes));
}

static void options_are_read(void **state)
{
    (void)state;
    struct options options;
    const char *words[] = {"bench", "hit", "--entries=5", "--cpu-server", "none"};
    assert_true(parse(5, words, &options));
    assert_int_equal(options.scenario, SCENARIO_HIT);
    assert_int_equal(options.entries, 5);
    assert_int_equal(options.cpu_server, OPTIONS_CPU_NONE);
    assert_int_equal(options.cpu_client, OPTIONS_CPU_AUTO);
}

static void policy_takes_traces_without_an_option(void **state)
{
    (void)state;
    struct options options;
    const char *words[] = {"bench", "policy", "a.jsonl", "--sizes", "1%", "b"};
    const char *elsewhere[] = {"bench", "hit", "a.jsonl"};
    assert_true(parse(6, words, &options));
    assert_int_equal(options.trace_count, 2);
    assert_string_equal(options.traces[1], "b");
    assert_string_equal(options.sizes, "1%");
    assert_false(parse(3, elsewhere, &options));
}

static void what_would_do_nothing_is_refused(void **state)
{
    (void)state;
    struct options options;
    const char *elsewhere[] = {"bench", "hit", "--trace", "x"};
    const char *unknown[] = {"bench", "reuse", "--fast", "1"};
    const char *bare[] = {"bench", "hit", "--entries"};
    const char *zero[] = {"bench", "hit", "--entries", "0"};
    const char *negative[] = {"bench", "reuse", "--speedup", "-1"};
    const char *scenario[] = {"bench", "hits"};
    assert_false(parse(4, elsewhere, &options));
    assert_false(parse(4, unknown, &options));
    assert_false(parse(3, bare, &options));
    assert_false(parse(4, zero, &options));
    assert_false(parse(4, negative, &options));
    assert_false(parse(2, scenario, &options));
    assert_false(parse(1, scenario, &options));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_have_units),
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(policy_takes_traces_without_an_option),
        cmocka_unit_test(what_would_do_nothing_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
