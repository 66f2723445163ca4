/* pool_death: workers, and servers, of a sidecar with the memory of a GPU are killed, at work: no
 * slot is used again while a kernel may still write it, and who lives goes on in place. */
#include "tests/check.h"
#include "tests/e2e/gauge.h"
#include "tests/gpu-double/smith.h"
#include "tests/gpu-double/ways.h"

#include "shm/slot.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHAIN 8u
#define POOL_SLOTS 1024u /* 64 MiB in blocks of 64 KiB */
#define LATE_US 30000000u
#define LATE_NS UINT64_C(2000000000) /* on a device, which the end of a process has to wait for */
#define PROMOTIONS 4u /* the one at which a device fails */

static const char *const flags[] = {"--device-pool=64MiB", NULL};

/* Of the double: what every process that is started from here on finds. */
static void start(struct daemon *daemon, const char *switches, const char *const flags_[])
{
    assert_int_equal(setenv("CUDA_DOUBLE", switches, 1), 0);
    assert_true(daemon_start(daemon, flags_));
}

/* Reads blocks 1 to CHAIN and makes the next CHAIN, and is killed before the device has. */
static int die_at_work(void *context, struct child_page *page)
{
    struct smith smith;
    struct cistern_key keys[CHAIN];
    struct cistern_view views[CHAIN];
    size_t count = 0;
    smith_open(&smith, page, context);
    smith_make(&smith, 1, CHAIN);
    for (uint32_t i = 0; i < CHAIN; i++) {
        keys[i] = worker_key(1 + i);
    }
    for (uint64_t i = 1; i <= CHAIN; i++) { /* committed is not yet read by the sidecar */
        smith_find(&smith, i, CISTERN_TIER_DEVICE);
    }
    int status = cistern_acquire(smith.desk.handle, keys, CHAIN, views, &count);
    child_need(page, status == CISTERN_OK && count == CHAIN, "acquire: %s", cistern_why());
    bed_delay(&smith.desk.bed, LATE_US);
    kernels_spin(&smith.kernels, smith.desk.stream.stream, LATE_NS);
    status = cistern_device_release(smith.desk.device, views, count, smith.desk.stream.stream);
    child_need(page, status == CISTERN_OK, "release: %s", cistern_why());
    smith_put(&smith, 1 + CHAIN, CHAIN);
    child_at(page, 1);
    (void)pause();
    return 0;
}

struct flood {
    const struct daemon *daemon;
    uint64_t first;
};

/* As many blocks as the pool has room for, and half of it again. */
static int flood(void *context, struct child_page *page)
{
    const struct flood *flood = context;
    struct smith smith;
    uint32_t tier;
    smith_open(&smith, page, flood->daemon);
    for (uint64_t i = 0; i < POOL_SLOTS * 3 / 2; i += CHAIN) {
        smith_make(&smith, flood->first + i, CHAIN);
        smith_find(&smith, flood->first + i, SMITH_ANY);
    }
    for (uint64_t i = 1; i <= CHAIN; i++) { /* what never became whole */
        int status = smith_look(&smith, CHAIN + i, &tier);
        child_need(page, status == CISTERN_MISS, "of the dead: %d", status);
    }
    smith_close(&smith);
    return 0;
}

static void kill_at_work(const struct daemon *daemon)
{
    struct child victim;
    assert_true(child_start(&victim, die_at_work, (void *)(uintptr_t)daemon));
    if (!child_reaches(&victim, 1)) {
        assert_int_equal(child_end(&victim), 0);
    }
    child_kill(&victim);
}

static void test_slots_of_a_killed_worker_rest_while_a_kernel_may_write_them(void **state)
{
    static const char *const long_rest[] = {"--device-pool=64MiB", "--quarantine=10min", NULL};
    static uint64_t word[2 * POOL_SLOTS];
    struct daemon daemon;
    struct gauge gauge;
    uint32_t resting = 0;
    (void)state;
    start(&daemon, "strict=1", long_rest);
    assert_true(gauge_open(&gauge, daemon.socket));
    kill_at_work(&daemon);
    assert_true(gauge_becomes(&gauge, COUNTER_sessions_now, 0));
    assert_true(gauge_reaches(&gauge, COUNTER_quarantined, CHAIN));
    assert_true(gauge.index.slots <= CHECK_COUNT(word));
    for (uint32_t i = 0; i < gauge.index.slots; i++) {
        word[i] = slot_load_state(&gauge.index.lines[i]);
    }
    struct flood others = {.daemon = &daemon, .first = 1000};
    assert_int_equal(child_run(flood, &others), 0);
    for (uint32_t i = 0; i < gauge.index.slots; i++) {
        if (slot_state_of(word[i]) == SLOT_RESERVED) {
            assert_int_equal(slot_load_state(&gauge.index.lines[i]), word[i]);
            resting++;
        }
    }
    assert_true(resting >= CHAIN);
    assert_int_equal(gauge_get(&gauge, COUNTER_restarts), 0);
    gauge_close(&gauge);
    assert_true(daemon_stop(&daemon));
    daemon_close(&daemon);
}

static void test_and_are_used_again_when_their_time_is_over(void **state)
{
    static const char *const short_rest[] = {"--device-pool=64MiB", "--quarantine=50ms", NULL};
    struct daemon daemon;
    struct gauge gauge;
    (void)state;
    start(&daemon, "strict=1", short_rest);
    assert_true(gauge_open(&gauge, daemon.socket));
    kill_at_work(&daemon);
    assert_true(gauge_reaches(&gauge, COUNTER_quarantined, CHAIN));
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    while (gauge_slots(&gauge, SLOT_RESERVED) > 0 && child_now_ns() < deadline) {
        child_nap();
    }
    assert_int_equal(gauge_slots(&gauge, SLOT_RESERVED), 0);
    struct flood others = {.daemon = &daemon, .first = 1000};
    assert_int_equal(child_run(flood, &others), 0);
    gauge_close(&gauge);
    assert_true(daemon_stop(&daemon));
    daemon_close(&daemon);
}

/* Twice: a third time in so short a time, the keeper would begin with an empty cache. */
static bool kill_servers(struct load *load)
{
    bool good = true;
    for (int i = 0; i < 2 && good; i++) {
        uint64_t made = load_made(load);
        uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
        while (load_made(load) < made + 200 && child_now_ns() < deadline) {
            child_nap();
        }
        good = load_made(load) >= made + 200;
        pid_t server = good ? daemon_kill_server(load->daemon) : 0;
        good = good && server > 0 && daemon_awaits(load->daemon, server) > 0;
    }
    return good;
}

static void test_under_load_a_killed_servers_memory_serves_on(void **state)
{
    struct daemon daemon;
    struct gauge gauge;
    struct load_result result;
    (void)state;
    start(&daemon, "strict=1,memory=96M", flags); /* no room for a second pool */
    struct load load = {.daemon = &daemon,
        .way = &ways_in_place,
        .seed = check_seed(),
        .producers = 2,
        .consumers = 2,
        .rounds = 400,
        .most_ns = UINT64_C(10000000000),
        .disturb = kill_servers};
    assert_true(load_run(&load, &result));
    print_message("%llu blocks written, %llu read, %llu in place; wrong: %llu words\n",
        (unsigned long long)result.written, (unsigned long long)result.read,
        (unsigned long long)result.in_place, (unsigned long long)result.device_errors);
    assert_int_equal(result.device_errors, 0);
    assert_int_equal(result.host_errors, 0);
    assert_true(result.in_place > 0);
    assert_true(gauge_open(&gauge, daemon.socket));
    assert_int_equal(gauge_get(&gauge, COUNTER_restarts), 2);
    assert_true(gauge_get(&gauge, COUNTER_restart_blocks) > 0);
    gauge_close(&gauge);
    assert_true(daemon_logged(&daemon, "took over 64 MiB"));
    assert_true(daemon_stop(&daemon));
    daemon_close(&daemon);
}

static struct cistern_view view_of(struct smith *smith, uint64_t number)
{
    struct cistern_key key = worker_key(number);
    struct cistern_view view;
    size_t count = 0;
    smith_find(smith, number, CISTERN_TIER_DEVICE); /* committed is not yet read by the sidecar */
    int status = cistern_acquire(smith->desk.handle, &key, 1, &view, &count);
    child_need(smith->desk.bed.page, status == CISTERN_OK && view.tier == CISTERN_TIER_DEVICE,
        "block %llu: %d, tier %u", (unsigned long long)number, status, view.tier);
    return view;
}

/* Until the handle is on a sidecar with memory of the device. */
static void await_device(struct smith *smith)
{
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    struct cistern_stats stats = {.size = sizeof stats};
    uint32_t tier;
    while ((stats.reattaches == 0 || cistern_device_ready(smith->desk.handle) != CISTERN_OK) &&
           child_now_ns() < deadline) {
        (void)smith_look(smith, UINT64_MAX, &tier); /* a miss looks for the sidecar */
        (void)cistern_stats(smith->desk.handle, &stats);
        child_nap();
    }
    child_need(smith->desk.bed.page, stats.reattaches > 0, "nobody came");
}

static int keep_view(void *context, struct child_page *page)
{
    struct smith smith;
    smith_open(&smith, page, context);
    smith_make(&smith, 1, CHAIN);
    struct cistern_view held = view_of(&smith, 1);
    child_at(page, 1);
    child_await(page, 2);
    await_device(&smith);
    struct cistern_view again = view_of(&smith, 1);
    child_need(page, again.data == held.data, "another address");
    smith_check(&smith, &held, 1);
    smith_check(&smith, &again, 1);
    for (uint32_t i = 2; i <= CHAIN; i++) {
        smith_find(&smith, i, CISTERN_TIER_DEVICE);
    }
    smith_make(&smith, 100, CHAIN);
    smith_find(&smith, 100, CISTERN_TIER_DEVICE);
    smith_close(&smith);
    return 0;
}

static void test_after_a_servers_death_blocks_and_views_are_where_they_were(void **state)
{
    struct daemon daemon;
    struct child worker;
    (void)state;
    start(&daemon, "strict=1", flags);
    assert_true(child_start(&worker, keep_view, &daemon));
    assert_true(child_reaches(&worker, 1));
    pid_t server = daemon_kill_server(&daemon);
    assert_true(server > 0 && daemon_awaits(&daemon, server) > 0);
    child_let(&worker, 2);
    assert_int_equal(child_end(&worker), 0);
    assert_true(daemon_stop(&daemon));
    daemon_close(&daemon);
}

/* Reads on in memory whose sidecar is gone for good, lets it go, and goes on with the next one. */
static int let_go(void *context, struct child_page *page)
{
    struct smith smith;
    uint32_t tier;
    smith_open(&smith, page, context);
    smith_make(&smith, 1, CHAIN);
    struct cistern_view held = view_of(&smith, 1);
    child_at(page, 1);
    child_await(page, 2);
    smith_check(&smith, &held, 1);
    await_device(&smith);
    int status = smith_look(&smith, 1, &tier);
    child_need(page, status == CISTERN_MISS, "of memory that is gone: %d", status);
    smith_make(&smith, 1, CHAIN);
    smith_find(&smith, 1, CISTERN_TIER_DEVICE);
    smith_close(&smith);
    return 0;
}

struct pair {
    struct daemon *daemon;
    struct child *worker;
};

/* When the next sidecar says that it waits for memory, the worker may go on. */
static int tell(void *context, struct child_page *page)
{
    const struct pair *pair = context;
    child_need(page, daemon_logs(pair->daemon, "waiting for up to "), "it does not wait");
    child_let(pair->worker, 2);
    return 0;
}

static void test_without_a_keeper_workers_let_the_memory_go_and_meet_the_next(void **state)
{
    static const char *const alone[] = {"--device-pool=64MiB", "--no-keeper", NULL};
    struct daemon daemon;
    struct child worker;
    struct child teller;
    (void)state;
    bed_double(); /* a device has room for two pools */
    start(&daemon, "strict=1,memory=96M", alone); /* no room for a second pool */
    struct pair pair = {.daemon = &daemon, .worker = &worker};
    assert_true(child_start(&worker, let_go, &daemon));
    assert_true(child_reaches(&worker, 1));
    daemon_kill(&daemon);
    assert_true(child_start(&teller, tell, &pair));
    assert_true(daemon_restart(&daemon));
    assert_int_equal(child_end(&teller), 0);
    assert_int_equal(child_end(&worker), 0);
    assert_true(daemon_stop(&daemon));
    daemon_close(&daemon);
}

/* Blocks of host memory, brought up one by one. */
static int bring_up(void *context, struct child_page *page)
{
    struct smith smith;
    smith_open(&smith, page, context);
    for (uint64_t i = 1; i < 2 * PROMOTIONS; i++) {
        struct cistern_key key = worker_key(i);
        worker_put(page, smith.desk.handle, i);
        (void)cistern_device_prefetch(smith.desk.device, &key, 1);
        if (i == PROMOTIONS) { /* the copy breaks the server's device */
            await_device(&smith);
        } else {
            smith_find(&smith, i, CISTERN_TIER_DEVICE);
        }
    }
    for (uint64_t i = 1; i < 2 * PROMOTIONS; i++) {
        smith_find(&smith, i, i == PROMOTIONS ? SMITH_ANY : CISTERN_TIER_DEVICE);
    }
    smith_close(&smith);
    return 0;
}

static void test_a_server_whose_device_fails_is_replaced_and_all_is_kept(void **state)
{
    struct daemon daemon;
    struct gauge gauge;
    (void)state;
    bed_double();
    start(&daemon, "strict=1,lacks=cuMemcpyBatchAsync,sticky=cuMemcpyAsync:4", flags);
    /* The next server makes fewer copies than that. */
    assert_int_equal(child_run(bring_up, &daemon), 0);
    assert_true(daemon_logged(&daemon, "device 0 is lost: "));
    assert_true(gauge_open(&gauge, daemon.socket));
    assert_int_equal(gauge_get(&gauge, COUNTER_restarts), 1);
    gauge_close(&gauge);
    assert_true(daemon_stop(&daemon));
    daemon_close(&daemon);
}

int main(void)
{
    if (!daemon_is_built() || !bed_found()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_of_a_killed_worker_rest_while_a_kernel_may_write_them),
        cmocka_unit_test(test_and_are_used_again_when_their_time_is_over),
        cmocka_unit_test(test_under_load_a_killed_servers_memory_serves_on),
        cmocka_unit_test(test_after_a_servers_death_blocks_and_views_are_where_they_were),
        cmocka_unit_test(test_without_a_keeper_workers_let_the_memory_go_and_meet_the_next),
        cmocka_unit_test(test_a_server_whose_device_fails_is_replaced_and_all_is_kept),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
