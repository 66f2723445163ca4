/* device: what is refused, what fails and what ends: the caller keeps what is the caller's. */
#include "tests/check.h"
#include "tests/e2e/gauge.h"
#include "tests/e2e/worker.h"
#include "tests/gpu-double/desk.h"

#include "shm/status.h"

#include <string.h>
#include <unistd.h>

#define NS_LATE INT64_C(1000000)

static struct cistern_piece whole_block(const struct desk *desk)
{
    return (struct cistern_piece){
        .address = slab_address(&desk->tensors, 0), .bytes = WORKER_BLOCK_BYTES};
}

static struct cistern_view look(struct desk *desk, uint64_t number)
{
    struct cistern_key key = worker_key(number);
    struct cistern_view view;
    size_t count = 0;
    worker_put(desk->bed.page, desk->handle, number);
    int status = cistern_acquire(desk->handle, &key, 1, &view, &count);
    child_need(desk->bed.page, status == CISTERN_OK, "acquire: %d", status);
    return view;
}

static int read_one(struct desk *desk, struct cistern_view *view, const struct cistern_piece *piece)
{
    return cistern_device_read(desk->device, view, 1, piece, 1, desk->stream.stream);
}

static struct cistern_slot lend(struct desk *desk)
{
    struct cistern_slot slot;
    size_t count = 0;
    int status = cistern_reserve(desk->handle, 1, WORKER_WAIT_NS, &slot, &count);
    child_need(desk->bed.page, status == CISTERN_OK, "reserve: %d", status);
    return slot;
}

static int write_one(
    struct desk *desk, struct cistern_slot *slot, const struct cistern_piece *piece)
{
    struct cistern_key key = worker_key(500);
    return cistern_device_write(desk->device, slot, &key, NULL, 1, piece, 1, desk->stream.stream);
}

#define EXPECT(wanted, call) \
    do { \
        int got = (call); \
        child_need(page, got == (wanted), "%s: %d, %s", #call, got, cistern_why()); \
    } while (0)

static int refuse(void *context, struct child_page *page)
{
    struct desk desk;
    cistern_device_t *other = NULL;
    desk_open(&desk, page, context, CISTERN_LATE_WRITES);
    struct cistern_piece piece = whole_block(&desk);
    struct cistern_piece longer = {.address = piece.address, .bytes = WORKER_BLOCK_BYTES + 1};
    struct cistern_piece none = {.address = piece.address, .bytes = 0};
    struct cistern_view view = look(&desk, 1);
    struct cistern_view old = view;
    EXPECT(CISTERN_INVALID, read_one(&desk, &view, &longer));
    EXPECT(CISTERN_INVALID, read_one(&desk, NULL, &piece));
    EXPECT(CISTERN_INVALID, cistern_device_read(desk.device, &view, 0, &piece, 1, NULL));
    EXPECT(
        CISTERN_OK, cistern_release(desk.handle, &old, 1)); /* it was the caller's all the time */
    EXPECT(CISTERN_INVALID, read_one(&desk, &old, &piece));
    struct cistern_slot slot = lend(&desk);
    EXPECT(CISTERN_INVALID, write_one(&desk, &slot, &longer));
    EXPECT(CISTERN_INVALID, write_one(&desk, &slot, &none));
    EXPECT(CISTERN_OK, cistern_abort(desk.handle, &slot));
    EXPECT(CISTERN_INVALID, write_one(&desk, &slot, &piece));
    EXPECT(CISTERN_INVALID, cistern_device_open(desk.handle, "GPU-ffffffff", &other));
    child_need(
        page, other == NULL && strstr(cistern_why(), "one of GPU-") != NULL, "%s", cistern_why());
    EXPECT(CISTERN_INVALID, cistern_device_open(NULL, NULL, &other));
    EXPECT(CISTERN_INVALID, cistern_device_drain(desk.device, -1));
    EXPECT(CISTERN_OK, cistern_device_drain(desk.device, 0));
    desk_close(&desk);
    return 0;
}

static void test_wrong_calls_are_refused_and_change_nothing(void **state)
{
    assert_int_equal(child_run(refuse, *state), 0);
}

static int forget_flag(void *context, struct child_page *page)
{
    struct desk desk;
    desk_open(&desk, page, context, 0);
    struct cistern_piece piece = whole_block(&desk);
    struct cistern_slot slot = lend(&desk);
    EXPECT(CISTERN_INVALID, write_one(&desk, &slot, &piece));
    child_need(page, strstr(cistern_why(), "CISTERN_LATE_WRITES") != NULL, "%s", cistern_why());
    EXPECT(CISTERN_OK, cistern_abort(desk.handle, &slot));
    desk_close(&desk);
    return 0;
}

static void test_a_write_wants_slots_that_are_kept_aside_on_death(void **state)
{
    assert_int_equal(child_run(forget_flag, *state), 0);
}

static int no_driver(void *context, struct child_page *page)
{
    const struct daemon *daemon = context;
    cistern_device_t *device = NULL;
    (void)setenv("CUDA_DOUBLE", "init=100", 1);
    cistern_t *handle = worker_open(page, daemon->socket, 0);
    EXPECT(CISTERN_UNSUPPORTED, cistern_device_open(handle, NULL, &device));
    child_need(
        page, device == NULL && strstr(cistern_why(), "--gpus") != NULL, "%s", cistern_why());
    worker_put(page, handle, 7);
    EXPECT(CISTERN_OK, worker_look(page, handle, 7)); /* host memory serves all the same */
    cistern_close(&handle);
    return 0;
}

static void test_without_a_gpu_the_host_serves(void **state)
{
    bed_double();
    assert_int_equal(child_run(no_driver, *state), 0);
}

/* Each call of a transfer fails once: an error, or a success; and what is the caller's stays so. */
static int fail_once(void *context, struct child_page *page)
{
    static const char *const names[] = {"cuMemcpyAsync", "cuLaunchHostFunc", "cuCtxGetCurrent"};
    struct desk desk;
    desk_open(&desk, page, context, CISTERN_LATE_WRITES);
    struct cistern_piece piece = whole_block(&desk);
    for (size_t i = 0; i < CHECK_COUNT(names); i++) {
        struct cistern_view view = look(&desk, 10 + i);
        bed_fail(&desk.bed, names[i], 1, DRIVER_OUT_OF_MEMORY);
        int status = read_one(&desk, &view, &piece);
        child_need(
            page, (status == CISTERN_OK) == (view.data == NULL), "%s: whose view?", names[i]);
        if (status != CISTERN_OK) {
            EXPECT(CISTERN_OK, cistern_release(desk.handle, &view, 1));
        }
        EXPECT(CISTERN_OK, cistern_device_drain(desk.device, WORKER_WAIT_NS));
    }
    desk_close(&desk);
    return 0;
}

static void test_a_call_that_fails_leaves_the_callers_things(void **state)
{
    struct daemon *daemon = *state;
    struct gauge gauge;
    bed_double();
    assert_int_equal(child_run(fail_once, daemon), 0);
    assert_true(gauge_open(&gauge, daemon->socket));
    assert_true(gauge_becomes(&gauge, COUNTER_slots_lent, 0));
    gauge_close(&gauge);
}

/* The second of two copies is refused: the first is over when the caller has its view back. */
static int fail_part_way(void *context, struct child_page *page)
{
    struct desk desk;
    desk_open(&desk, page, context, CISTERN_LATE_WRITES);
    struct cistern_piece piece = whole_block(&desk);
    struct cistern_view view = look(&desk, 15);
    struct cistern_piece half[2] = {piece, piece};
    half[0].bytes = half[1].bytes = WORKER_BLOCK_BYTES / 2;
    half[1].address += WORKER_BLOCK_BYTES;
    bed_delay(&desk.bed, 50000);
    bed_fail(&desk.bed, "cuMemcpyBatchAsync", 1, DRIVER_NOT_SUPPORTED);
    bed_fail(&desk.bed, "cuMemcpyAsync", 2, DRIVER_OUT_OF_MEMORY);
    EXPECT(
        CISTERN_NO_MEMORY, cistern_device_read(desk.device, &view, 1, half, 2, desk.stream.stream));
    EXPECT(STATUS_OK, copy_done(&desk.stream));
    EXPECT(CISTERN_OK, cistern_release(desk.handle, &view, 1));
    desk_close(&desk);
    return 0;
}

static void test_a_transfer_that_fails_part_way_is_waited_for(void **state)
{
    bed_double();
    assert_int_equal(child_run(fail_part_way, *state), 0);
}

/* The device fails with copies under way: no call hangs, and the views come home. */
static int lose(void *context, struct child_page *page)
{
    struct desk desk;
    desk_open(&desk, page, context, CISTERN_LATE_WRITES);
    struct cistern_piece piece = whole_block(&desk);
    struct cistern_view view = look(&desk, 20);
    struct cistern_view next = look(&desk, 21);
    struct cistern_view old = view;
    bed_delay(&desk.bed, 200000);
    EXPECT(CISTERN_OK, read_one(&desk, &view, &piece));
    EXPECT(CISTERN_BUSY, cistern_device_drain(desk.device, NS_LATE));
    bed_break(&desk.bed, "cuMemcpyAsync", 1);
    EXPECT(CISTERN_DEVICE_LOST, read_one(&desk, &next, &piece));
    EXPECT(CISTERN_OK, cistern_release(desk.handle, &next, 1));
    EXPECT(CISTERN_DEVICE_LOST, cistern_device_drain(desk.device, WORKER_WAIT_NS));
    EXPECT(CISTERN_STALE, cistern_release(desk.handle, &old, 1)); /* the device did it */
    struct cistern_slot slot = lend(&desk);
    EXPECT(CISTERN_DEVICE_LOST, write_one(&desk, &slot, &piece));
    EXPECT(CISTERN_OK, cistern_abort(desk.handle, &slot));
    EXPECT(CISTERN_OK, worker_look(page, desk.handle, 20)); /* and the cache serves on */
    cistern_device_close(&desk.device);
    cistern_close(&desk.handle);
    return 0;
}

static void test_a_lost_device_ends_what_was_under_way(void **state)
{
    bed_double();
    assert_int_equal(child_run(lose, *state), 0);
}

static int in_child(void *context, struct child_page *page)
{
    struct desk *desk = context;
    EXPECT(CISTERN_FORKED, cistern_device_drain(desk->device, 0));
    cistern_device_close(&desk->device);
    return 0;
}

static int fork_it(void *context, struct child_page *page)
{
    struct desk desk;
    desk_open(&desk, page, context, 0);
    struct cistern_piece piece = whole_block(&desk);
    child_need(page, child_run(in_child, &desk) == 0, "in the child");
    struct cistern_view view = look(&desk, 30);
    EXPECT(CISTERN_OK, read_one(&desk, &view, &piece));
    desk_close(&desk);
    return 0;
}

static void test_a_forked_child_leaves_the_device_alone(void **state)
{
    assert_int_equal(child_run(fork_it, *state), 0);
}

/* Another sidecar, another pool: it is page-locked in its turn, and the old one let go. */
static int meet_another(void *context, struct child_page *page)
{
    struct desk desk;
    desk_open(&desk, page, context, CISTERN_LATE_WRITES);
    struct cistern_piece piece = whole_block(&desk);
    struct cistern_view view = look(&desk, 40);
    child_at(page, 1);
    child_await(page, 2);
    EXPECT(CISTERN_OK, read_one(&desk, &view, &piece)); /* of the sidecar that is gone */
    EXPECT(CISTERN_OK, cistern_device_drain(desk.device, WORKER_WAIT_NS));
    worker_find(page, desk.handle, 41);
    view = look(&desk, 42);
    EXPECT(CISTERN_OK, read_one(&desk, &view, &piece));
    EXPECT(CISTERN_OK, cistern_device_drain(desk.device, WORKER_WAIT_NS));
    desk_close(&desk);
    return 0;
}

static int put_one(void *context, struct child_page *page)
{
    const struct daemon *daemon = context;
    cistern_t *handle = worker_open(page, daemon->socket, 0);
    worker_put(page, handle, 41);
    cistern_close(&handle);
    return 0;
}

static void test_a_new_sidecar_is_met_with_the_same_device(void **state)
{
    struct daemon *daemon = *state;
    struct child child;
    assert_true(child_start(&child, meet_another, daemon));
    assert_true(child_reaches(&child, 1));
    daemon_kill(daemon);
    assert_true(daemon_restart(daemon));
    assert_int_equal(child_run(put_one, daemon), 0);
    child_let(&child, 2);
    assert_int_equal(child_end(&child), 0);
}

int main(void)
{
    if (!daemon_is_built() || !bed_found()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_wrong_calls_are_refused_and_change_nothing, daemon_set_up, daemon_tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_write_wants_slots_that_are_kept_aside_on_death, daemon_set_up, daemon_tear_down),
        cmocka_unit_test_setup_teardown(
            test_without_a_gpu_the_host_serves, daemon_set_up, daemon_tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_call_that_fails_leaves_the_callers_things, daemon_set_up, daemon_tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_transfer_that_fails_part_way_is_waited_for, daemon_set_up, daemon_tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_lost_device_ends_what_was_under_way, daemon_set_up, daemon_tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_forked_child_leaves_the_device_alone, daemon_set_up, daemon_tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_new_sidecar_is_met_with_the_same_device, daemon_set_up, daemon_tear_down),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
