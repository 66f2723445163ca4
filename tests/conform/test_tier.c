/* test_tier: every promise of the seam, on one backend after another.
 *
 * usage: test_tier [PART [CASE]]: only backends whose name has PART, only cases whose name has
 * CASE.
 */
#include "tests/conform/cases.h"
#include "tests/conform/conform.h"

#include <string.h>

static const struct {
    const char *name;
    void (*run)(void **state);
} cases[] = {
    {"comes back", cases_store_comes_back},
    {"twice", cases_store_twice},
    {"other namespace", cases_store_other_namespace},
    {"miss", cases_store_miss},
    {"drop", cases_store_drop},
    {"room", cases_store_room},
    {"parts", cases_store_parts},
    {"many", cases_store_many},
    {"small polls", cases_store_small_polls},
    {"health", cases_store_health},
    {"describe", cases_store_describe},
    {"capacity", cases_life_capacity},
    {"reopen", cases_life_reopen},
    {"close under way", cases_life_close_under_way},
    {"second opener", cases_life_second_opener},
    {"late", cases_life_late},
    {"urgent", cases_life_urgent},
    {"corrupt", cases_life_corrupt},
    {"torn", cases_life_torn},
    {"spoiled while closed", cases_life_spoiled_while_closed},
    {"other key", cases_life_other_key},
};

#define CASES CHECK_COUNT(cases)

/* Returns how many cases failed. */
static int run_backend(const struct conform_backend *backend)
{
    struct CMUnitTest tests[CASES];
    char names[CASES][128];
    for (size_t i = 0; i < CASES; i++) {
        (void)snprintf(names[i], sizeof names[i], "%s: %s", backend->name, cases[i].name);
        tests[i] = (struct CMUnitTest){.name = names[i],
            .test_func = cases[i].run,
            .setup_func = conform_setup,
            .teardown_func = conform_teardown,
            .initial_state = (void *)(uintptr_t)backend};
    }
    return cmocka_run_group_tests_name(backend->name, tests, NULL, NULL);
}

static int run_backends(const struct conform_backend *backends, uint32_t count, const char *part)
{
    int failed = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (part == NULL || strstr(backends[i].name, part) != NULL) {
            failed += run_backend(&backends[i]);
        }
    }
    return failed;
}

int main(int argc, char **argv)
{
    const char *part = argc > 1 ? argv[1] : NULL;
    char pattern[128];
    if (argc > 2) {
        (void)snprintf(pattern, sizeof pattern, "*: *%s*", argv[2]);
        cmocka_set_test_filter(pattern);
    }
    int failed = run_backends(conform_file, conform_file_count, part);
    failed += run_backends(conform_nvme, conform_nvme_count, part);
    return failed == 0 ? 0 : 1;
}
