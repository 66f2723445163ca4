/* test_kill: kill -9 of a worker, at named points and at seeded moments: nothing leaks, nobody
 * hangs.
 *
 * An argument is the number of rounds of seeded moments; the quick suite does a few, `tests/run
 * long` many.
 */
#include "tests/check.h"
#include "tests/e2e/worker.h"
#include "tests/fault/scene.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Where a victim can be stopped. What it holds there is in the name. */
enum point {
    POINT_NOTHING = 1,
    POINT_ATTACHED,
    POINT_PINNED,
    POINT_LENT,
    POINT_HALF_WRITTEN,
    POINT_COMMITTED, /* the message is in the ring, nobody waited for its handling */
    POINT_CLAIMED,
    POINT_WAITING_ASYNC,
    POINT_COPYING,
    POINT_END
};

struct victim {
    const struct scene *scene;
    enum point stop; /* 0: never, it goes round and round */
    uint32_t flags;
    uint64_t seed;
};

static void pass(struct child_page *page, const struct victim *victim, enum point point)
{
    child_at(page, point);
    while (victim->stop == point) {
        (void)pause(); /* until it is killed */
    }
}

/* One round of all that a worker does. Statuses do not matter: other workers race with it. */
static void do_everything(
    struct child_page *page, const struct victim *victim, cistern_t *handle, uint64_t *random)
{
    struct cistern_key keys[8];
    struct cistern_view views[8];
    struct cistern_slot slots[4];
    static char block[WORKER_BLOCK_BYTES];
    size_t views_held = 0;
    size_t lent = 0;
    uint64_t bytes = 0;
    uint64_t first = check_random(random) % 512;
    for (uint64_t i = 0; i < 8; i++) {
        keys[i] = worker_key(first + i);
    }
    if (cistern_acquire(handle, keys, 8, views, &views_held) != CISTERN_OK) {
        views_held = 0;
    }
    pass(page, victim, POINT_PINNED);
    for (size_t i = 0; i < views_held; i++) {
        child_need(page, worker_is_right(views[i].data, views[i].bytes, first + i), "wrong bytes");
    }
    if (cistern_reserve(handle, 4, WORKER_WAIT_NS, slots, &lent) != CISTERN_OK) {
        lent = 0;
    }
    pass(page, victim, POINT_LENT);
    for (size_t i = 0; i < lent; i++) {
        worker_fill(slots[i].data, WORKER_BLOCK_BYTES / 2, first + i);
        pass(page, victim, POINT_HALF_WRITTEN);
        worker_fill(slots[i].data, WORKER_BLOCK_BYTES, first + i);
        if (i % 3 == 2) {
            (void)cistern_abort(handle, &slots[i]);
        } else {
            (void)cistern_commit(
                handle, &slots[i], &keys[i], i > 0 ? &keys[i - 1] : NULL, WORKER_BLOCK_BYTES);
        }
        pass(page, victim, POINT_COMMITTED);
    }
    (void)cistern_release(handle, views, views_held);
    (void)cistern_claim(handle, &keys[7]);
    pass(page, victim, POINT_CLAIMED);
    (void)cistern_wait_async(handle, &keys[6], WORKER_WAIT_NS, 1);
    pass(page, victim, POINT_WAITING_ASYNC);
    if (cistern_get(handle, &keys[0], block, sizeof block, &bytes) == CISTERN_OK) {
        child_need(page, worker_is_right(block, bytes, first), "wrong bytes in a copy");
    }
    pass(page, victim, POINT_COPYING);
}

static int live(void *context, struct child_page *page)
{
    const struct victim *victim = context;
    uint64_t random = victim->seed;
    pass(page, victim, POINT_NOTHING);
    cistern_t *handle = worker_open(page, victim->scene->daemon.socket, victim->flags);
    pass(page, victim, POINT_ATTACHED);
    for (uint64_t round = 0; round < 1000000; round++) {
        do_everything(page, victim, handle, &random);
    }
    return 0;
}

static void test_killed_at_named_points(void **state)
{
    struct scene *scene = *state;
    const uint32_t flags[] = {0, CISTERN_ISOLATED, CISTERN_CHECKSUM};
    for (int point = POINT_NOTHING; point < POINT_END; point++) {
        for (size_t i = 0; i < CHECK_COUNT(flags); i++) {
            struct victim victim = {.scene = scene,
                .stop = (enum point)point,
                .flags = flags[i],
                .seed = (uint64_t)point};
            struct child child;
            assert_true(child_start(&child, live, &victim));
            if (!child_reaches(&child, (uint32_t)point)) {
                (void)child_end(&child);
                fail_msg("the victim ended before point %d", point);
            }
            child_kill(&child);
            assert_true(gauge_becomes(&scene->gauge, COUNTER_sessions_now, 1));
        }
        assert_true(scene_is_unharmed(scene));
    }
}

static uint64_t rounds_wanted = 60;

static void test_killed_at_seeded_moments(void **state)
{
    struct scene *scene = *state;
    uint64_t random = check_seed();
    for (uint64_t round = 0; round < rounds_wanted; round++) {
        struct child victims[3];
        struct victim plans[3];
        for (int i = 0; i < 3; i++) {
            plans[i] = (struct victim){.scene = scene,
                .flags = check_random(&random) % 3 == 0 ? CISTERN_ISOLATED : 0,
                .seed = check_random(&random)};
            assert_true(child_start(&victims[i], live, &plans[i]));
        }
        struct timespec moment = {.tv_nsec = (long)(check_random(&random) % 20000000)};
        (void)nanosleep(&moment, NULL);
        for (int i = 0; i < 3; i++) {
            /* It must be the kill that ends it, not a wrong byte. */
            (void)kill(victims[i].pid, SIGKILL);
            assert_int_equal(child_end(&victims[i]), 1000 + SIGKILL);
        }
        assert_true(gauge_becomes(&scene->gauge, COUNTER_sessions_now, 1));
        if (round % 10 == 9) {
            assert_true(scene_is_unharmed(scene));
        }
    }
    assert_true(scene_is_unharmed(scene));
}

/* The sidecar itself is killed, while workers work: they live, and so does what comes after it. */
static void test_sidecar_killed_at_seeded_moments(void **state)
{
    struct scene *scene = *state;
    uint64_t random = check_seed();
    struct child workers[2];
    struct victim plans[2];
    for (int i = 0; i < 2; i++) {
        plans[i] = (struct victim){.scene = scene, .seed = check_random(&random)};
        assert_true(child_start(&workers[i], live, &plans[i]));
        assert_true(child_reaches(&workers[i], POINT_ATTACHED));
    }
    for (int round = 0; round < 10; round++) {
        struct timespec moment = {.tv_nsec = (long)(check_random(&random) % 50000000)};
        (void)nanosleep(&moment, NULL);
        daemon_kill(&scene->daemon);
        assert_true(daemon_restart(&scene->daemon));
        gauge_close(&scene->gauge);
        assert_true(gauge_open(&scene->gauge, scene->daemon.socket));
        /* The two find the way by themselves; the honest one, which makes no call now, need not. */
        assert_true(gauge_becomes(&scene->gauge, COUNTER_sessions_now, 2));
    }
    for (int i = 0; i < 2; i++) {
        (void)kill(workers[i].pid, SIGKILL);
        assert_int_equal(child_end(&workers[i]), 1000 + SIGKILL);
    }
    assert_true(gauge_becomes(&scene->gauge, COUNTER_sessions_now, 0));
}

int main(int argc, char **argv)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
    if (argc > 1) {
        rounds_wanted = strtoull(argv[1], NULL, 0);
    }
#define TEST(function) cmocka_unit_test_setup_teardown(function, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        TEST(test_killed_at_named_points),
        TEST(test_killed_at_seeded_moments),
        TEST(test_sidecar_killed_at_seeded_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
