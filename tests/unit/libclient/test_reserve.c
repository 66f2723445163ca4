/* test_reserve: slots come ahead, in time, in number, and nowhere but inside the pool. */
#include "tests/unit/libclient/bed.h"

#include <poll.h>

static void lent_ahead_means_no_waiting(void **state)
{
    struct bed *bed = *state;
    struct cistern_slot slot;
    size_t count;
    assert_int_equal(cistern_reserve(bed->handle, 1, 10 * BED_SECOND, &slot, &count), CISTERN_OK);
    assert_int_equal(cistern_abort(bed->handle, &slot), CISTERN_OK);
    bed_flush(bed);
    /* Four were asked for in passing: they last, without a wait, while the server is deaf. */
    (void)pthread_mutex_lock(&bed->server.lock);
    bed->server.mute = true;
    (void)pthread_mutex_unlock(&bed->server.lock);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(cistern_reserve(bed->handle, 1, 0, &slot, &count), CISTERN_OK);
    }
    assert_int_equal(cistern_reserve(bed->handle, 1, 0, &slot, &count), CISTERN_BUSY);
    struct cistern_stats stats = {.size = sizeof stats};
    assert_int_equal(cistern_stats(bed->handle, &stats), CISTERN_OK);
    assert_int_equal(stats.grant_waits, 2); /* the first one and the last one */
}

static void many_come_at_once_and_do_not_overlap(void **state)
{
    struct bed *bed = *state;
    struct cistern_slot slots[128];
    size_t count = 0;
    assert_int_equal(cistern_reserve(bed->handle, 128, 10 * BED_SECOND, slots, &count), CISTERN_OK);
    assert_int_equal(count, 128);
    for (uint32_t i = 0; i < 128; i++) {
        memset(slots[i].data, (int)i, slots[i].bytes);
    }
    for (uint32_t i = 0; i < 128; i++) {
        assert_int_equal(((uint8_t *)slots[i].data)[slots[i].bytes - 1], i);
        assert_int_equal(
            cistern_commit(bed->handle, &slots[i], &bed->keys[i], NULL, 64), CISTERN_OK);
    }
    bed_flush(bed);
    struct cistern_match match = {.size = sizeof match};
    assert_int_equal(cistern_match(bed->handle, bed->keys, 128, &match), CISTERN_OK);
    assert_int_equal(match.hot, 128);
}

static void too_many_in_hand_is_a_limit(void **state)
{
    struct bed *bed = *state;
    struct cistern_slot slots[256];
    size_t total = 0;
    int status = CISTERN_OK;
    while (status == CISTERN_OK) {
        size_t count = 0;
        assert_true(total < 200);
        status = cistern_reserve(bed->handle, 16, 10 * BED_SECOND, slots + total, &count);
        total += status == CISTERN_OK ? count : 0;
    }
    assert_int_equal(status, CISTERN_LIMIT);
    assert_int_equal(total, 4 * 4 + 128); /* what the handle asked for at open */
    assert_int_equal(cistern_abort(bed->handle, &slots[0]), CISTERN_OK);
    size_t count = 0;
    assert_int_equal(cistern_reserve(bed->handle, 16, 10 * BED_SECOND, slots, &count), CISTERN_OK);
    assert_int_equal(count, 1);
}

static void the_sidecars_refusal_is_passed_on(void **state)
{
    struct bed *bed = *state;
    struct cistern_slot slot;
    size_t count = 99;
    const int32_t refusals[] = {CISTERN_BUSY, CISTERN_LIMIT};
    for (size_t i = 0; i < CHECK_COUNT(refusals); i++) {
        (void)pthread_mutex_lock(&bed->server.lock);
        bed->server.lends = refusals[i];
        (void)pthread_mutex_unlock(&bed->server.lock);
        assert_int_equal(
            cistern_reserve(bed->handle, 1, 10 * BED_SECOND, &slot, &count), refusals[i]);
        assert_int_equal(count, 99);
    }
    (void)pthread_mutex_lock(&bed->server.lock);
    bed->server.lends = 0;
    (void)pthread_mutex_unlock(&bed->server.lock);
    assert_int_equal(cistern_reserve(bed->handle, 1, 10 * BED_SECOND, &slot, &count), CISTERN_OK);
}

static void grants_outside_the_pool_are_not_used(void **state)
{
    (void)state;
    struct bed bed;
    bed_start(&bed, &(struct double_faults){.wild_grants = true});
    for (uint32_t flags = 0; flags <= CISTERN_ISOLATED; flags += CISTERN_ISOLATED) {
        bed.options.flags = flags;
        bed_open(&bed);
        struct cistern_slot slot;
        size_t count;
        assert_int_equal(
            cistern_reserve(bed.handle, 1, BED_SECOND / 10, &slot, &count), CISTERN_BUSY);
        cistern_close(&bed.handle);
    }
    bed_end(&bed);
}

/* Who only waits for a moment at a time is told as well, and not "busy" for ever. */
static void short_waits_notice_that_the_sidecar_died(void **state)
{
    struct bed *bed = *state;
    struct cistern_slot slot;
    size_t count;
    double_mute(&bed->server, true);
    while (cistern_reserve(bed->handle, 1, 1000, &slot, &count) == CISTERN_OK) {
    }
    assert_int_equal(cistern_reserve(bed->handle, 1, 1000, &slot, &count), CISTERN_BUSY);
    double_crash(&bed->server);
    assert_int_equal(cistern_reserve(bed->handle, 1, 1000, &slot, &count), CISTERN_NO_SERVER);
    bed_restart(bed, 1);
}

static void wrong_arguments_are_refused(void **state)
{
    struct bed *bed = *state;
    struct cistern_slot slot;
    size_t count;
    assert_int_equal(cistern_reserve(NULL, 1, 0, &slot, &count), CISTERN_INVALID);
    assert_int_equal(cistern_reserve(bed->handle, 0, 0, &slot, &count), CISTERN_INVALID);
    assert_int_equal(cistern_reserve(bed->handle, 129, 0, &slot, &count), CISTERN_INVALID);
    assert_int_equal(cistern_reserve(bed->handle, 1, -1, &slot, &count), CISTERN_INVALID);
    assert_int_equal(cistern_reserve(bed->handle, 1, 0, NULL, &count), CISTERN_INVALID);
    assert_int_equal(cistern_reserve(bed->handle, 1, 0, &slot, NULL), CISTERN_INVALID);
    assert_int_equal(cistern_flush(NULL, 0), CISTERN_INVALID);
    assert_int_equal(cistern_flush(bed->handle, -1), CISTERN_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lent_ahead_means_no_waiting),
        TEST(many_come_at_once_and_do_not_overlap),
        TEST(too_many_in_hand_is_a_limit),
        TEST(the_sidecars_refusal_is_passed_on),
        cmocka_unit_test(grants_outside_the_pool_are_not_used),
        TEST(short_waits_notice_that_the_sidecar_died),
        TEST(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
