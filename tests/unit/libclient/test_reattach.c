/* test_reattach: without a sidecar there is no cache for now, and nothing worse. */
#include "tests/unit/libclient/bed.h"

static int match_one(struct bed *bed)
{
    struct cistern_match match = {.size = sizeof match};
    return cistern_match(bed->handle, bed->keys, 1, &match);
}

/* Miss until the library has seen the hang-up, which it looks for every 50 ms of misses. */
static void until_lost(struct bed *bed)
{
    int status = CISTERN_MISS;
    uint8_t data[1];
    uint64_t bytes;
    while (status == CISTERN_MISS) {
        status = cistern_get(bed->handle, &bed->keys[BED_KEYS - 1], data, 1, &bytes);
    }
    assert_int_equal(status, CISTERN_NO_SERVER);
}

static void a_raised_epoch_is_seen_by_the_next_lookup(void **state)
{
    struct bed *bed = *state;
    (void)double_add(&bed->server, bed->keys, 1, 64);
    struct cistern_view view;
    size_t count;
    assert_int_equal(match_one(bed), CISTERN_OK);
    double_stop(&bed->server);
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 1, &view, &count), CISTERN_NO_SERVER);
    assert_int_equal(match_one(bed), CISTERN_NO_SERVER);
    struct cistern_stats stats = {.size = sizeof stats};
    assert_int_equal(cistern_stats(bed->handle, &stats), CISTERN_OK);
    assert_int_equal(stats.attached, 0);
    bed_restart(bed, 5);
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 1, &view, &count), CISTERN_MISS);
    (void)double_add(&bed->server, bed->keys, 2, 64);
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 1, &view, &count), CISTERN_OK);
    assert_int_equal(((const uint8_t *)view.data)[0], 2);
    assert_int_equal(cistern_release(bed->handle, &view, 1), CISTERN_OK);
    assert_int_equal(cistern_stats(bed->handle, &stats), CISTERN_OK);
    assert_int_equal(stats.attached, 1);
    assert_int_equal(stats.reattaches, 1);
}

/* A killed sidecar raises nothing: its index is still right, so hits go on until a miss looks. */
static void a_killed_server_is_missed_only_by_those_who_miss(void **state)
{
    struct bed *bed = *state;
    (void)double_add(&bed->server, bed->keys, 1, 64);
    struct cistern_view view;
    size_t count;
    assert_int_equal(match_one(bed), CISTERN_OK);
    double_crash(&bed->server);
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 1, &view, &count), CISTERN_OK);
    assert_int_equal(((const uint8_t *)view.data)[0], 1);
    assert_int_equal(cistern_release(bed->handle, &view, 1), CISTERN_OK);
    until_lost(bed);
    bed_restart(bed, 1); /* even with the same epoch it is another one */
}

static void views_and_slots_outlive_their_server(void **state)
{
    struct bed *bed = *state;
    (void)double_add(&bed->server, bed->keys, 3, 64);
    struct cistern_view view;
    struct cistern_slot slots[2];
    size_t count;
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 1, &view, &count), CISTERN_OK);
    assert_int_equal(cistern_reserve(bed->handle, 2, 10 * BED_SECOND, slots, &count), CISTERN_OK);
    assert_int_equal(count, 2);
    double_stop(&bed->server);
    assert_int_equal(match_one(bed), CISTERN_NO_SERVER);
    memset(slots[0].data, 1, slots[0].bytes); /* still mapped */
    assert_int_equal(cistern_commit(bed->handle, &slots[0], bed->keys, NULL, 1), CISTERN_NO_SERVER);
    assert_int_equal(cistern_commit(bed->handle, &slots[0], bed->keys, NULL, 1), CISTERN_STALE);
    bed_restart(bed, 2);
    assert_int_equal(match_one(bed), CISTERN_OK);
    assert_int_equal(((const uint8_t *)view.data)[63], 3);
    memset(slots[1].data, 1, slots[1].bytes);
    assert_int_equal(cistern_abort(bed->handle, &slots[1]), CISTERN_NO_SERVER);
    assert_int_equal(((const uint8_t *)view.data)[63], 3);
    assert_int_equal(cistern_release(bed->handle, &view, 1), CISTERN_OK);
    assert_int_equal(cistern_release(bed->handle, &view, 1), CISTERN_STALE);
}

static void old_memory_is_given_back_when_the_last_use_ends(void **state)
{
    struct bed *bed = *state;
    (void)double_add(&bed->server, bed->keys, 3, 64);
    uint32_t maps = 0;
    uint32_t fds = 0;
    for (uint64_t epoch = 2; epoch < 12; epoch++) {
        struct cistern_view view;
        size_t count;
        assert_int_equal(cistern_acquire(bed->handle, bed->keys, 1, &view, &count), CISTERN_OK);
        double_stop(&bed->server);
        assert_int_equal(match_one(bed), CISTERN_NO_SERVER);
        bed_restart(bed, epoch);
        (void)double_add(&bed->server, bed->keys, 3, 64);
        assert_int_equal(((const uint8_t *)view.data)[63], 3);
        assert_int_equal(cistern_release(bed->handle, &view, 1), CISTERN_OK);
        struct cistern_event event;
        assert_int_equal(cistern_drain(bed->handle, &event, 1, &count), CISTERN_OK); /* sweeps */
        if (epoch == 2) {
            maps = bed_count_maps();
            fds = bed_count_fds();
        }
    }
    assert_int_equal(bed_count_maps(), maps);
    assert_int_equal(bed_count_fds(), fds);
}

static void waiting_ends_when_the_server_goes(void **state)
{
    struct bed *bed = *state;
    assert_int_equal(cistern_claim(bed->handle, bed->keys), CISTERN_MINE);
    (void)pthread_mutex_lock(&bed->server.lock);
    bed->server.mute = true;
    (void)pthread_mutex_unlock(&bed->server.lock);
    double_crash(&bed->server);
    assert_int_equal(cistern_wait(bed->handle, bed->keys, 20 * BED_SECOND), CISTERN_NO_SERVER);
    struct cistern_slot slot;
    size_t count;
    assert_int_equal(
        cistern_reserve(bed->handle, 1, 20 * BED_SECOND, &slot, &count), CISTERN_NO_SERVER);
    assert_int_equal(cistern_flush(bed->handle, 20 * BED_SECOND), CISTERN_NO_SERVER);
    double_start(&bed->server, bed->path, 2, NULL);
}

/* A server whose reply ring runs wild is a broken one: it is left, not believed. */
static void a_wild_ring_is_left(void **state)
{
    struct bed *bed = *state;
    assert_int_equal(match_one(bed), CISTERN_OK);
    (void)pthread_mutex_lock(&bed->server.lock);
    bed->server.mute = true;
    shared32_store_release(&bed->server.sessions[0].seats[0].server->reply_tail, 1000000);
    (void)pthread_mutex_unlock(&bed->server.lock);
    assert_int_equal(cistern_claim(bed->handle, bed->keys), CISTERN_NO_SERVER);
    (void)pthread_mutex_lock(&bed->server.lock);
    bed->server.mute = false;
    (void)pthread_mutex_unlock(&bed->server.lock);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_raised_epoch_is_seen_by_the_next_lookup),
        TEST(a_killed_server_is_missed_only_by_those_who_miss),
        TEST(views_and_slots_outlive_their_server),
        TEST(old_memory_is_given_back_when_the_last_use_ends),
        TEST(waiting_ends_when_the_server_goes),
        TEST(a_wild_ring_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
