/* test_fetch_async: a fetch that nobody waits for is answered once, with a count of the caller's
 * own blocks. */
#include "tests/unit/libclient/bed.h"

#include <poll.h>

#define LATER (20 * BED_SECOND)

/* The next answer, for which the descriptor becomes readable within ten seconds. */
static struct cistern_event next_event(struct bed *bed)
{
    struct pollfd look = {.fd = cistern_fd(bed->handle), .events = POLLIN};
    struct cistern_event event = {0};
    size_t count = 0;
    for (int i = 0; i < 100 && count == 0; i++) {
        assert_int_equal(poll(&look, 1, 10000), 1);
        assert_int_equal(cistern_drain(bed->handle, &event, 1, &count), CISTERN_OK);
    }
    assert_int_equal(count, 1);
    return event;
}

static void check_no_event(struct bed *bed)
{
    struct cistern_event event;
    size_t count = 99;
    bed_flush(bed);
    assert_int_equal(cistern_drain(bed->handle, &event, 1, &count), CISTERN_OK);
    assert_int_equal(count, 0);
}

/* One prefix a row, ten keys apart: h hot, c cold, l a hint of what is lost, . nothing. */
static void answers_count_from_the_start_of_what_was_asked(void **state)
{
    struct bed *bed = *state;
    const struct {
        const char *blocks;
        uint32_t asked; /* 0: no message */
        uint32_t hot;
    } rows[] = {
        {"hhcccc", 4, 6},
        {"hhclcc", 4, 3},
        {"hhchc.", 3, 5},
        {"hhlhc.", 3, 2},
        {"cchhcl", 6, 5},
        {"lccc..", 4, 0},
        {"hhh.cc", 0, 3},
        {"hhhhhh", 0, 6},
        {"..cccc", 0, 0},
    };
    for (uint32_t row = 0; row < CHECK_COUNT(rows); row++) {
        struct cistern_key *keys = &bed->keys[10 * row];
        struct double_seen before;
        struct double_seen after;
        double_look(&bed->server, &before);
        for (uint32_t i = 0; i < 6; i++) {
            if (rows[row].blocks[i] == 'h') {
                (void)double_add(&bed->server, &keys[i], 1, 64);
            } else if (rows[row].blocks[i] == 'c') {
                double_store(&bed->server, &keys[i], 1, 64);
            } else if (rows[row].blocks[i] == 'l') {
                double_add_cold(&bed->server, &keys[i]);
            }
        }
        assert_int_equal(
            cistern_fetch_async(bed->handle, keys, 6, LATER, 1000 + row), CISTERN_PENDING);
        struct cistern_event event = next_event(bed);
        assert_int_equal(event.cookie, 1000 + row);
        assert_int_equal(event.hot, rows[row].hot);
        assert_int_equal(event.status, rows[row].hot > 0 ? CISTERN_OK : CISTERN_MISS);
        bed_flush(bed);
        double_look(&bed->server, &after);
        assert_int_equal(after.batches - before.batches, rows[row].asked == 0 ? 0 : 1);
        assert_true(rows[row].asked == 0 || after.last.count == rows[row].asked);
    }
    check_no_event(bed);
}

static void a_foreign_answer_is_no_more_than_a_status(void **state)
{
    struct bed *bed = *state;
    const struct {
        enum double_spoil spoil;
        int32_t refuses;
        int32_t status;
        uint32_t hot;
    } rows[] = {
        {DOUBLE_COUNT, 0, CISTERN_OK, 1}, /* more than were asked for: what it says counts for 0 */
        {DOUBLE_STATUS, 0, CISTERN_OK, 2},
        {DOUBLE_SOUND, CISTERN_BUSY, CISTERN_BUSY, 0},
        {DOUBLE_SOUND, CISTERN_LIMIT, CISTERN_LIMIT, 0},
    };
    for (uint32_t row = 0; row < CHECK_COUNT(rows); row++) {
        (void)double_add(&bed->server, &bed->keys[10 * row], 1, 64);
        double_store(&bed->server, &bed->keys[10 * row + 1], 1, 64);
        double_fetches(&bed->server,
            &(struct double_fetching){.spoil = rows[row].spoil, .refuses = rows[row].refuses});
        assert_int_equal(
            cistern_fetch_async(bed->handle, &bed->keys[10 * row], 2, LATER, row), CISTERN_PENDING);
        struct cistern_event event = next_event(bed);
        assert_int_equal(event.cookie, row);
        assert_int_equal(event.status, rows[row].status);
        assert_int_equal(event.hot, rows[row].hot);
    }
    /* An answer to a wait, or of no request, is nobody's. */
    double_store(&bed->server, &bed->keys[100], 1, 64);
    double_fetches(&bed->server, &(struct double_fetching){.spoil = DOUBLE_TYPE});
    assert_int_equal(
        cistern_fetch_async(bed->handle, &bed->keys[100], 1, LATER, 7), CISTERN_PENDING);
    check_no_event(bed);
    double_store(&bed->server, &bed->keys[101], 1, 64);
    double_fetches(&bed->server, &(struct double_fetching){.spoil = DOUBLE_COOKIE});
    assert_int_equal(
        cistern_fetch_async(bed->handle, &bed->keys[101], 1, LATER, 8), CISTERN_PENDING);
    check_no_event(bed);
}

static void a_lost_sidecar_answers_what_was_asked_of_it(void **state)
{
    struct bed *bed = *state;
    (void)double_add(&bed->server, &bed->keys[0], 1, 64);
    double_store(&bed->server, &bed->keys[1], 1, 64);
    double_fetches(&bed->server, &(struct double_fetching){.holds = true});
    assert_int_equal(cistern_fetch_async(bed->handle, bed->keys, 2, LATER, 5), CISTERN_PENDING);
    check_no_event(bed);
    double_crash(&bed->server);
    struct cistern_event event = next_event(bed);
    assert_int_equal(event.cookie, 5);
    assert_int_equal(event.status, CISTERN_NO_SERVER);
    assert_int_equal(event.hot, 0);
    bed_restart(bed, 2);
}

static void waits_and_fetches_share_one_descriptor(void **state)
{
    struct bed *bed = *state;
    uint8_t data[8] = {0};
    double_store(&bed->server, &bed->keys[0], 1, 64);
    assert_int_equal(cistern_claim(bed->handle, &bed->keys[1]), CISTERN_MINE);
    assert_int_equal(cistern_wait_async(bed->handle, &bed->keys[1], LATER, 1), CISTERN_PENDING);
    assert_int_equal(cistern_fetch_async(bed->handle, bed->keys, 1, LATER, 2), CISTERN_PENDING);
    struct cistern_event event = next_event(bed);
    assert_int_equal(event.cookie, 2);
    assert_int_equal(event.hot, 1);
    assert_int_equal(cistern_put(bed->handle, &bed->keys[1], NULL, data, sizeof data), CISTERN_OK);
    event = next_event(bed);
    assert_int_equal(event.cookie, 1);
    assert_int_equal(event.status, CISTERN_OK);
    assert_int_equal(event.hot, 0);
}

/* No room for the batch within a second: it is refused, and no answer comes later. */
static void a_batch_that_found_no_room_is_refused(void **state)
{
    struct bed *bed = *state;
    for (uint32_t i = 0; i < BED_KEYS; i++) {
        double_store(&bed->server, &bed->keys[i], 1, 64);
    }
    double_mute(&bed->server, true);
    assert_int_equal(
        cistern_fetch_async(bed->handle, bed->keys, BED_KEYS, LATER, 1), CISTERN_PENDING);
    assert_int_equal(cistern_fetch_async(bed->handle, bed->keys, BED_KEYS, LATER, 2), CISTERN_BUSY);
    double_mute(&bed->server, false);
    struct cistern_event event = next_event(bed);
    assert_int_equal(event.cookie, 1);
    assert_int_equal(event.hot, BED_KEYS);
    check_no_event(bed);
    double_crash(&bed->server);
    for (int i = 0; i < 2; i++) { /* the first one finds out; nothing is left to be answered */
        size_t count = 99;
        assert_int_equal(cistern_drain(bed->handle, &event, 1, &count), CISTERN_OK);
        assert_int_equal(count, 0);
    }
    bed_restart(bed, 2);
    assert_int_equal(cistern_fetch_async(bed->handle, bed->keys, 1, -1, 3), CISTERN_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_count_from_the_start_of_what_was_asked),
        TEST(a_foreign_answer_is_no_more_than_a_status),
        TEST(a_lost_sidecar_answers_what_was_asked_of_it),
        TEST(waits_and_fetches_share_one_descriptor),
        TEST(a_batch_that_found_no_room_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
