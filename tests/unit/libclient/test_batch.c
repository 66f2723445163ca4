/* test_batch: a run of blocks goes out whole and in order, with one bell, or is given up. */
#include "tests/unit/libclient/bed.h"

#define LONG 400u /* blocks: more than a ring holds */

static struct cistern_key long_keys[LONG];

static void make_long_keys(struct bed *bed)
{
    static uint32_t tokens[LONG * BED_TOKENS];
    size_t count = 0;
    for (uint32_t i = 0; i < LONG * BED_TOKENS; i++) {
        tokens[i] = i * 11 + 5;
    }
    assert_int_equal(
        cistern_keys(bed->handle, NULL, tokens, LONG * BED_TOKENS, long_keys, &count), CISTERN_OK);
    assert_int_equal(count, LONG);
    for (uint32_t i = 0; i < LONG; i++) {
        double_store(&bed->server, &long_keys[i], (uint8_t)i, 64);
    }
}

static uint64_t count_bells(struct bed *bed)
{
    struct cistern_stats stats = {.size = sizeof stats};
    assert_int_equal(cistern_stats(bed->handle, &stats), CISTERN_OK);
    return stats.bells;
}

static void blocks_are_named_in_order_with_their_parents(void **state)
{
    struct bed *bed = *state;
    struct double_seen seen;
    size_t hot = 0;
    for (uint32_t i = 0; i < 12; i++) {
        if (i < 3 || i == 7) { /* a hot one behind cold ones is asked for as well */
            (void)double_add(&bed->server, &bed->keys[i], 1, 64);
        } else {
            double_store(&bed->server, &bed->keys[i], 1, 64);
        }
    }
    assert_int_equal(cistern_fetch(bed->handle, bed->keys, 10, 10 * BED_SECOND, &hot), CISTERN_OK);
    assert_int_equal(hot, 10);
    double_look(&bed->server, &seen);
    assert_int_equal(seen.last.count, 7);
    assert_int_equal(seen.last.first.count, 6);
    assert_int_equal(seen.last.first.flags, REQUEST_PARENT);
    assert_int_equal(seen.last.first.timeout_ns, 10 * BED_SECOND);
    assert_int_equal(seen.last.first.bytes, 0);
    for (uint32_t i = 0; i < 7; i++) {
        assert_memory_equal(&seen.last.keys[i], &bed->keys[3 + i], sizeof *bed->keys);
        assert_memory_equal(&seen.last.parents[i], &bed->keys[2 + i], sizeof *bed->keys);
    }
    /* The first key of a call has no parent that the library knows of. */
    const struct key none = {0};
    assert_int_equal(
        cistern_fetch(bed->handle, bed->keys + 10, 2, 10 * BED_SECOND, &hot), CISTERN_OK);
    double_look(&bed->server, &seen);
    assert_int_equal(seen.last.count, 2);
    assert_int_equal(seen.last.first.flags, 0);
    assert_memory_equal(&seen.last.parents[0], &none, sizeof none);
    assert_memory_equal(&seen.last.parents[1], &bed->keys[10], sizeof *bed->keys);
}

static void a_batch_rings_once_not_once_a_block(void **state)
{
    struct bed *bed = *state;
    make_long_keys(bed);
    double_mute(&bed->server, true);
    uint64_t before = count_bells(bed);
    assert_int_equal(
        cistern_fetch_async(bed->handle, long_keys, 250, 20 * BED_SECOND, 1), CISTERN_PENDING);
    assert_in_range(count_bells(bed) - before, 0, 1);
    double_mute(&bed->server, false);
    bed_flush(bed);
    struct double_seen seen;
    double_look(&bed->server, &seen);
    assert_int_equal(seen.last.count, 250);
}

static void a_batch_longer_than_the_ring_goes_out_as_room_comes(void **state)
{
    struct bed *bed = *state;
    size_t hot = 0;
    make_long_keys(bed);
    assert_int_equal(
        cistern_fetch(bed->handle, long_keys, LONG, 20 * BED_SECOND, &hot), CISTERN_OK);
    assert_int_equal(hot, LONG);
    struct double_seen seen;
    double_look(&bed->server, &seen);
    assert_int_equal(seen.batches, 1);
    assert_int_equal(seen.cut, 0);
    assert_int_equal(seen.last.count, LONG);
    for (uint32_t i = 0; i < LONG; i++) {
        assert_memory_equal(&seen.last.keys[i], &long_keys[i], sizeof *long_keys);
    }
}

/* The sidecar reads nothing: what went out is half a batch, which the next one replaces. */
static void a_batch_that_found_no_room_is_given_up(void **state)
{
    struct bed *bed = *state;
    size_t hot = 99;
    make_long_keys(bed);
    double_mute(&bed->server, true);
    assert_int_equal(
        cistern_fetch(bed->handle, long_keys, LONG, BED_SECOND / 100, &hot), CISTERN_BUSY);
    assert_non_null(strstr(cistern_why(), "behind"));
    assert_int_equal(hot, 99);
    double_mute(&bed->server, false);
    assert_int_equal(cistern_fetch(bed->handle, long_keys, 3, 20 * BED_SECOND, &hot), CISTERN_OK);
    assert_int_equal(hot, 3);
    struct double_seen seen;
    double_look(&bed->server, &seen);
    assert_int_equal(seen.batches, 1);
    assert_int_equal(seen.cut + seen.cancels, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(blocks_are_named_in_order_with_their_parents),
        TEST(a_batch_rings_once_not_once_a_block),
        TEST(a_batch_longer_than_the_ring_goes_out_as_room_comes),
        TEST(a_batch_that_found_no_room_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
