/* test_get: a copy is whole and right, or it is a miss. */
#include "tests/unit/libclient/bed.h"

static uint8_t data[2 * DOUBLE_BLOCK];

static void stats_of(struct bed *bed, struct cistern_stats *out_stats)
{
    *out_stats = (struct cistern_stats){.size = sizeof *out_stats};
    assert_int_equal(cistern_stats(bed->handle, out_stats), CISTERN_OK);
}

static void put_then_get_is_the_same(void **state)
{
    struct bed *bed = *state;
    uint64_t seed = check_seed();
    uint8_t source[DOUBLE_BLOCK];
    for (size_t i = 0; i < sizeof source; i++) {
        source[i] = (uint8_t)check_random(&seed);
    }
    assert_int_equal(cistern_put(bed->handle, bed->keys, NULL, source, sizeof source), CISTERN_OK);
    bed_flush(bed);
    uint64_t bytes = 0;
    assert_int_equal(cistern_get(bed->handle, bed->keys, data, DOUBLE_BLOCK, &bytes), CISTERN_OK);
    assert_int_equal(bytes, sizeof source);
    assert_memory_equal(data, source, sizeof source);
    /* A second put of a hot key changes nothing. */
    memset(data, 1, sizeof data);
    assert_int_equal(cistern_put(bed->handle, bed->keys, NULL, data, 10), CISTERN_OK);
    bed_flush(bed);
    assert_int_equal(cistern_get(bed->handle, bed->keys, data, DOUBLE_BLOCK, &bytes), CISTERN_OK);
    assert_memory_equal(data, source, sizeof source);
}

static void too_large_and_too_small_are_told_apart(void **state)
{
    struct bed *bed = *state;
    uint64_t bytes = 99;
    assert_int_equal(
        cistern_put(bed->handle, bed->keys, NULL, data, DOUBLE_BLOCK + 1), CISTERN_TOO_LARGE);
    uint32_t slot = double_add(&bed->server, bed->keys, 1, 64);
    assert_int_equal(cistern_get(bed->handle, bed->keys, data, 63, &bytes), CISTERN_TOO_LARGE);
    assert_int_equal(bytes, 99);
    assert_false(double_is_pinned(&bed->server, slot));
    assert_int_equal(cistern_get(bed->handle, &bed->keys[1], data, 64, &bytes), CISTERN_MISS);
    assert_int_equal(cistern_get(bed->handle, bed->keys, NULL, 64, &bytes), CISTERN_INVALID);
    assert_int_equal(cistern_get(bed->handle, bed->keys, data, 64, NULL), CISTERN_INVALID);
    assert_int_equal(cistern_put(bed->handle, bed->keys, NULL, NULL, 64), CISTERN_INVALID);
    assert_int_equal(cistern_put(bed->handle, bed->keys, NULL, data, 0), CISTERN_INVALID);
}

static void a_wrong_checksum_is_a_miss_and_a_count(void **state)
{
    struct bed *bed = *state;
    cistern_close(&bed->handle);
    bed->options.flags = CISTERN_CHECKSUM;
    bed_open(bed);
    memset(data, 3, 64);
    assert_int_equal(cistern_put(bed->handle, bed->keys, NULL, data, 64), CISTERN_OK);
    bed_flush(bed);
    uint64_t bytes;
    assert_int_equal(cistern_get(bed->handle, bed->keys, data, 64, &bytes), CISTERN_OK);
    struct cistern_view view;
    size_t count;
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 1, &view, &count), CISTERN_OK);
    /* Somebody scribbles over the pool. */
    size_t offset = (size_t)(bed->server.view.lines[view.opaque[0]].place & SLOT_OFFSET_MAX);
    ((uint8_t *)bed->server.pool.base)[offset + 5] ^= 1;
    assert_int_equal(cistern_release(bed->handle, &view, 1), CISTERN_OK);
    assert_int_equal(cistern_get(bed->handle, bed->keys, data, 64, &bytes), CISTERN_MISS);
    struct cistern_stats stats;
    stats_of(bed, &stats);
    assert_int_equal(stats.checksum_failures, 1);
    assert_int_equal(stats.violations, 0);
}

/* A sidecar that breaks the protocol: it changes generations under pins, all the time. */
struct breaker {
    struct bed *bed;
    uint32_t slot;
    _Atomic uint32_t stop;
};

static void *break_promises(void *argument)
{
    struct breaker *breaker = argument;
    _Atomic uint64_t *state = &breaker->bed->server.view.lines[breaker->slot].state;
    uint64_t generation = slot_generation_of(shared64_load_relaxed(state));
    while (shared32_load_relaxed(&breaker->stop) == 0) {
        shared64_store_release(state, slot_word(++generation, SLOT_VALID));
    }
    return NULL;
}

static void a_slot_that_changes_under_its_pin_is_a_violation(void **state)
{
    struct bed *bed = *state;
    struct breaker breaker = {.bed = bed};
    breaker.slot = double_add(&bed->server, bed->keys, 1, DOUBLE_BLOCK);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, break_promises, &breaker), 0);
    struct cistern_stats stats = {0};
    /* One copy that is interrupted is enough; bounded by a number of copies, not by a time. */
    for (int i = 0; i < 2000000 && stats.violations == 0; i++) {
        uint64_t bytes = 99;
        int status = cistern_get(bed->handle, bed->keys, data, sizeof data, &bytes);
        stats_of(bed, &stats);
        assert_true(status == (stats.violations == 0 ? CISTERN_OK : CISTERN_MISS));
    }
    shared32_store_relaxed(&breaker.stop, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(stats.violations, 1);
    assert_false(double_is_pinned(&bed->server, breaker.slot));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(put_then_get_is_the_same),
        TEST(too_large_and_too_small_are_told_apart),
        TEST(a_wrong_checksum_is_a_miss_and_a_count),
        TEST(a_slot_that_changes_under_its_pin_is_a_violation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
