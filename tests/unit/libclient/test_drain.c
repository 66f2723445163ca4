/* test_drain: an asynchronous wait is answered once, and cistern_fd() says when to look. */
#include "tests/unit/libclient/bed.h"

#include <poll.h>

/* Is the descriptor readable, within ten seconds if `wait`? */
static bool readable(struct bed *bed, bool wait)
{
    struct pollfd look = {.fd = cistern_fd(bed->handle), .events = POLLIN};
    return poll(&look, 1, wait ? 10000 : 0) == 1;
}

static size_t drain(struct bed *bed, struct cistern_event *out_events, size_t room)
{
    size_t count = 99;
    assert_int_equal(cistern_drain(bed->handle, out_events, room, &count), CISTERN_OK);
    return count;
}

/* Drain until `count` answers came. */
static void drain_all(
    struct bed *bed, struct cistern_event *out_events, size_t count, size_t at_once)
{
    size_t done = 0;
    while (done < count) {
        assert_true(readable(bed, true));
        size_t room = count - done < at_once ? count - done : at_once;
        done += drain(bed, out_events + done, room);
    }
}

static void answers_come_with_their_cookies(void **state)
{
    struct bed *bed = *state;
    struct cistern_event events[4];
    uint8_t data[8] = {0};
    (void)double_add(&bed->server, &bed->keys[3], 1, 8);
    assert_int_equal(cistern_claim(bed->handle, &bed->keys[0]), CISTERN_MINE);
    assert_int_equal(cistern_claim(bed->handle, &bed->keys[1]), CISTERN_MINE);
    assert_false(readable(bed, false));
    for (uint64_t i = 0; i < 3; i++) { /* the third one: nobody computes it */
        assert_int_equal(cistern_wait_async(bed->handle, &bed->keys[i], 20 * BED_SECOND, 100 + i),
            CISTERN_PENDING);
    }
    drain_all(bed, events, 1, 4);
    assert_int_equal(events[0].cookie, 102);
    assert_int_equal(events[0].status, CISTERN_MISS);
    assert_int_equal(cistern_unclaim(bed->handle, &bed->keys[1]), CISTERN_OK);
    drain_all(bed, events, 1, 4);
    assert_int_equal(events[0].cookie, 101);
    assert_int_equal(events[0].status, CISTERN_MINE);
    assert_int_equal(cistern_put(bed->handle, &bed->keys[0], NULL, data, sizeof data), CISTERN_OK);
    drain_all(bed, events, 1, 4);
    assert_int_equal(events[0].cookie, 100);
    assert_int_equal(events[0].status, CISTERN_OK);
    /* Hot already: answered without the server. */
    assert_int_equal(cistern_wait_async(bed->handle, &bed->keys[3], 0, 103), CISTERN_PENDING);
    assert_true(readable(bed, false));
    drain_all(bed, events, 1, 1);
    assert_int_equal(events[0].cookie, 103);
    assert_int_equal(drain(bed, events, 4), 0);
    assert_false(readable(bed, false));
}

/* The signals are read before the events: what does not fit must keep the descriptor readable. */
static void answers_that_do_not_fit_keep_the_descriptor_readable(void **state)
{
    struct bed *bed = *state;
    struct cistern_event events[50];
    bool seen[50] = {false};
    assert_int_equal(cistern_claim(bed->handle, bed->keys), CISTERN_MINE);
    for (uint64_t i = 0; i < 50; i++) {
        assert_int_equal(
            cistern_wait_async(bed->handle, bed->keys, 20 * BED_SECOND, i), CISTERN_PENDING);
    }
    uint8_t data[8] = {0};
    assert_int_equal(cistern_put(bed->handle, bed->keys, NULL, data, sizeof data), CISTERN_OK);
    bed_flush(bed);
    drain_all(bed, events, 50, 7);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(events[i].status, CISTERN_OK);
        assert_false(seen[events[i].cookie]);
        seen[events[i].cookie] = true;
    }
    assert_int_equal(drain(bed, events, 1), 0);
    assert_false(readable(bed, false));
}

static void too_many_waits_are_a_limit(void **state)
{
    struct bed *bed = *state;
    (void)double_add(&bed->server, bed->keys, 1, 8);
    for (uint64_t i = 0; i < 1024; i++) {
        assert_int_equal(cistern_wait_async(bed->handle, bed->keys, 0, i), CISTERN_PENDING);
    }
    assert_int_equal(cistern_wait_async(bed->handle, bed->keys, 0, 0), CISTERN_LIMIT);
    struct cistern_event event;
    assert_int_equal(drain(bed, &event, 1), 1);
    assert_int_equal(cistern_wait_async(bed->handle, bed->keys, 0, 0), CISTERN_PENDING);
    size_t count;
    assert_int_equal(cistern_drain(bed->handle, &event, 0, &count), CISTERN_INVALID);
    assert_int_equal(cistern_drain(NULL, &event, 1, &count), CISTERN_INVALID);
    assert_int_equal(cistern_wait_async(bed->handle, bed->keys, -1, 0), CISTERN_INVALID);
    assert_int_equal(cistern_fd(NULL), -1);
}

static void a_lost_server_answers_what_was_asked_of_it(void **state)
{
    struct bed *bed = *state;
    struct cistern_event events[2];
    struct cistern_view view; /* keeps the lost attachment mapped, and its socket open */
    size_t count;
    (void)double_add(&bed->server, &bed->keys[1], 1, 8);
    assert_int_equal(cistern_acquire(bed->handle, &bed->keys[1], 1, &view, &count), CISTERN_OK);
    assert_int_equal(cistern_claim(bed->handle, bed->keys), CISTERN_MINE);
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(
            cistern_wait_async(bed->handle, bed->keys, 20 * BED_SECOND, i), CISTERN_PENDING);
    }
    bed_flush(bed);
    int fd = cistern_fd(bed->handle);
    double_crash(&bed->server);
    drain_all(bed, events, 2, 2);
    assert_int_equal(events[0].status, CISTERN_NO_SERVER);
    assert_int_equal(events[1].status, CISTERN_NO_SERVER);
    (void)drain(bed, events, 2);
    assert_false(readable(bed, false));
    bed_restart(bed, 2);
    assert_int_equal(cistern_fd(bed->handle), fd);
    assert_int_equal(cistern_wait_async(bed->handle, bed->keys, 0, 7), CISTERN_PENDING);
    drain_all(bed, events, 1, 2);
    assert_int_equal(events[0].cookie, 7);
    assert_int_equal(events[0].status, CISTERN_MISS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_come_with_their_cookies),
        TEST(answers_that_do_not_fit_keep_the_descriptor_readable),
        TEST(too_many_waits_are_a_limit),
        TEST(a_lost_server_answers_what_was_asked_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
