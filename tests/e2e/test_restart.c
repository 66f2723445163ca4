/* test_restart: the sidecar stops or dies; its workers miss, keep what they read, and come back. */
#include "tests/check.h"
#include "tests/e2e/daemon.h"
#include "tests/e2e/gauge.h"
#include "tests/e2e/worker.h"

static bool is_no_cache(int status)
{
    return status == CISTERN_MISS || status == CISTERN_NO_SERVER;
}

/* Commit again and again until it works: what a worker does that computes without the cache
 * meanwhile. */
static void put_until_it_works(struct child_page *page, cistern_t *handle, uint64_t number)
{
    struct cistern_key key = worker_key(number);
    static char block[WORKER_BLOCK_BYTES];
    worker_fill(block, sizeof block, number);
    uint64_t deadline = child_now_ns() + (uint64_t)WORKER_WAIT_NS;
    int status = CISTERN_NO_SERVER;
    while (child_now_ns() < deadline) {
        status = cistern_put(handle, &key, NULL, block, sizeof block);
        if (status == CISTERN_OK && cistern_flush(handle, WORKER_WAIT_NS) == CISTERN_OK &&
            worker_look(page, handle, number) == CISTERN_OK) {
            return;
        }
        child_need(page,
            status == CISTERN_OK || status == CISTERN_NO_SERVER || status == CISTERN_BUSY,
            "put: %s: %s", cistern_status_name(status), cistern_why());
        child_nap();
    }
    child_need(
        page, false, "never attached again: %s: %s", cistern_status_name(status), cistern_why());
}

static int live_through_it(void *context, struct child_page *page)
{
    cistern_t *handle = worker_open(page, ((struct daemon *)context)->socket, 0);
    struct cistern_key key = worker_key(1);
    struct cistern_view view;
    struct cistern_slot slot;
    size_t count = 0;
    int fd = cistern_fd(handle);
    worker_put(page, handle, 1);
    int status = cistern_acquire(handle, &key, 1, &view, &count);
    child_need(page, status == CISTERN_OK, "acquire: %d", status);
    status = cistern_reserve(handle, 1, WORKER_WAIT_NS, &slot, &count);
    child_need(page, status == CISTERN_OK, "reserve: %d", status);
    child_at(page, 1);
    child_await(page, 1); /* the sidecar is gone */
    child_need(page, worker_is_right(view.data, view.bytes, 1), "a view changed");
    status = worker_look(page, handle, 2);
    child_need(page, is_no_cache(status), "a look without a sidecar: %d", status);
    child_at(page, 2);
    child_await(page, 2); /* a new one serves */
    child_need(page, worker_is_right(view.data, view.bytes, 1), "a view changed");
    put_until_it_works(page, handle, 2);
    child_need(page, worker_is_right(view.data, view.bytes, 1), "a view changed");
    /* What the dead sidecar lent is worth nothing to the new one. */
    struct cistern_key late = worker_key(3);
    status = cistern_commit(handle, &slot, &late, NULL, WORKER_BLOCK_BYTES);
    child_need(page, status == CISTERN_NO_SERVER || status == CISTERN_STALE,
        "a commit of an old slot: %s", cistern_status_name(status));
    child_need(page, worker_look(page, handle, 3) == CISTERN_MISS, "the old slot was published");
    status = cistern_release(handle, &view, 1);
    child_need(page, status == CISTERN_OK || status == CISTERN_NO_SERVER, "release: %d", status);
    struct cistern_stats stats = {.size = sizeof stats};
    child_need(page, cistern_stats(handle, &stats) == CISTERN_OK, "stats");
    child_need(page, stats.attached == 1 && stats.reattaches >= 1 && stats.violations == 0,
        "attached %u, reattaches %llu", stats.attached, (unsigned long long)stats.reattaches);
    child_need(page, cistern_fd(handle) == fd, "the descriptor to poll changed");
    cistern_close(&handle);
    return 0;
}

static void live_through(struct daemon *daemon, bool kill)
{
    struct child workers[2];
    for (int i = 0; i < 2; i++) {
        assert_true(child_start(&workers[i], live_through_it, daemon));
    }
    for (int i = 0; i < 2; i++) {
        assert_true(child_reaches(&workers[i], 1));
    }
    if (kill) {
        daemon_kill(daemon);
    } else {
        assert_true(daemon_stop(daemon));
    }
    for (int i = 0; i < 2; i++) {
        child_let(&workers[i], 1);
    }
    for (int i = 0; i < 2; i++) {
        assert_true(child_reaches(&workers[i], 2));
    }
    assert_true(daemon_restart(daemon));
    for (int i = 0; i < 2; i++) {
        child_let(&workers[i], 2);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(child_end(&workers[i]), 0);
    }
    struct gauge gauge;
    assert_true(gauge_open(&gauge, daemon->socket));
    assert_true(gauge_becomes(&gauge, COUNTER_sessions_now, 0));
    assert_true(gauge_becomes(&gauge, COUNTER_slots_lent, 0));
    gauge_close(&gauge);
}

static void test_workers_survive_a_stop(void **state)
{
    live_through(*state, false);
}

static void test_workers_survive_a_kill(void **state)
{
    live_through(*state, true);
}

static int open_and_fail(void *context, struct child_page *page)
{
    cistern_t *handle = NULL;
    int status = worker_try_open(((struct daemon *)context)->socket, 0, 0, &handle);
    child_need(page, status == CISTERN_NO_SERVER, "open: %s", cistern_status_name(status));
    child_need(page, handle == NULL, "a handle all the same");
    child_need(page, cistern_why()[0] != '\0', "no reason");
    return 0;
}

static void test_open_without_a_sidecar_says_so(void **state)
{
    struct daemon *daemon = *state;
    assert_true(daemon_stop(daemon));
    assert_int_equal(child_run(open_and_fail, daemon), 0);
    assert_true(daemon_restart(daemon));
    daemon_kill(daemon); /* the socket's file stays, nobody listens */
    assert_int_equal(child_run(open_and_fail, daemon), 0);
    assert_true(daemon_restart(daemon));
}

int main(void)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
#define TEST(function) cmocka_unit_test_setup_teardown(function, daemon_set_up, daemon_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_workers_survive_a_stop),
        TEST(test_workers_survive_a_kill),
        TEST(test_open_without_a_sidecar_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
