/* test_commit: what was filled is published, once, by whichever thread; what was not comes home. */
#include "tests/unit/libclient/bed.h"

static void reserve_one(struct bed *bed, struct cistern_slot *out_slot)
{
    size_t count = 0;
    int status = cistern_reserve(bed->handle, 1, 10 * BED_SECOND, out_slot, &count);
    if (status != CISTERN_OK) {
        fail_msg("reserve: %s: %s", cistern_status_name(status), cistern_why());
    }
    assert_int_equal(count, 1);
    assert_int_equal(out_slot->bytes, DOUBLE_BLOCK);
}

static void check_content(struct bed *bed, uint32_t key, uint8_t fill, uint64_t bytes)
{
    uint8_t data[DOUBLE_BLOCK];
    uint64_t got = 0;
    assert_int_equal(
        cistern_get(bed->handle, &bed->keys[key], data, sizeof data, &got), CISTERN_OK);
    assert_int_equal(got, bytes);
    for (uint64_t i = 0; i < bytes; i++) {
        assert_int_equal(data[i], fill);
    }
}

static void a_committed_block_is_found(void **state)
{
    struct bed *bed = *state;
    struct cistern_slot slot;
    for (uint8_t i = 0; i < 20; i++) {
        reserve_one(bed, &slot);
        memset(slot.data, i, 1000u + i);
        const struct cistern_key *parent = i == 0 ? NULL : &bed->keys[i - 1];
        assert_int_equal(
            cistern_commit(bed->handle, &slot, &bed->keys[i], parent, 1000u + i), CISTERN_OK);
    }
    bed_flush(bed);
    for (uint8_t i = 0; i < 20; i++) {
        check_content(bed, i, i, 1000u + i);
    }
}

static void isolated_writes_go_through_staging(void **state)
{
    struct bed *bed = *state;
    cistern_close(&bed->handle);
    bed->options.flags = CISTERN_ISOLATED | CISTERN_CHECKSUM;
    bed_open(bed);
    struct cistern_slot slot;
    reserve_one(bed, &slot);
    memset(slot.data, 7, 500);
    assert_int_equal(cistern_commit(bed->handle, &slot, bed->keys, NULL, 500), CISTERN_OK);
    bed_flush(bed);
    check_content(bed, 0, 7, 500);
}

static void a_slot_is_given_back_once(void **state)
{
    struct bed *bed = *state;
    struct cistern_slot slot;
    reserve_one(bed, &slot);
    struct cistern_slot copy = slot;
    assert_int_equal(cistern_commit(bed->handle, &slot, bed->keys, NULL, 1), CISTERN_OK);
    assert_int_equal(cistern_commit(bed->handle, &slot, bed->keys, NULL, 1), CISTERN_STALE);
    assert_int_equal(cistern_commit(bed->handle, &copy, bed->keys, NULL, 1), CISTERN_STALE);
    assert_int_equal(cistern_abort(bed->handle, &copy), CISTERN_STALE);
    /* The entry of the book is used again; the copy still is not good. */
    reserve_one(bed, &slot);
    assert_int_equal(cistern_abort(bed->handle, &copy), CISTERN_STALE);
    assert_int_equal(cistern_abort(bed->handle, &slot), CISTERN_OK);
    assert_int_equal(cistern_abort(bed->handle, &slot), CISTERN_STALE);
    struct cistern_stats stats = {.size = sizeof stats};
    assert_int_equal(cistern_stats(bed->handle, &stats), CISTERN_OK);
    assert_int_equal(stats.commits, 1);
    assert_int_equal(stats.aborts, 1);
}

static void wrong_commits_keep_the_slot(void **state)
{
    struct bed *bed = *state;
    struct cistern_slot slot;
    reserve_one(bed, &slot);
    assert_int_equal(
        cistern_commit(bed->handle, &slot, bed->keys, NULL, DOUBLE_BLOCK + 1), CISTERN_TOO_LARGE);
    assert_int_equal(cistern_commit(bed->handle, &slot, bed->keys, NULL, 0), CISTERN_INVALID);
    assert_int_equal(cistern_commit(bed->handle, &slot, NULL, NULL, 1), CISTERN_INVALID);
    assert_int_equal(cistern_commit(NULL, &slot, bed->keys, NULL, 1), CISTERN_INVALID);
    assert_int_equal(cistern_commit(bed->handle, NULL, bed->keys, NULL, 1), CISTERN_INVALID);
    assert_int_equal(cistern_abort(bed->handle, NULL), CISTERN_INVALID);
    uint64_t seed = check_seed();
    for (int i = 0; i < 1000; i++) {
        struct cistern_slot wild = slot;
        wild.opaque[i % 2] ^= 1 + (check_random(&seed) >> 1);
        assert_int_equal(cistern_abort(bed->handle, &wild), CISTERN_STALE);
    }
    assert_int_equal(cistern_commit(bed->handle, &slot, bed->keys, NULL, 1), CISTERN_OK);
}

/* The server reads nothing: the ring fills up, and the slot stays the caller's. */
static void a_full_ring_is_busy_not_lost(void **state)
{
    struct bed *bed = *state;
    struct cistern_slot slots[128];
    size_t count = 0;
    assert_int_equal(cistern_reserve(bed->handle, 128, 10 * BED_SECOND, slots, &count), CISTERN_OK);
    assert_int_equal(count, 128);
    bed_flush(bed);
    (void)pthread_mutex_lock(&bed->server.lock);
    bed->server.mute = true;
    (void)pthread_mutex_unlock(&bed->server.lock);
    int status = CISTERN_OK;
    for (uint32_t i = 0; i < 127; i++) {
        assert_int_equal(cistern_abort(bed->handle, &slots[i]), CISTERN_OK);
    }
    for (uint32_t i = 0; i < LANE_REQUESTS && status == CISTERN_OK; i++) {
        status = cistern_unclaim(bed->handle, bed->keys);
    }
    assert_int_equal(status, CISTERN_BUSY);
    assert_int_equal(cistern_abort(bed->handle, &slots[127]), CISTERN_BUSY);
    (void)pthread_mutex_lock(&bed->server.lock);
    bed->server.mute = false;
    (void)pthread_mutex_unlock(&bed->server.lock);
    bed_flush(bed);
    assert_int_equal(cistern_abort(bed->handle, &slots[127]), CISTERN_OK);
    bed_flush(bed);
    (void)pthread_mutex_lock(&bed->server.lock);
    uint32_t aborts = bed->server.aborts;
    (void)pthread_mutex_unlock(&bed->server.lock);
    assert_int_equal(aborts, 128);
}

struct errand {
    struct bed *bed;
    struct cistern_slot slot;
    int status;
};

static void *commit_elsewhere(void *argument)
{
    struct errand *errand = argument;
    errand->status =
        cistern_commit(errand->bed->handle, &errand->slot, errand->bed->keys, NULL, 10);
    bed_flush(errand->bed);
    return NULL;
}

static void another_thread_may_commit(void **state)
{
    struct bed *bed = *state;
    struct errand errand = {.bed = bed};
    reserve_one(bed, &errand.slot);
    memset(errand.slot.data, 5, 10);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, commit_elsewhere, &errand), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(errand.status, CISTERN_OK);
    check_content(bed, 0, 5, 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_committed_block_is_found),
        TEST(isolated_writes_go_through_staging),
        TEST(a_slot_is_given_back_once),
        TEST(wrong_commits_keep_the_slot),
        TEST(a_full_ring_is_busy_not_lost),
        TEST(another_thread_may_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
