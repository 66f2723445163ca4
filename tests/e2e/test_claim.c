/* test_claim: a block is computed once per host, and a dead claimer is succeeded by a waiter. */
#include "tests/check.h"
#include "tests/e2e/daemon.h"
#include "tests/e2e/gauge.h"
#include "tests/e2e/worker.h"

#include <poll.h>

#define WAITERS 3

/* Point 1: the claim is ours. Told to go on: commit it. */
static int claim_and_commit(void *context, struct child_page *page)
{
    cistern_t *handle = worker_open(page, ((struct daemon *)context)->socket, 0);
    struct cistern_key key = worker_key(1);
    int status = cistern_claim(handle, &key);
    child_need(page, status == CISTERN_MINE, "claim: %s", cistern_status_name(status));
    child_at(page, 1);
    child_await(page, 1);
    worker_put(page, handle, 1);
    child_need(page, cistern_claim(handle, &key) == CISTERN_OK, "the block is not hot");
    cistern_close(&handle);
    return 0;
}

/* Point 1: it waits. Ends when the block is hot; computes it if the claim comes to it. */
static int wait_for_it(void *context, struct child_page *page)
{
    cistern_t *handle = worker_open(page, ((struct daemon *)context)->socket, 0);
    struct cistern_key key = worker_key(1);
    int status = cistern_claim(handle, &key);
    child_need(page, status == CISTERN_OTHER, "claim: %s", cistern_status_name(status));
    child_at(page, 1);
    status = cistern_wait(handle, &key, WORKER_WAIT_NS);
    shared64_store_release(&page->word[0], status == CISTERN_MINE);
    if (status == CISTERN_MINE) {
        worker_put(page, handle, 1);
    } else {
        child_need(page, status == CISTERN_OK, "wait: %s", cistern_status_name(status));
    }
    child_need(page, worker_look(page, handle, 1) == CISTERN_OK, "the block is not hot");
    cistern_close(&handle);
    return 0;
}

/* The same, through the descriptor that a program polls. */
static int wait_by_poll(void *context, struct child_page *page)
{
    cistern_t *handle = worker_open(page, ((struct daemon *)context)->socket, 0);
    struct cistern_key key = worker_key(1);
    struct cistern_event event = {0};
    size_t count = 0;
    int status = cistern_wait_async(handle, &key, WORKER_WAIT_NS, 4711);
    child_need(page, status == CISTERN_PENDING, "wait_async: %s", cistern_status_name(status));
    child_at(page, 1);
    struct pollfd look = {.fd = cistern_fd(handle), .events = POLLIN};
    uint64_t deadline = child_now_ns() + (uint64_t)WORKER_WAIT_NS;
    while (count == 0 && child_now_ns() < deadline) {
        (void)poll(&look, 1, 1000);
        status = cistern_drain(handle, &event, 1, &count);
        child_need(page, status == CISTERN_OK, "drain: %d", status);
    }
    child_need(page, count == 1 && event.cookie == 4711, "no answer");
    child_need(page, event.status == CISTERN_OK, "event: %s", cistern_status_name(event.status));
    child_need(page, worker_look(page, handle, 1) == CISTERN_OK, "the block is not hot");
    cistern_close(&handle);
    return 0;
}

static void test_others_wait_for_the_first(void **state)
{
    struct child claimer, waiters[WAITERS];
    struct gauge gauge;
    assert_true(gauge_open(&gauge, ((struct daemon *)*state)->socket));
    assert_true(child_start(&claimer, claim_and_commit, *state));
    assert_true(child_reaches(&claimer, 1));
    for (int i = 0; i < WAITERS; i++) {
        assert_true(child_start(&waiters[i], i == 0 ? wait_by_poll : wait_for_it, *state));
    }
    assert_true(gauge_becomes(&gauge, COUNTER_waits, WAITERS));
    child_let(&claimer, 1);
    assert_int_equal(child_end(&claimer), 0);
    for (int i = 0; i < WAITERS; i++) {
        assert_int_equal(child_end(&waiters[i]), 0);
    }
    assert_int_equal(gauge_get(&gauge, COUNTER_commits), 1);
    gauge_close(&gauge);
}

static void test_a_dead_claimer_is_succeeded(void **state)
{
    struct child claimer, waiters[WAITERS];
    struct gauge gauge;
    assert_true(gauge_open(&gauge, ((struct daemon *)*state)->socket));
    assert_true(child_start(&claimer, claim_and_commit, *state));
    assert_true(child_reaches(&claimer, 1));
    for (int i = 0; i < WAITERS; i++) {
        assert_true(child_start(&waiters[i], wait_for_it, *state));
    }
    assert_true(gauge_becomes(&gauge, COUNTER_waits, WAITERS));
    child_kill(&claimer);
    for (int i = 0; i < WAITERS; i++) {
        assert_int_equal(child_end(&waiters[i]), 0);
    }
    /* One of them computed it, the others got it from that one. */
    assert_int_equal(gauge_get(&gauge, COUNTER_commits), 1);
    assert_int_equal(gauge_get(&gauge, COUNTER_claims_passed), 1);
    gauge_close(&gauge);
}

static int wait_for_nobody(void *context, struct child_page *page)
{
    cistern_t *handle = worker_open(page, ((struct daemon *)context)->socket, 0);
    struct cistern_key key = worker_key(9);
    int status = cistern_wait(handle, &key, 0);
    child_need(page, status == CISTERN_MISS, "wait: %s", cistern_status_name(status));
    child_need(page, cistern_claim(handle, &key) == CISTERN_MINE, "claim");
    child_need(page, cistern_unclaim(handle, &key) == CISTERN_OK, "unclaim");
    child_need(page, cistern_claim(handle, &key) == CISTERN_MINE, "claim again");
    cistern_close(&handle);
    return 0;
}

static void test_a_wait_for_nobody_is_a_miss(void **state)
{
    assert_int_equal(child_run(wait_for_nobody, *state), 0);
}

int main(void)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
#define TEST(function) cmocka_unit_test_setup_teardown(function, daemon_set_up, daemon_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_others_wait_for_the_first),
        TEST(test_a_dead_claimer_is_succeeded),
        TEST(test_a_wait_for_nobody_is_a_miss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
