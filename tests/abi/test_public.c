/* test_public: what a program that was compiled earlier knows of cistern.h: sizes, offsets, values.
 *
 * A row changes only with the major version. New fields come last, in a struct that begins with its
 * own size; then the row of the size changes, and no other.
 */
#include "tests/check.h"

#include <assert.h>
#include <cistern.h>
#include <string.h>

struct row {
    const char *what;
    size_t value;
    size_t golden;
};

#define SIZE(name) "size of " #name, sizeof(struct name)
#define AT(name, field) #name "." #field, offsetof(struct name, field)

/* For pointers of 8 bytes. */
static_assert(sizeof(void *) == 8, "the golden values are those of a 64-bit host");

static const struct row rows[] = {
    {SIZE(cistern_key), 32},
    {AT(cistern_key, bytes), 0},
    {SIZE(cistern_namespace), 128},
    {AT(cistern_namespace, size), 0},
    {AT(cistern_namespace, block_tokens), 4},
    {AT(cistern_namespace, block_bytes), 8},
    {AT(cistern_namespace, name), 16},
    {AT(cistern_namespace, model), 24},
    {AT(cistern_namespace, dtype), 32},
    {AT(cistern_namespace, layout), 40},
    {AT(cistern_namespace, rope), 48},
    {AT(cistern_namespace, lora), 56},
    {AT(cistern_namespace, engine), 64},
    {AT(cistern_namespace, tenant), 72},
    {AT(cistern_namespace, layers), 80},
    {AT(cistern_namespace, heads), 84},
    {AT(cistern_namespace, head_size), 88},
    {AT(cistern_namespace, tp_rank), 92},
    {AT(cistern_namespace, tp_size), 96},
    {AT(cistern_namespace, pp_rank), 100},
    {AT(cistern_namespace, pp_size), 104},
    {AT(cistern_namespace, reserved), 108},
    {AT(cistern_namespace, secret), 112},
    {AT(cistern_namespace, secret_bytes), 120},
    {SIZE(cistern_options), 56},
    {AT(cistern_options, size), 0},
    {AT(cistern_options, flags), 4},
    {AT(cistern_options, space), 8},
    {AT(cistern_options, socket_path), 16},
    {AT(cistern_options, threads_max), 24},
    {AT(cistern_options, pins_per_thread), 28},
    {AT(cistern_options, grants_ahead), 32},
    {AT(cistern_options, reserved), 36},
    {AT(cistern_options, timeout_ns), 40},
    {AT(cistern_options, device), 48},
    {SIZE(cistern_view), 40},
    {AT(cistern_view, data), 0},
    {AT(cistern_view, bytes), 8},
    {AT(cistern_view, tier), 16},
    {AT(cistern_view, opaque), 20},
    {SIZE(cistern_slot), 40},
    {AT(cistern_slot, data), 0},
    {AT(cistern_slot, bytes), 8},
    {AT(cistern_slot, opaque), 16},
    {SIZE(cistern_match), 16},
    {AT(cistern_match, size), 0},
    {AT(cistern_match, hot), 4},
    {AT(cistern_match, cold), 8},
    {AT(cistern_match, reserved), 12},
    {SIZE(cistern_event), 16},
    {AT(cistern_event, cookie), 0},
    {AT(cistern_event, status), 8},
    {AT(cistern_event, hot), 12},
    {SIZE(cistern_stats), 96},
    {AT(cistern_stats, size), 0},
    {AT(cistern_stats, attached), 4},
    {AT(cistern_stats, hits), 8},
    {AT(cistern_stats, misses), 16},
    {AT(cistern_stats, retries), 24},
    {AT(cistern_stats, violations), 32},
    {AT(cistern_stats, checksum_failures), 40},
    {AT(cistern_stats, commits), 48},
    {AT(cistern_stats, aborts), 56},
    {AT(cistern_stats, grant_waits), 64},
    {AT(cistern_stats, bells), 72},
    {AT(cistern_stats, reattaches), 80},
    {AT(cistern_stats, pins_per_thread), 88},
    {AT(cistern_stats, device), 92},
};

static void every_public_struct_is_laid_out_as_released(void **state)
{
    (void)state;
    for (size_t i = 0; i < CHECK_COUNT(rows); i++) {
        if (rows[i].value != rows[i].golden) {
            fail_msg("%s: %zu, was %zu", rows[i].what, rows[i].value, rows[i].golden);
        }
    }
}

static void every_public_constant_has_its_released_value(void **state)
{
    (void)state;
    assert_int_equal(CISTERN_ISOLATED, 1);
    assert_int_equal(CISTERN_LATE_WRITES, 2);
    assert_int_equal(CISTERN_CHECKSUM, 4);
    assert_int_equal(CISTERN_DEVICE_READ, 8);
    assert_int_equal(CISTERN_TIER_HOST, 0);
    assert_int_equal(CISTERN_TIER_DEVICE, 1);
}

/* The numbers as released, each row for good; status.def and cistern.h both repeat them. */
struct status_row {
    const char *name;
    int public;
    int golden;
};

#define RELEASED(name) #name, CISTERN_##name

static const struct status_row released[] = {
    {RELEASED(OK), 0},
    {RELEASED(MISS), 1},
    {RELEASED(PENDING), 2},
    {RELEASED(MINE), 3},
    {RELEASED(OTHER), 4},
    {RELEASED(INVALID), -1},
    {RELEASED(NAMESPACE), -2},
    {RELEASED(STALE), -3},
    {RELEASED(FORKED), -4},
    {RELEASED(TOO_LARGE), -5},
    {RELEASED(DENIED), -6},
    {RELEASED(BUSY), -100},
    {RELEASED(PINS), -101},
    {RELEASED(THREADS), -102},
    {RELEASED(LIMIT), -103},
    {RELEASED(NO_SERVER), -200},
    {RELEASED(DEVICE_LOST), -201},
    {RELEASED(VERSION), -300},
    {RELEASED(MALFORMED), -301},
    {RELEASED(UNSUPPORTED), -302},
    {RELEASED(INTERNAL), -400},
    {RELEASED(IO), -401},
    {RELEASED(NO_MEMORY), -402},
};

static void every_status_has_its_released_number_here_and_in_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < CHECK_COUNT(released); i++) {
        const struct status_row *row = &released[i];
        char name[64];
        (void)snprintf(name, sizeof name, "CISTERN_%s", row->name);
        assert_int_equal(row->public, row->golden);
        assert_string_equal(cistern_status_name(row->golden), name);
    }
}

static void no_status_is_known_that_was_not_released(void **state)
{
    (void)state;
    size_t known = 0;
    for (int status = -1000; status <= 1000; status++) {
        known += strcmp(cistern_status_name(status), "unknown status") != 0;
    }
    assert_int_equal(known, CHECK_COUNT(released));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_public_struct_is_laid_out_as_released),
        cmocka_unit_test(every_public_constant_has_its_released_value),
        cmocka_unit_test(every_status_has_its_released_number_here_and_in_the_table),
        cmocka_unit_test(no_status_is_known_that_was_not_released),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
