/* test_thread: a seat for each thread, taken at its first call, given back when it ends. */
#include "tests/unit/libclient/bed.h"

struct crew {
    struct bed *bed;
    pthread_barrier_t all_seated;
    pthread_barrier_t may_leave;
};

static int match_one(struct bed *bed)
{
    struct cistern_match match = {.size = sizeof match};
    return cistern_match(bed->handle, bed->keys, 1, &match);
}

static void *sit(void *argument)
{
    struct crew *crew = argument;
    int status = match_one(crew->bed);
    (void)pthread_barrier_wait(&crew->all_seated);
    (void)pthread_barrier_wait(&crew->may_leave);
    return (void *)(intptr_t)status;
}

static void one_thread_too_many_is_told_so_until_another_ends(void **state)
{
    struct bed *bed = *state;
    struct crew crew = {.bed = bed};
    pthread_t threads[4]; /* the default of threads_max; this thread has no seat yet */
    assert_int_equal(pthread_barrier_init(&crew.all_seated, NULL, 5), 0);
    assert_int_equal(pthread_barrier_init(&crew.may_leave, NULL, 5), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, sit, &crew), 0);
    }
    (void)pthread_barrier_wait(&crew.all_seated);
    assert_int_equal(match_one(bed), CISTERN_THREADS);
    assert_int_equal(match_one(bed), CISTERN_THREADS);
    assert_non_null(strstr(cistern_why(), "4 thread seats"));
    (void)pthread_barrier_wait(&crew.may_leave);
    for (int i = 0; i < 4; i++) {
        void *status;
        assert_int_equal(pthread_join(threads[i], &status), 0);
        assert_int_equal((intptr_t)status, CISTERN_OK);
    }
    assert_int_equal(match_one(bed), CISTERN_OK);
    (void)pthread_barrier_destroy(&crew.all_seated);
    (void)pthread_barrier_destroy(&crew.may_leave);
}

struct visit {
    struct bed *bed;
    struct cistern_view view;
    struct cistern_slot slot;
};

/* Take a pin and slots, keep one of each, and end. */
static void *visit(void *argument)
{
    struct visit *visit = argument;
    size_t count;
    assert_int_equal(
        cistern_acquire(visit->bed->handle, visit->bed->keys, 1, &visit->view, &count), CISTERN_OK);
    assert_int_equal(
        cistern_reserve(visit->bed->handle, 1, 10 * BED_SECOND, &visit->slot, &count), CISTERN_OK);
    return NULL;
}

static void an_ended_thread_leaves_its_views_and_returns_unused_slots(void **state)
{
    struct bed *bed = *state;
    uint32_t slot = double_add(&bed->server, bed->keys, 1, 64);
    for (int i = 0; i < 20; i++) { /* more often than there are seats */
        struct visit first = {.bed = bed};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, visit, &first), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(double_is_pinned(&bed->server, slot));
        assert_int_equal(((const uint8_t *)first.view.data)[0], 1);
        memset(first.slot.data, 2, 10);
        bed_flush(bed);
        /* The slot in our hands, and no more: what was lent ahead went home. */
        for (int tries = 0; tries < 1000 && double_count_lent(&bed->server) > 1; tries++) {
            bed_flush(bed);
        }
        assert_int_equal(double_count_lent(&bed->server), 1);
        assert_int_equal(cistern_release(bed->handle, &first.view, 1), CISTERN_OK);
        assert_int_equal(
            cistern_commit(bed->handle, &first.slot, &bed->keys[1 + i], NULL, 10), CISTERN_OK);
        assert_false(double_is_pinned(&bed->server, slot));
        bed_flush(bed);
    }
    struct cistern_match match = {.size = sizeof match};
    assert_int_equal(cistern_match(bed->handle, bed->keys, 21, &match), CISTERN_OK);
    assert_int_equal(match.hot, 21);
}

static void *close_then_end(void *argument)
{
    struct bed *bed = argument;
    (void)match_one(bed);
    cistern_close(&bed->handle);
    return NULL;
}

static void a_handle_may_be_closed_before_its_threads_end(void **state)
{
    struct bed *bed = *state;
    assert_int_equal(match_one(bed), CISTERN_OK);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, close_then_end, bed), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    bed_open(bed); /* this thread's memory of the old handle does no harm */
    assert_int_equal(match_one(bed), CISTERN_OK);
}

static void more_handles_than_are_cached_work(void **state)
{
    struct bed *bed = *state;
    (void)double_add(&bed->server, bed->keys, 1, 64);
    cistern_t *handles[6] = {NULL};
    struct cistern_view views[6];
    size_t count;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(cistern_open(&bed->options, &handles[i]), CISTERN_OK);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 6; i++) {
            assert_int_equal(
                cistern_acquire(handles[i], bed->keys, 1, &views[i], &count), CISTERN_OK);
        }
        /* The wrong handle does not know the view. */
        struct cistern_view copy = views[0];
        assert_int_equal(cistern_release(bed->handle, &copy, 1), CISTERN_STALE);
        for (int i = 0; i < 6; i++) {
            assert_int_equal(cistern_release(handles[i], &views[i], 1), CISTERN_OK);
        }
    }
    for (int i = 0; i < 6; i++) {
        cistern_close(&handles[i]);
    }
}

static void a_server_may_serve_fewer_threads(void **state)
{
    (void)state;
    struct bed bed;
    bed_start(&bed, &(struct double_faults){.seats_max = 1});
    bed_open(&bed);
    struct crew crew = {.bed = &bed};
    assert_int_equal(match_one(&bed), CISTERN_OK);
    assert_int_equal(pthread_barrier_init(&crew.all_seated, NULL, 1), 0);
    assert_int_equal(pthread_barrier_init(&crew.may_leave, NULL, 1), 0);
    pthread_t thread;
    void *status;
    assert_int_equal(pthread_create(&thread, NULL, sit, &crew), 0);
    assert_int_equal(pthread_join(thread, &status), 0);
    assert_int_equal((intptr_t)status, CISTERN_THREADS);
    bed_end(&bed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_thread_too_many_is_told_so_until_another_ends),
        TEST(an_ended_thread_leaves_its_views_and_returns_unused_slots),
        TEST(a_handle_may_be_closed_before_its_threads_end),
        TEST(more_handles_than_are_cached_work),
        cmocka_unit_test(a_server_may_serve_fewer_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
