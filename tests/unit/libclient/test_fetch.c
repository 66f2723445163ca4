/* test_fetch: what is cold is brought up, or it is a miss, whatever the sidecar answers. */
#include "tests/unit/libclient/bed.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOON (BED_SECOND / 100)
#define LATER (20 * BED_SECOND)

static void store(struct bed *bed, uint32_t from, uint32_t end)
{
    for (uint32_t i = from; i < end; i++) {
        double_store(&bed->server, &bed->keys[i], (uint8_t)(i + 1), DOUBLE_BLOCK);
    }
}

static struct double_seen look(struct bed *bed)
{
    struct double_seen seen;
    double_look(&bed->server, &seen);
    return seen;
}

static void check_acquired(struct bed *bed, uint32_t from, uint32_t count)
{
    struct cistern_view views[BED_KEYS];
    size_t got = 0;
    assert_int_equal(
        cistern_acquire(bed->handle, bed->keys + from, count, views, &got), CISTERN_OK);
    assert_int_equal(got, count);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *data = views[i].data;
        assert_int_equal(views[i].bytes, DOUBLE_BLOCK);
        assert_int_equal(data[0], (uint8_t)(from + i + 1));
        assert_int_equal(data[DOUBLE_BLOCK - 1], (uint8_t)(from + i + 1));
    }
    assert_int_equal(cistern_release(bed->handle, views, got), CISTERN_OK);
}

static void cold_blocks_come_and_can_be_acquired(void **state)
{
    struct bed *bed = *state;
    size_t hot = 0;
    for (uint32_t i = 0; i < 4; i++) {
        (void)double_add(&bed->server, &bed->keys[i], (uint8_t)(i + 1), DOUBLE_BLOCK);
    }
    store(bed, 4, 9);
    assert_int_equal(cistern_fetch(bed->handle, bed->keys, BED_KEYS, LATER, &hot), CISTERN_OK);
    assert_int_equal(hot, 9);
    check_acquired(bed, 0, 9);
}

static void what_needs_no_message_sends_none(void **state)
{
    struct bed *bed = *state;
    size_t hot = 99;
    assert_int_equal(cistern_fetch(bed->handle, bed->keys, 5, LATER, &hot), CISTERN_MISS);
    assert_int_equal(hot, 99);
    (void)double_add(&bed->server, &bed->keys[0], 1, 64);
    (void)double_add(&bed->server, &bed->keys[1], 1, 64);
    assert_int_equal(cistern_fetch(bed->handle, bed->keys, 2, LATER, &hot), CISTERN_OK);
    assert_int_equal(hot, 2);
    /* Behind a block that nobody has nothing is asked for. */
    store(bed, 3, 5);
    assert_int_equal(cistern_fetch(bed->handle, bed->keys, 5, LATER, &hot), CISTERN_OK);
    assert_int_equal(hot, 2);
    bed_flush(bed);
    assert_int_equal(look(bed).batches, 0);
}

static void what_no_tier_has_after_all_ends_the_prefix(void **state)
{
    struct bed *bed = *state;
    size_t hot = 99;
    double_add_cold(&bed->server, &bed->keys[0]);
    store(bed, 1, 3);
    assert_int_equal(cistern_fetch(bed->handle, bed->keys, 3, LATER, &hot), CISTERN_MISS);
    assert_int_equal(hot, 99);
    store(bed, 10, 12);
    double_add_cold(&bed->server, &bed->keys[12]);
    store(bed, 13, 15);
    assert_int_equal(cistern_fetch(bed->handle, bed->keys + 10, 5, LATER, &hot), CISTERN_OK);
    assert_int_equal(hot, 2);
    check_acquired(bed, 10, 2);
}

static void late_is_a_miss_and_the_answer_is_not_mistaken_for_another(void **state)
{
    struct bed *bed = *state;
    size_t hot = 99;
    store(bed, 0, 4);
    double_fetches(&bed->server, &(struct double_fetching){.holds = true});
    assert_int_equal(cistern_fetch(bed->handle, bed->keys, 2, 0, &hot), CISTERN_MISS);
    assert_int_equal(cistern_fetch(bed->handle, bed->keys, 2, SOON, &hot), CISTERN_MISS);
    assert_int_equal(hot, 99);
    bed_flush(bed);
    assert_int_equal(look(bed).cancels, 2);
    /* A sidecar that does not even read: the answer comes when the call is over. */
    double_mute(&bed->server, true);
    double_fetches(&bed->server, &(struct double_fetching){0});
    assert_int_equal(cistern_fetch(bed->handle, bed->keys, 2, SOON, &hot), CISTERN_MISS);
    double_mute(&bed->server, false);
    assert_int_equal(cistern_fetch(bed->handle, bed->keys, 4, LATER, &hot), CISTERN_OK);
    assert_int_equal(hot, 4);
    check_acquired(bed, 0, 4);
}

static void only_a_fetch_answers_a_fetch(void **state)
{
    struct bed *bed = *state;
    const struct {
        enum double_spoil spoil;
        int32_t refuses;
        int64_t timeout_ns;
        int status;
        const char *why;
    } rows[] = {
        {DOUBLE_TYPE, 0, LATER, CISTERN_MALFORMED, "type 3"},
        {DOUBLE_STATUS, 0, LATER, CISTERN_MALFORMED, "status 4"},
        {DOUBLE_SOUND, CISTERN_LIMIT, LATER, CISTERN_LIMIT, "the sidecar says"},
        {DOUBLE_SOUND, CISTERN_BUSY, LATER, CISTERN_BUSY, "the sidecar says"},
        /* Of nobody's request: it is late, and the block is there all the same. */
        {DOUBLE_COOKIE, 0, SOON, CISTERN_OK, NULL},
        {DOUBLE_COUNT, 0, LATER, CISTERN_OK, NULL},
        {DOUBLE_PART_UNASKED, 0, LATER, CISTERN_OK, NULL},
    };
    for (uint32_t i = 0; i < CHECK_COUNT(rows); i++) {
        size_t hot = 99;
        store(bed, i, i + 1);
        double_fetches(&bed->server,
            &(struct double_fetching){.spoil = rows[i].spoil, .refuses = rows[i].refuses});
        int status = cistern_fetch(bed->handle, &bed->keys[i], 1, rows[i].timeout_ns, &hot);
        assert_int_equal(status, rows[i].status);
        assert_int_equal(hot, status == CISTERN_OK ? 1 : 99);
        if (rows[i].why != NULL) {
            assert_non_null(strstr(cistern_why(), rows[i].why));
        }
    }
}

struct errand {
    struct bed *bed;
    uint32_t from;
    uint32_t count;
    uint32_t step; /* blocks a fetch */
    int status;
};

/* Fetch range by range, until one does not come. */
static void *fetch_elsewhere(void *argument)
{
    struct errand *errand = argument;
    for (uint32_t i = 0; i < errand->count && errand->status == CISTERN_OK; i += errand->step) {
        size_t hot = 0;
        errand->status = cistern_fetch(
            errand->bed->handle, errand->bed->keys + errand->from + i, errand->step, LATER, &hot);
        if (errand->status == CISTERN_OK && hot != errand->step) {
            errand->status = CISTERN_MISS;
        }
    }
    return NULL;
}

/* Return when a thread sleeps for its answer, as it must say before it does. */
static void until_asleep(struct bed *bed)
{
    bool asleep = false;
    for (int i = 0; i < 10000 && !asleep; i++) {
        for (uint32_t seat = 0; seat < 2; seat++) {
            const struct seat_client *words = bed->server.sessions[0].seats[seat].client;
            asleep = asleep || shared32_load_acquire(&words->sleeping) == 1;
        }
        (void)poll(NULL, 0, 1);
    }
    assert_true(asleep);
}

static void a_sleeper_is_woken_and_a_lost_sidecar_ends_the_wait(void **state)
{
    struct bed *bed = *state;
    store(bed, 0, 4);
    double_fetches(&bed->server, &(struct double_fetching){.holds = true});
    for (uint32_t lost = 0; lost <= 1; lost++) {
        struct errand errand = {.bed = bed, .from = 2 * lost, .count = 2, .step = 2};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, fetch_elsewhere, &errand), 0);
        until_asleep(bed);
        if (lost == 0) {
            double_finish(&bed->server, true);
        } else {
            double_crash(&bed->server);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(errand.status, lost == 0 ? CISTERN_OK : CISTERN_NO_SERVER);
    }
    bed_restart(bed, 2);
    size_t hot = 0;
    store(bed, 0, 4);
    assert_int_equal(cistern_fetch(bed->handle, bed->keys, 4, LATER, &hot), CISTERN_OK);
    assert_int_equal(hot, 4);
}

static void threads_fetch_at_once(void **state)
{
    struct bed *bed = *state;
    struct errand errands[2];
    pthread_t threads[2];
    store(bed, 0, 120);
    for (uint32_t i = 0; i < 2; i++) {
        errands[i] = (struct errand){.bed = bed, .from = 60 * i, .count = 60, .step = 2 + i};
        assert_int_equal(pthread_create(&threads[i], NULL, fetch_elsewhere, &errands[i]), 0);
    }
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(errands[i].status, CISTERN_OK);
    }
    assert_int_equal(look(bed).batches, 30 + 20);
    check_acquired(bed, 0, 120);
}

static void a_prefetch_asks_and_does_not_wait(void **state)
{
    struct bed *bed = *state;
    struct cistern_match match = {.size = sizeof match};
    store(bed, 0, BED_KEYS);
    assert_int_equal(cistern_prefetch(bed->handle, bed->keys, 3), CISTERN_OK);
    bed_flush(bed);
    struct double_seen seen = look(bed);
    assert_int_equal(seen.last.first.flags, REQUEST_AHEAD);
    assert_int_equal(seen.last.count, 3);
    assert_int_equal(cistern_match(bed->handle, bed->keys, BED_KEYS, &match), CISTERN_OK);
    assert_int_equal(match.hot, 3);
    assert_int_equal(match.cold, BED_KEYS - 3);
    /* What a sidecar that is behind has no room for is left out; what went is whole. */
    double_mute(&bed->server, true);
    assert_int_equal(cistern_prefetch(bed->handle, bed->keys, BED_KEYS), CISTERN_OK);
    assert_int_equal(cistern_prefetch(bed->handle, bed->keys, BED_KEYS), CISTERN_OK);
    assert_int_equal(cistern_prefetch(bed->handle, bed->keys, BED_KEYS), CISTERN_OK);
    double_mute(&bed->server, false);
    bed_flush(bed);
    seen = look(bed);
    assert_int_equal(seen.batches, 3);
    assert_int_equal(seen.cut, 0);
    assert_int_equal(seen.last.count, LANE_REQUESTS - (BED_KEYS - 3));
    assert_memory_equal(&seen.last.parents[0], &bed->keys[2], sizeof *bed->keys);
}

static void wrong_calls_are_refused(void **state)
{
    struct bed *bed = *state;
    cistern_t *handle = bed->handle;
    const struct cistern_key *keys = bed->keys;
    size_t hot;
    assert_int_equal(cistern_fetch(NULL, keys, 1, 0, &hot), CISTERN_INVALID);
    assert_int_equal(cistern_fetch(handle, NULL, 1, 0, &hot), CISTERN_INVALID);
    assert_int_equal(cistern_fetch(handle, keys, 0, 0, &hot), CISTERN_INVALID);
    assert_int_equal(cistern_fetch(handle, keys, 65537, 0, &hot), CISTERN_INVALID);
    assert_non_null(strstr(cistern_why(), "65536"));
    assert_int_equal(cistern_fetch(handle, keys, 1, -1, &hot), CISTERN_INVALID);
    assert_int_equal(cistern_fetch(handle, keys, 1, 0, NULL), CISTERN_INVALID);
    assert_int_equal(cistern_prefetch(NULL, keys, 1), CISTERN_INVALID);
    assert_int_equal(cistern_prefetch(handle, keys, 65537), CISTERN_INVALID);
    pid_t child = fork();
    if (child == 0) {
        bool told = cistern_fetch(handle, keys, 1, 0, &hot) == CISTERN_FORKED &&
                    cistern_fetch_async(handle, keys, 1, 0, 0) == CISTERN_FORKED &&
                    cistern_prefetch(handle, keys, 1) == CISTERN_FORKED;
        _exit(told ? 0 : 1);
    }
    int ended = 0;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cold_blocks_come_and_can_be_acquired),
        TEST(what_needs_no_message_sends_none),
        TEST(what_no_tier_has_after_all_ends_the_prefix),
        TEST(late_is_a_miss_and_the_answer_is_not_mistaken_for_another),
        TEST(only_a_fetch_answers_a_fetch),
        TEST(a_sleeper_is_woken_and_a_lost_sidecar_ends_the_wait),
        TEST(threads_fetch_at_once),
        TEST(a_prefetch_asks_and_does_not_wait),
        TEST(wrong_calls_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
