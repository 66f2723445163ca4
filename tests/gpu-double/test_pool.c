/* pool: a real cisternd with the memory of a GPU, and workers that make and read blocks in it by
 * kernels: two, and eight; and those that do not wait for their streams are found out. */
#include "tests/check.h"
#include "tests/e2e/gauge.h"
#include "tests/gpu-double/ways.h"

#define ROUNDS 400u
#define MOST_NS UINT64_C(10000000000)
#define SQUATTED 6u /* eighths of the pool */
#define SQUAT_SLOTS 128u /* an eighth */

static const char *const flags[] = {"--device-pool=64MiB", "--grants-share=50", NULL};

/* Of the double: a sidecar whose copies are not in order ends. */
static int set_up(void **state)
{
    static struct daemon daemon;
    *state = &daemon;
    return setenv("CUDA_DOUBLE", "strict=1", 1) == 0 && daemon_start(&daemon, flags) ? 0 : -1;
}

/* Lent to one handle, of the many in a process. */
static cistern_t *take_some(struct child_page *page, const struct daemon *daemon)
{
    cistern_t *handle = worker_open_on(page, daemon->socket, 0, "auto");
    cistern_device_t *device = NULL;
    int status = cistern_device_open(handle, NULL, &device);
    child_need(page, status == CISTERN_OK, "device: %s", cistern_why());
    for (size_t lent = 0; lent < SQUAT_SLOTS;) {
        struct cistern_slot slots[SQUAT_SLOTS];
        size_t count = 0;
        status = cistern_device_reserve(device, SQUAT_SLOTS - lent, WORKER_WAIT_NS, slots, &count);
        child_need(page, status == CISTERN_OK, "reserve: %s", cistern_why());
        lent += count;
    }
    cistern_device_close(&device);
    return handle;
}

/* Whoever has most of the pool, so that the rest of it is used again soon. */
static int squat(void *context, struct child_page *page)
{
    cistern_t *handle[SQUATTED];
    for (uint32_t i = 0; i < SQUATTED; i++) {
        handle[i] = take_some(page, context);
    }
    child_at(page, 1);
    child_await(page, 2);
    for (uint32_t i = 0; i < SQUATTED; i++) {
        cistern_close(&handle[i]);
    }
    return 0;
}

/* The load on a pool of which little is left, and its result. */
static void run(const struct daemon *daemon, const struct load_way *way, uint32_t each,
    uint32_t rounds, struct load_result *out_result)
{
    struct child squatter;
    struct gauge gauge;
    struct load load = {.daemon = daemon,
        .way = way,
        .seed = check_seed(),
        .producers = each,
        .consumers = each,
        .rounds = rounds,
        .most_ns = MOST_NS};
    assert_true(child_start(&squatter, squat, (void *)(uintptr_t)daemon));
    if (!child_reaches(&squatter, 1)) {
        assert_int_equal(child_end(&squatter), 0);
    }
    assert_true(load_run(&load, out_result));
    print_message("%llu blocks written, %llu read, %llu in place; wrong: %llu blocks, %llu words\n",
        (unsigned long long)out_result->written, (unsigned long long)out_result->read,
        (unsigned long long)out_result->in_place, (unsigned long long)out_result->host_errors,
        (unsigned long long)out_result->device_errors);
    assert_true(out_result->written > 0);
    assert_true(out_result->in_place > 0);
    child_let(&squatter, 2);
    assert_int_equal(child_end(&squatter), 0);
    assert_true(gauge_open(&gauge, daemon->socket));
    assert_true(gauge_becomes(&gauge, COUNTER_slots_lent, 0));
    assert_int_equal(gauge_get(&gauge, COUNTER_restarts), 0);
    assert_int_equal(gauge_get(&gauge, COUNTER_requests_bad), 0);
    gauge_close(&gauge);
}

static void test_two_workers_share_blocks_that_kernels_make_and_read_in_place(void **state)
{
    struct load_result result;
    run(*state, &ways_in_place, 1, ROUNDS, &result);
    assert_int_equal(result.host_errors, 0);
    assert_int_equal(result.device_errors, 0);
}

static void test_eight_workers_share_blocks_that_kernels_make_and_read_in_place(void **state)
{
    struct load_result result;
    run(*state, &ways_in_place, 4, ROUNDS / 2, &result);
    assert_int_equal(result.host_errors, 0);
    assert_int_equal(result.device_errors, 0);
}

static void test_a_commit_before_the_kernel_ran_is_found_out(void **state)
{
    struct load_result result;
    run(*state, &ways_committed_too_early, 1, ROUNDS, &result);
    assert_true(result.device_errors > 0);
}

static void test_a_release_before_the_kernel_ran_is_found_out(void **state)
{
    struct load_result result;
    run(*state, &ways_released_too_early, 2, ROUNDS, &result);
    assert_true(result.device_errors > 0);
}

int main(void)
{
    if (!daemon_is_built() || !bed_found()) {
        return CHECK_SKIP;
    }
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, daemon_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_two_workers_share_blocks_that_kernels_make_and_read_in_place),
        TEST(test_eight_workers_share_blocks_that_kernels_make_and_read_in_place),
        TEST(test_a_commit_before_the_kernel_ran_is_found_out),
        TEST(test_a_release_before_the_kernel_ran_is_found_out),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
