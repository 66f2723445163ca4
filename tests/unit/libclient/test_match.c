/* test_match: how much is hot, and how much of the rest is cold. */
#include "tests/unit/libclient/bed.h"

static void hot_then_cold_is_counted_to_the_first_gap(void **state)
{
    struct bed *bed = *state;
    struct cistern_match match = {.size = sizeof match, .hot = 9, .cold = 9};
    assert_int_equal(cistern_match(bed->handle, bed->keys, BED_KEYS, &match), CISTERN_OK);
    assert_int_equal(match.hot, 0);
    assert_int_equal(match.cold, 0);
    for (uint32_t i = 0; i < 130; i++) {
        (void)double_add(&bed->server, &bed->keys[i], 1, 64);
    }
    for (uint32_t i = 130; i < 135; i++) {
        double_add_cold(&bed->server, &bed->keys[i]);
    }
    double_add_cold(&bed->server, &bed->keys[136]);
    const struct {
        uint32_t count;
        uint32_t hot;
        uint32_t cold;
    } rows[] = {{1, 1, 0}, {63, 63, 0}, {64, 64, 0}, {65, 65, 0}, {128, 128, 0}, {130, 130, 0},
        {132, 130, 2}, {BED_KEYS, 130, 5}};
    for (size_t i = 0; i < CHECK_COUNT(rows); i++) {
        assert_int_equal(cistern_match(bed->handle, bed->keys, rows[i].count, &match), CISTERN_OK);
        assert_int_equal(match.hot, rows[i].hot);
        assert_int_equal(match.cold, rows[i].cold);
    }
}

/* A hot block behind a cold one does not end the run; one that nobody has does. */
static void hot_blocks_behind_cold_ones_are_counted_with_them(void **state)
{
    struct bed *bed = *state;
    struct cistern_match match = {.size = sizeof match};
    const char *blocks = "hhchcch.hc";
    for (uint32_t i = 0; blocks[i] != '\0'; i++) {
        if (blocks[i] == 'h') {
            (void)double_add(&bed->server, &bed->keys[i], 1, 64);
        } else if (blocks[i] == 'c') {
            double_add_cold(&bed->server, &bed->keys[i]);
        }
    }
    double_add_cold(&bed->server, &bed->keys[3]); /* stored as well as hot */
    assert_int_equal(cistern_match(bed->handle, bed->keys, BED_KEYS, &match), CISTERN_OK);
    assert_int_equal(match.hot, 2);
    assert_int_equal(match.cold, 5);
    assert_int_equal(cistern_match(bed->handle, bed->keys, 4, &match), CISTERN_OK);
    assert_int_equal(match.hot, 2);
    assert_int_equal(match.cold, 2);
}

static void a_match_pins_nothing(void **state)
{
    struct bed *bed = *state;
    uint32_t slot = double_add(&bed->server, bed->keys, 1, 64);
    struct cistern_match match = {.size = sizeof match};
    assert_int_equal(cistern_match(bed->handle, bed->keys, 1, &match), CISTERN_OK);
    assert_int_equal(match.hot, 1);
    assert_false(double_is_pinned(&bed->server, slot));
}

/* A match that an acquire would not keep is none: as in hit.c, host memory alone is read. */
static void what_a_device_alone_has_is_not_hot(void **state)
{
    struct bed *bed = *state;
    struct cistern_match match = {.size = sizeof match};
    struct cistern_view views[2];
    size_t count;
    (void)double_add(&bed->server, &bed->keys[0], 1, 64);
    uint32_t slot = double_add(&bed->server, &bed->keys[1], 1, 64);
    _Atomic uint64_t *place = &bed->server.view.lines[slot].place;
    shared64_store_relaxed(place, shared64_load_relaxed(place) | UINT64_C(1) << 48);
    assert_int_equal(cistern_match(bed->handle, bed->keys, 2, &match), CISTERN_OK);
    assert_int_equal(match.hot, 1);
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 2, views, &count), CISTERN_OK);
    assert_int_equal(count, 1);
    assert_int_equal(cistern_release(bed->handle, views, 1), CISTERN_OK);
}

static void wrong_arguments_are_refused(void **state)
{
    struct bed *bed = *state;
    struct cistern_match match = {.size = 8};
    assert_int_equal(cistern_match(bed->handle, bed->keys, 1, &match), CISTERN_INVALID);
    match.size = sizeof match;
    assert_int_equal(cistern_match(bed->handle, bed->keys, 0, &match), CISTERN_INVALID);
    assert_int_equal(cistern_match(bed->handle, NULL, 1, &match), CISTERN_INVALID);
    assert_int_equal(cistern_match(bed->handle, bed->keys, 1, NULL), CISTERN_INVALID);
    assert_int_equal(cistern_match(NULL, bed->keys, 1, &match), CISTERN_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hot_then_cold_is_counted_to_the_first_gap),
        TEST(hot_blocks_behind_cold_ones_are_counted_with_them),
        TEST(a_match_pins_nothing),
        TEST(what_a_device_alone_has_is_not_hot),
        TEST(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
