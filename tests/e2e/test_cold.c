/* test_cold: blocks leave the pool for a disk and come back, also after a stop, a kill, a reboot.
 */
#include "tests/check.h"
#include "tests/e2e/cold_scene.h"

#define BLOCKS (COLD_CHAIN * COLD_CHAINS)

static void fill(struct cold_scene *scene, const char *io)
{
    assert_true(cold_open(scene, io, NULL));
    assert_int_equal(cold_fill(scene), 0);
}

static void expect_blocks(struct cold_scene *scene, uint64_t least)
{
    uint64_t blocks = 0;
    assert_int_equal(cold_read(scene, &blocks), 0);
    if (blocks < least) {
        daemon_show_log(&scene->daemon);
        fail_msg("%llu blocks came back, of at least %llu", (unsigned long long)blocks,
            (unsigned long long)least);
    }
}

static void expect_nothing_broken(const struct cold_scene *scene)
{
    struct gauge gauge;
    assert_true(gauge_open(&gauge, scene->daemon.socket));
    assert_int_equal(gauge_get(&gauge, COUNTER_tier_corrupt), 0);
    assert_int_equal(gauge_get(&gauge, COUNTER_tier_errors), 0);
    assert_true(gauge_becomes(&gauge, COUNTER_fetches_now, 0));
    assert_true(gauge_becomes(&gauge, COUNTER_slots_lent, 0));
    gauge_close(&gauge);
}

/* What the sidecar counts when all is filled. */
struct counts {
    uint64_t missed;
    uint64_t cold;
    uint64_t hot;
};

static struct counts fill_and_count(struct cold_scene *scene)
{
    struct gauge gauge;
    fill(scene, "auto");
    assert_true(gauge_open(&gauge, scene->daemon.socket));
    struct counts counts = {
        .missed = gauge_get(&gauge, COUNTER_spills_missed),
        .cold = gauge_get(&gauge, COUNTER_cold_now),
        .hot = gauge_get(&gauge, COUNTER_slots_hot),
    };
    gauge_close(&gauge);
    return counts;
}

static void stop_and_close(struct cold_scene *scene)
{
    expect_nothing_broken(scene);
    assert_true(daemon_stop(&scene->daemon));
    cold_close(scene);
}

static void come_back_from(const char *io)
{
    struct cold_scene scene;
    fill(&scene, io);
    struct gauge gauge;
    assert_true(gauge_open(&gauge, scene.daemon.socket));
    uint64_t spilled = gauge_get(&gauge, COUNTER_spills);
    uint64_t missed = gauge_get(&gauge, COUNTER_spills_missed);
    assert_true(spilled + missed >= BLOCKS - 256); /* what the pool had no room for */
    /* Twice: the second time some that were hot are cold, and the reverse. */
    expect_blocks(&scene, BLOCKS - missed);
    expect_blocks(&scene, BLOCKS - missed);
    assert_true(gauge_get(&gauge, COUNTER_fetches) >= BLOCKS - 256 - missed);
    /* Whatever was stored once is not stored again. */
    assert_true(gauge_get(&gauge, COUNTER_spills) <= BLOCKS);
    gauge_close(&gauge);
    stop_and_close(&scene);
}

static void test_what_left_the_pool_comes_back_by_io_uring(void **state)
{
    (void)state;
    come_back_from("uring");
}

static void test_what_left_the_pool_comes_back_by_threads(void **state)
{
    (void)state;
    come_back_from("threads");
}

static void test_a_clean_stop_loses_nothing(void **state)
{
    (void)state;
    struct cold_scene scene;
    struct gauge gauge;
    uint64_t missed = fill_and_count(&scene).missed;
    assert_true(daemon_stop(&scene.daemon));
    assert_true(daemon_restart(&scene.daemon));
    assert_true(gauge_open(&gauge, scene.daemon.socket));
    assert_true(gauge_becomes(&gauge, COUNTER_cold_now, BLOCKS - missed));
    assert_int_equal(gauge_get(&gauge, COUNTER_slots_hot), 0);
    gauge_close(&gauge);
    expect_blocks(&scene, BLOCKS - missed);
    stop_and_close(&scene);
}

/* Keeper and server die at once, as in a power cut: no memory is left, only the disk. */
static void test_after_a_reboot_the_disk_is_warm(void **state)
{
    (void)state;
    struct cold_scene scene;
    struct gauge gauge;
    uint64_t cold = fill_and_count(&scene).cold;
    assert_true(cold > 0);
    daemon_kill(&scene.daemon);
    assert_true(daemon_restart(&scene.daemon));
    assert_true(gauge_open(&gauge, scene.daemon.socket));
    assert_int_equal(gauge_get(&gauge, COUNTER_slots_hot), 0);
    assert_true(gauge_reaches(&gauge, COUNTER_cold_now, cold));
    gauge_close(&gauge);
    expect_blocks(&scene, cold);
    stop_and_close(&scene);
}

/* The server alone dies: memory stays hot, and what was cold is known again. */
static void test_a_killed_server_finds_hot_and_cold(void **state)
{
    (void)state;
    struct cold_scene scene;
    struct gauge gauge;
    struct counts before = fill_and_count(&scene);
    pid_t old = daemon_kill_server(&scene.daemon);
    assert_true(old > 0 && daemon_awaits(&scene.daemon, old) > 0);
    assert_true(gauge_open(&gauge, scene.daemon.socket));
    assert_int_equal(gauge_get(&gauge, COUNTER_slots_hot), before.hot);
    assert_true(gauge_reaches(&gauge, COUNTER_cold_now, before.cold));
    gauge_close(&gauge);
    expect_blocks(&scene, BLOCKS - before.missed);
    stop_and_close(&scene);
}

int main(void)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_left_the_pool_comes_back_by_io_uring),
        cmocka_unit_test(test_what_left_the_pool_comes_back_by_threads),
        cmocka_unit_test(test_a_clean_stop_loses_nothing),
        cmocka_unit_test(test_after_a_reboot_the_disk_is_warm),
        cmocka_unit_test(test_a_killed_server_finds_hot_and_cold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
