/* test_restart_warm: kill -9 of the server: its memory is taken over, and nobody loses anything. */
#include "tests/check.h"
#include "tests/e2e/daemon.h"
#include "tests/e2e/gauge.h"
#include "tests/e2e/worker.h"

#include "shm/slot.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#define BLOCKS 40u
#define POOL_BLOCKS 256u
#define KILLS 20u

static unsigned long long kills_wanted = KILLS;

static int set_up(void **state)
{
    static struct daemon daemon;
    static const char *const flags[] = {"--quarantine=200ms", NULL};
    *state = &daemon;
    return daemon_start(&daemon, flags) ? 0 : -1;
}

/* The oldest block goes first, whatever it was used for: so it is a victim, if nothing saves it. */
static int set_up_lru(void **state)
{
    static struct daemon daemon;
    static const char *const flags[] = {"--policy=lru", NULL};
    *state = &daemon;
    return daemon_start(&daemon, flags) ? 0 : -1;
}

struct plan {
    const struct daemon *daemon;
    uint32_t flags; /* of cistern_open() */
    uint64_t seed;
};

static int pin(
    struct child_page *page, cistern_t *handle, uint64_t number, struct cistern_view *out_view)
{
    struct cistern_key key = worker_key(number);
    size_t count = 0;
    int status = cistern_acquire(handle, &key, 1, out_view, &count);
    child_need(page, status == CISTERN_OK || status == CISTERN_MISS || status == CISTERN_NO_SERVER,
        "acquire: %s", cistern_status_name(status));
    return status;
}

/* Puts and pins before the kill; afterwards all of it is still there. */
static int keep_all(void *context, struct child_page *page)
{
    const struct plan *plan = context;
    cistern_t *handle = worker_open(page, plan->daemon->socket, plan->flags);
    struct cistern_view view;
    struct cistern_slot slot;
    size_t count = 0;
    for (uint64_t i = 0; i < BLOCKS; i++) {
        worker_put(page, handle, i);
    }
    child_need(page, pin(page, handle, 0, &view) == CISTERN_OK, "no pin");
    int status = cistern_reserve(handle, 1, WORKER_WAIT_NS, &slot, &count);
    child_need(page, status == CISTERN_OK, "reserve: %s", cistern_status_name(status));
    child_at(page, 1);
    child_await(page, 1); /* another server serves */
    child_need(page, worker_is_right(view.data, view.bytes, 0), "a view changed");
    for (uint64_t i = 0; i < BLOCKS; i++) {
        worker_find(page, handle, i);
    }
    child_at(page, 2);
    child_await(page, 2);
    struct cistern_key late = worker_key(BLOCKS);
    status = cistern_commit(handle, &slot, &late, NULL, WORKER_BLOCK_BYTES);
    child_need(page, status == CISTERN_NO_SERVER || status == CISTERN_STALE,
        "a commit of an old slot: %s", cistern_status_name(status));
    child_need(page, worker_look(page, handle, BLOCKS) == CISTERN_MISS, "it was published");
    child_need(page, worker_is_right(view.data, view.bytes, 0), "a view changed");
    child_need(page, cistern_release(handle, &view, 1) == CISTERN_OK, "release");
    child_at(page, 3);
    child_await(page, 3);
    struct cistern_stats stats = {.size = sizeof stats};
    child_need(page, cistern_stats(handle, &stats) == CISTERN_OK, "stats");
    child_need(page, stats.reattaches == 1 && stats.violations == 0 && stats.checksum_failures == 0,
        "reattaches %llu", (unsigned long long)stats.reattaches);
    worker_put(page, handle, BLOCKS + 1);
    cistern_close(&handle);
    return 0;
}

static void outlives(const struct daemon *daemon, uint32_t flags)
{
    struct child child;
    struct gauge gauge;
    struct plan plan = {.daemon = daemon, .flags = flags};
    assert_true(gauge_open(&gauge, daemon->socket));
    assert_true(child_start(&child, keep_all, &plan));
    assert_true(child_reaches(&child, 1));
    pid_t old = daemon_kill_server(daemon);
    assert_true(old > 0);
    assert_true(daemon_awaits(daemon, old) > 0);
    /* The same memory: the observer's mapping goes on. */
    assert_int_equal(gauge_get(&gauge, COUNTER_restarts), 1);
    assert_int_equal(gauge_get(&gauge, COUNTER_restart_blocks), BLOCKS);
    child_let(&child, 1);
    assert_true(child_reaches(&child, 2));
    /* The old lane stands for the view and the slot that it still has. */
    assert_int_equal(gauge_get(&gauge, COUNTER_sessions_now), 2);
    child_let(&child, 2);
    assert_true(child_reaches(&child, 3));
    assert_true(gauge_becomes(&gauge, COUNTER_sessions_now, 1));
    child_let(&child, 3);
    assert_int_equal(child_end(&child), 0);
    assert_true(gauge_becomes(&gauge, COUNTER_sessions_now, 0));
    assert_true(gauge_becomes(&gauge, COUNTER_slots_lent, 0));
    assert_int_equal(gauge_slots(&gauge, SLOT_VALID), BLOCKS + 1);
    assert_int_equal(gauge_get(&gauge, COUNTER_slots_hot), BLOCKS + 1);
    gauge_close(&gauge);
}

static void test_blocks_and_pins_outlive_the_server(void **state)
{
    outlives(*state, 0);
}

static void test_those_of_isolated_workers_too(void **state)
{
    outlives(*state, CISTERN_ISOLATED);
}

/* Holds views over a kill, and over more commits than the pool has room for. */
static int hold_on(void *context, struct child_page *page)
{
    const struct plan *plan = context;
    cistern_t *handle = worker_open(page, plan->daemon->socket, 0);
    struct cistern_view views[8];
    for (uint64_t i = 0; i < 8; i++) {
        worker_put(page, handle, i);
        child_need(page, pin(page, handle, i, &views[i]) == CISTERN_OK, "no pin");
    }
    child_at(page, 1);
    child_await(page, 1);
    for (uint64_t i = 0; i < 8; i++) {
        child_need(page, worker_is_right(views[i].data, views[i].bytes, i), "a view changed");
    }
    child_at(page, 2);
    child_await(page, 2);
    child_need(page, cistern_release(handle, views, 8) == CISTERN_OK, "release");
    cistern_close(&handle);
    return 0;
}

static int flood(void *context, struct child_page *page)
{
    const struct plan *plan = context;
    cistern_t *handle = worker_open(page, plan->daemon->socket, 0);
    for (uint64_t i = 0; i < 4 * POOL_BLOCKS; i++) {
        worker_put(page, handle, 1000 + i);
    }
    for (uint64_t i = 0; i < 8; i++) {
        child_need(
            page, worker_look(page, handle, i) == CISTERN_OK, "pinned block %u went", (unsigned)i);
    }
    cistern_close(&handle);
    return 0;
}

static void test_pins_of_before_the_kill_stop_evictions_after_it(void **state)
{
    const struct daemon *daemon = *state;
    struct child child;
    struct gauge gauge;
    struct plan plan = {.daemon = daemon};
    assert_true(gauge_open(&gauge, daemon->socket));
    assert_true(child_start(&child, hold_on, &plan));
    assert_true(child_reaches(&child, 1));
    pid_t old = daemon_kill_server(daemon);
    assert_true(daemon_awaits(daemon, old) > 0);
    assert_int_equal(child_run(flood, &plan), 0);
    assert_true(gauge_get(&gauge, COUNTER_evictions) > POOL_BLOCKS);
    child_let(&child, 1);
    assert_true(child_reaches(&child, 2));
    child_let(&child, 2);
    assert_int_equal(child_end(&child), 0);
    gauge_close(&gauge);
}

static void test_a_worker_that_died_meanwhile_is_found_out(void **state)
{
    const struct daemon *daemon = *state;
    struct child child;
    struct gauge gauge;
    struct plan plan = {.daemon = daemon};
    assert_true(gauge_open(&gauge, daemon->socket));
    assert_true(child_start(&child, keep_all, &plan));
    assert_true(child_reaches(&child, 1));
    assert_int_equal(kill(daemon->pid, SIGSTOP), 0); /* the keeper: no server yet */
    pid_t old = daemon_kill_server(daemon);
    child_kill(&child);
    assert_int_equal(kill(daemon->pid, SIGCONT), 0);
    assert_true(daemon_awaits(daemon, old) > 0);
    assert_true(gauge_becomes(&gauge, COUNTER_sessions_now, 0));
    assert_true(gauge_becomes(&gauge, COUNTER_slots_lent, 0));
    assert_int_equal(gauge_slots(&gauge, SLOT_VALID), BLOCKS);
    gauge_close(&gauge);
}

/* A busy worker that does not care whether a server is there. */
static int work_on(void *context, struct child_page *page)
{
    const struct plan *plan = context;
    cistern_t *handle = worker_open(page, plan->daemon->socket, plan->flags);
    static char block[WORKER_BLOCK_BYTES];
    uint64_t random = plan->seed;
    struct cistern_view held;
    uint64_t held_number = UINT64_MAX;
    child_at(page, 1);
    for (uint64_t turn = 0; shared32_load_acquire(&page->go) == 0; turn++) {
        uint64_t number = check_random(&random) % (2 * POOL_BLOCKS);
        struct cistern_key key = worker_key(number);
        switch (check_random(&random) % 4) {
        case 0:
            worker_fill(block, sizeof block, number);
            int status = cistern_put(handle, &key, NULL, block, sizeof block);
            child_need(page, status != CISTERN_INVALID && status != CISTERN_MALFORMED, "put: %s",
                cistern_status_name(status));
            break;
        case 1:
            if (held_number == UINT64_MAX && pin(page, handle, number, &held) == CISTERN_OK) {
                held_number = number;
            } else if (held_number != UINT64_MAX) {
                child_need(
                    page, worker_is_right(held.data, held.bytes, held_number), "a wrong byte");
                child_need(page, cistern_release(handle, &held, 1) == CISTERN_OK, "release");
                held_number = UINT64_MAX;
            }
            break;
        default:
            (void)worker_look(page, handle, number);
            break;
        }
        shared64_store_relaxed(&page->word[0], turn);
    }
    if (held_number != UINT64_MAX) {
        child_need(page, worker_is_right(held.data, held.bytes, held_number), "a wrong byte");
        (void)cistern_release(handle, &held, 1);
    }
    struct cistern_stats stats = {.size = sizeof stats};
    child_need(page, cistern_stats(handle, &stats) == CISTERN_OK, "stats");
    child_need(page, stats.violations == 0, "violations");
    cistern_close(&handle);
    return 0;
}

/* No slot is in `state` any more; what a killed server was writing rests for a while. */
static bool none_is(const struct gauge *gauge, enum slot_state state)
{
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    while (gauge_slots(gauge, (uint32_t)state) > 0 && child_now_ns() < deadline) {
        child_nap();
    }
    return gauge_slots(gauge, (uint32_t)state) == 0;
}

static void test_killed_again_and_again_at_seeded_moments(void **state)
{
    const struct daemon *daemon = *state;
    uint64_t random = check_seed();
    struct child children[3];
    struct plan plans[3];
    struct gauge gauge;
    assert_true(gauge_open(&gauge, daemon->socket));
    for (int i = 0; i < 3; i++) {
        plans[i] = (struct plan){.daemon = daemon,
            .flags = i == 2 ? CISTERN_ISOLATED : 0,
            .seed = check_random(&random)};
        assert_true(child_start(&children[i], work_on, &plans[i]));
        assert_true(child_reaches(&children[i], 1));
    }
    pid_t server = daemon_server(daemon);
    for (unsigned long long i = 0; i < kills_wanted; i++) {
        struct timespec moment = {.tv_nsec = (long)(check_random(&random) % 60000000)};
        (void)nanosleep(&moment, NULL);
        assert_int_equal(daemon_kill_server(daemon), server);
        server = daemon_awaits(daemon, server);
        assert_true(server > 0);
    }
    for (int i = 0; i < 3; i++) {
        child_let(&children[i], 1);
        assert_int_equal(child_end(&children[i]), 0);
    }
    assert_int_equal(gauge_get(&gauge, COUNTER_restarts), kills_wanted);
    assert_true(gauge_becomes(&gauge, COUNTER_sessions_now, 0));
    assert_true(gauge_becomes(&gauge, COUNTER_slots_lent, 0));
    assert_true(none_is(&gauge, SLOT_RESERVED));
    assert_true(none_is(&gauge, SLOT_LOADING));
    assert_true(none_is(&gauge, SLOT_EVICTING));
    assert_int_equal(gauge_slots(&gauge, SLOT_VALID), gauge_get(&gauge, COUNTER_slots_hot));
    assert_true(gauge_get(&gauge, COUNTER_evictions) > 0);
    gauge_close(&gauge);
}

int main(int argc, char **argv)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
    if (argc > 1) {
        kills_wanted = strtoull(argv[1], NULL, 0);
    }
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, daemon_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_blocks_and_pins_outlive_the_server),
        TEST(test_those_of_isolated_workers_too),
        cmocka_unit_test_setup_teardown(
            test_pins_of_before_the_kill_stop_evictions_after_it, set_up_lru, daemon_tear_down),
        TEST(test_a_worker_that_died_meanwhile_is_found_out),
        TEST(test_killed_again_and_again_at_seeded_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
