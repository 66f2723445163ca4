/* A put through lent slots costs no allocation, and no system call but the bell of a sleeping
 * sidecar. */
#include "tests/budget/stage.h"
#include "tests/check.h"

#include <inttypes.h>
#include <string.h>

#define ROUNDS 200u
#define PUTS_A_ROUND 16u
#define SLEEPERS 200u /* puts to a sidecar that sleeps */
#define BYTES 256u

static const char *const polling[] = {"--pool=64MiB", "--poll=10ms", NULL};
static const char *const polling_epoll[] = {"--pool=64MiB", "--poll=10ms", "--io=epoll", NULL};
static const char *const sleeping[] = {"--pool=64MiB", "--poll=0", NULL};
static const char *const sleeping_epoll[] = {"--pool=64MiB", "--poll=0", "--io=epoll", NULL};

static uint64_t bells(const struct stage *stage)
{
    struct cistern_stats stats = {.size = sizeof stats};
    int status = cistern_stats(stage->handle, &stats);
    child_need(stage->page, status == CISTERN_OK, "stats: %s", cistern_status_name(status));
    return stats.bells;
}

/* A reserve that does not wait, until slots are lent: so the only calls there can be are bells. */
static void put(struct stage *stage, uint64_t number)
{
    struct cistern_slot slot;
    size_t count = 0;
    int status = CISTERN_BUSY;
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    while (status == CISTERN_BUSY && child_now_ns() < deadline) {
        status = cistern_reserve(stage->handle, 1, 0, &slot, &count);
        shared_relax();
    }
    child_need(stage->page, status == CISTERN_OK, "reserve: %s: %s", cistern_status_name(status),
        cistern_why());
    worker_fill(slot.data, BYTES, number);
    struct cistern_key key = worker_key(number);
    status = cistern_commit(stage->handle, &slot, &key, NULL, BYTES);
    child_need(stage->page, status == CISTERN_OK, "commit: %s", cistern_status_name(status));
}

static void puts_to_a_polling_sidecar(struct stage *stage)
{
    stage_arm();
    uint64_t number = UINT64_C(1) << 32;
    uint64_t rung_before = bells(stage);
    uint32_t awake = 0; /* rounds in which it never slept */
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint64_t rung = bells(stage);
        uint64_t sleeps = gauge_get(&stage->gauge, COUNTER_sleeps);
        bool sleeps_now =
            (shared32_load_relaxed(&stage->gauge.index.header->server_sleeping) & 1) != 0;
        tally_start();
        for (uint32_t i = 0; i < PUTS_A_ROUND; i++) {
            put(stage, number++);
        }
        struct tally tally = tally_stop();
        rung = bells(stage) - rung;
        stage_expect(stage, "puts", &tally, rung);
        if (!sleeps_now && gauge_get(&stage->gauge, COUNTER_sleeps) == sleeps) {
            child_need(stage->page, rung == 0, "%" PRIu64 " bells rung for nobody", rung);
            awake++;
        }
    }
    (void)printf("puts: %u of %u rounds without a sleep of the sidecar, %" PRIu64 " bells in all\n",
        awake, ROUNDS, bells(stage) - rung_before);
    (void)fflush(stdout);
    child_need(stage->page, awake > 0, "the sidecar slept in every round: nothing was shown");
}

/* Wait until the sidecar sleeps, and not still since the bell of `last`. Returns the sleep's
 * number. */
static uint32_t await_sleep(const struct stage *stage, uint32_t last)
{
    const _Atomic uint32_t *word = &stage->gauge.index.header->server_sleeping;
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    uint32_t sleep = shared32_load_relaxed(word);
    while ((sleep & 1) == 0 || sleep == last) {
        child_need(stage->page, child_now_ns() < deadline, "the sidecar never sleeps");
        shared_relax();
        sleep = shared32_load_relaxed(word);
    }
    return sleep;
}

static void puts_to_a_sleeping_sidecar(struct stage *stage)
{
    stage_arm();
    uint64_t number = UINT64_C(1) << 33;
    uint64_t rung = bells(stage);
    uint32_t sleep = 0;
    struct tally sum = {0};
    for (uint32_t i = 0; i < SLEEPERS; i++) {
        sleep = await_sleep(stage, sleep);
        tally_start();
        put(stage, number++);
        struct tally tally = tally_stop();
        sum.calls += tally.calls;
        sum.allocations += tally.allocations;
        sum.last = tally.last;
    }
    rung = bells(stage) - rung;
    stage_expect(stage, "puts to a sleeper", &sum, rung);
    child_need(stage->page, rung > 0, "a sleeping sidecar was never rung");
    (void)printf("puts to a sleeper: %" PRIu64 " bells for %u puts\n", rung, SLEEPERS);
    (void)fflush(stdout);
}

static void puts_cost_nothing(void **state)
{
    (void)state;
    stage_run(polling, 0, puts_to_a_polling_sidecar);
    stage_run(polling, CISTERN_ISOLATED, puts_to_a_polling_sidecar);
}

static void puts_cost_nothing_with_epoll(void **state)
{
    (void)state;
    stage_run(polling_epoll, 0, puts_to_a_polling_sidecar);
}

static void puts_cost_a_bell_for_a_sleeper(void **state)
{
    (void)state;
    stage_run(sleeping, 0, puts_to_a_sleeping_sidecar);
}

static void puts_cost_a_bell_for_a_sleeper_with_epoll(void **state)
{
    (void)state;
    stage_run(sleeping_epoll, 0, puts_to_a_sleeping_sidecar);
}

int main(void)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_cost_nothing),
        cmocka_unit_test(puts_cost_nothing_with_epoll),
        cmocka_unit_test(puts_cost_a_bell_for_a_sleeper),
        cmocka_unit_test(puts_cost_a_bell_for_a_sleeper_with_epoll),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
