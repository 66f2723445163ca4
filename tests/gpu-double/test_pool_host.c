/* pool_host: workers whose device is of no use, or none any more, go on with host memory, and say
 * why. */
#include "tests/check.h"
#include "tests/e2e/gauge.h"
#include "tests/gpu-double/smith.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHAIN 4u
#define NOT_ALLOWED 77

static const char *const flags[] = {"--device-pool=64MiB", NULL};
static const char *const legacy[] = {
    "--device-pool=64MiB", "--device-handles=legacy", "--no-keeper", NULL};

/* The engine's kernel breaks its context, which stays so until the process ends. */
static int lose_device(void *context, struct child_page *page)
{
    struct smith smith;
    struct cistern_slot slot;
    size_t count = 0;
    smith_open(&smith, page, context);
    smith_make(&smith, 1, CHAIN);
    worker_put(page, smith.desk.handle, 100);
    bed_break(&smith.desk.bed, "cuLaunchHostFunc", 1);
    struct cistern_key key = worker_key(1);
    struct cistern_view view;
    int status = cistern_acquire(smith.desk.handle, &key, 1, &view, &count);
    child_need(page, status == CISTERN_OK && view.tier == CISTERN_TIER_DEVICE, "%d", status);
    status = cistern_device_release(smith.desk.device, &view, 1, smith.desk.stream.stream);
    child_need(page, status == CISTERN_DEVICE_LOST, "release: %d", status);
    status = cistern_release(smith.desk.handle, &view, 1);
    child_need(page, status == CISTERN_OK, "still the caller's: %d", status);
    status = cistern_device_ready(smith.desk.handle);
    child_need(page, status == CISTERN_DEVICE_LOST, "ready: %d", status);
    worker_find(page, smith.desk.handle, 100); /* reads it by the processor */
    worker_put(page, smith.desk.handle, 101);
    worker_find(page, smith.desk.handle, 101);
    status = cistern_device_reserve(smith.desk.device, 1, 0, &slot, &count);
    child_need(page, status == CISTERN_UNSUPPORTED || status == CISTERN_DEVICE_LOST, "reserve: %d",
        status);
    cistern_device_close(&smith.desk.device);
    cistern_close(&smith.desk.handle);
    return 0;
}

static int find_all(void *context, struct child_page *page)
{
    struct smith smith;
    smith_open(&smith, page, context);
    for (uint64_t i = 1; i <= CHAIN; i++) {
        smith_find(&smith, i, CISTERN_TIER_DEVICE);
    }
    smith_close(&smith);
    return 0;
}

static void test_a_worker_that_loses_its_device_goes_on_with_host_memory(void **state)
{
    struct daemon daemon;
    struct gauge gauge;
    (void)state;
    bed_double();
    assert_int_equal(setenv("CUDA_DOUBLE", "strict=1", 1), 0);
    assert_true(daemon_start(&daemon, flags));
    assert_int_equal(child_run(lose_device, &daemon), 0);
    assert_int_equal(child_run(find_all, &daemon), 0); /* others lose nothing */
    assert_true(gauge_open(&gauge, daemon.socket));
    assert_true(gauge_becomes(&gauge, COUNTER_slots_lent, 0));
    gauge_close(&gauge);
    assert_true(daemon_stop(&daemon));
    daemon_close(&daemon);
}

/* What those who make the namespaces, the sidecar and the worker share. */
struct meeting {
    struct daemon daemon;
    struct child worker; /* in the test's own namespace; its child is process 1 of another one */
};

/* From now on, children are in a namespace of their own, the first of them its process 1. The
 * process itself can make no thread any more, so it ends by _exit(): LeakSanitizer makes one. */
static void unshare_pids(struct child_page *page)
{
    if (unshare(CLONE_NEWPID) != 0) {
        (void)snprintf(page->said, sizeof page->said, "no namespace: %s", strerror(errno));
        _exit(NOT_ALLOWED);
    }
}

static int be_first(void *context, struct child_page *page)
{
    const struct meeting *meeting = context;
    child_need(page, getpid() == 1, "process %d", (int)getpid());
    cistern_t *handle = worker_open_on(page, meeting->daemon.socket, 0, "auto");
    int status = cistern_device_ready(handle);
    child_need(page, status != CISTERN_OK, "memory of a process that has our own number");
    (void)printf("%s\n", cistern_why());
    child_need(page, strstr(cistern_why(), "namespace") != NULL || !bed_is_double(), "why: %s",
        cistern_why());
    worker_put(page, handle, 1);
    worker_find(page, handle, 1);
    cistern_close(&handle);
    return 0;
}

static int work_apart(void *context, struct child_page *page)
{
    child_await(page, 1);
    unshare_pids(page);
    _exit(child_run(be_first, context));
}

static int serve_apart(void *context, struct child_page *page)
{
    struct meeting *meeting = context;
    unshare_pids(page);
    child_need(page, daemon_start(&meeting->daemon, legacy), "no sidecar");
    pid_t server = daemon_server(&meeting->daemon);
    child_need(page, server == 1, "the sidecar is process %d", (int)server);
    child_let(&meeting->worker, 1);
    int ended = child_end(&meeting->worker);
    bool stopped = daemon_stop(&meeting->daemon);
    daemon_close(&meeting->daemon);
    child_need(page, stopped && ended == 0, "the worker ended with %d", ended);
    _exit(0);
}

/* Both before either has a namespace: a process can leave its own once. */
static int meet(void *context, struct child_page *page)
{
    struct meeting *meeting = context;
    if (geteuid() != 0 && unshare(CLONE_NEWUSER) != 0) {
        return NOT_ALLOWED;
    }
    child_need(page, child_start(&meeting->worker, work_apart, meeting), "no worker");
    return serve_apart(meeting, page);
}

static void test_legacy_handles_between_equal_process_numbers_leave_host_memory(void **state)
{
    (void)state;
    assert_int_equal(setenv("CUDA_DOUBLE", "", 1), 0);
    struct meeting *meeting =
        mmap(NULL, sizeof *meeting, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(meeting, MAP_FAILED);
    int status = child_run(meet, meeting);
    (void)munmap(meeting, sizeof *meeting);
    if (status == NOT_ALLOWED) {
        print_message("no namespaces of processes may be made here\n");
        skip();
    }
    assert_int_equal(status, 0);
}

int main(void)
{
    if (!daemon_is_built() || !bed_found()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_worker_that_loses_its_device_goes_on_with_host_memory),
        cmocka_unit_test(test_legacy_handles_between_equal_process_numbers_leave_host_memory),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
