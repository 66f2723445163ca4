/* The double of the driver sees who touched bytes that another stream was not done with. */
#include "tests/check.h"
#include "tests/gpu-double/rig.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void no_order(const struct rig_desk *desk)
{
    (void)desk;
}

static void by_event(const struct rig_desk *desk)
{
    rig_ok(&desk->rig, "record", desk->driver->cuEventRecord(desk->event, desk->one));
    rig_ok(&desk->rig, "await", desk->driver->cuStreamWaitEvent(desk->two, desk->event, 0));
}

static void by_event_unrecorded(const struct rig_desk *desk)
{
    rig_ok(&desk->rig, "query", desk->driver->cuEventQuery(desk->event));
    rig_ok(&desk->rig, "await", desk->driver->cuStreamWaitEvent(desk->two, desk->event, 0));
}

static void by_event_on_the_host(const struct rig_desk *desk)
{
    rig_ok(&desk->rig, "record", desk->driver->cuEventRecord(desk->event, desk->one));
    rig_ok(&desk->rig, "wait", desk->driver->cuEventSynchronize(desk->event));
}

static void by_asking_the_event(const struct rig_desk *desk)
{
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    int result = DRIVER_NOT_READY;
    rig_ok(&desk->rig, "record", desk->driver->cuEventRecord(desk->event, desk->one));
    while (result == DRIVER_NOT_READY && child_now_ns() < deadline) {
        child_nap();
        result = desk->driver->cuEventQuery(desk->event);
    }
    rig_ok(&desk->rig, "query", result);
}

static void by_waiting(const struct rig_desk *desk)
{
    rig_ok(&desk->rig, "wait", desk->driver->cuStreamSynchronize(desk->one));
}

static void by_asking(const struct rig_desk *desk)
{
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    int result = DRIVER_NOT_READY;
    while (result == DRIVER_NOT_READY && child_now_ns() < deadline) {
        child_nap();
        result = desk->driver->cuStreamQuery(desk->one);
    }
    rig_ok(&desk->rig, "query", result);
}

static void by_waiting_for_the_other(const struct rig_desk *desk)
{
    rig_ok(&desk->rig, "wait", desk->driver->cuStreamSynchronize(desk->two));
}

static void by_timeline(const struct rig_desk *desk)
{
    uint64_t word = desk->slab.address + desk->slab.bytes - 8;
    rig_ok(&desk->rig, "write", desk->driver->cuStreamWriteValue64(desk->one, word, 1, 0));
    rig_ok(&desk->rig, "await", desk->driver->cuStreamWaitValue64(desk->two, word, 1, 0));
}

static void by_call(const struct rig_desk *desk)
{
    static atomic_int flag;
    atomic_store(&flag, 0);
    rig_ok(&desk->rig, "call", desk->driver->cuLaunchHostFunc(desk->one, rig_desk_raise, &flag));
    rig_desk_await(desk, &flag);
}

/* A word in host memory, which the host reads by itself. */
static void by_mark(const struct rig_desk *desk)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    _Atomic uint64_t *word = memory;
    uint64_t address, deadline = child_now_ns() + CHILD_WAIT_NS;
    rig_ok(&desk->rig, "register", desk->driver->cuMemHostRegister(memory, 4096, 2));
    rig_ok(&desk->rig, "pointer", desk->driver->cuMemHostGetDevicePointer(&address, memory, 0));
    rig_ok(&desk->rig, "write", desk->driver->cuStreamWriteValue64(desk->one, address, 1, 0));
    while (atomic_load(word) == 0 && child_now_ns() < deadline) {
        child_nap();
    }
    child_need(desk->rig.page, atomic_load(word) == 1, "never written");
}

struct order {
    void (*make)(const struct rig_desk *desk);
    uint64_t violations;
};

/* One stream writes, something orders or does not, another reads; and the reverse. */
static int touch_twice(void *context, struct child_page *page)
{
    const struct order *order = context;
    static unsigned char host[RIG_DESK_BYTES];
    struct rig_desk desk;
    rig_desk_open(&desk, page, "delay_us=2000");
    rig_desk_fill(&desk, desk.one, 7);
    order->make(&desk);
    rig_ok(&desk.rig, "copy",
        desk.driver->cuMemcpyDtoHAsync(host, desk.slab.address, RIG_DESK_BYTES, desk.two));
    rig_desk_finish(&desk);
    rig_violated(&desk.rig, order->violations);
    child_need(page,
        order->violations == 0 || strstr(desk.rig.first_violation(), "cuMemsetD8Async") != NULL,
        "said: %s", desk.rig.first_violation());
    child_need(page, order->violations != 0 || host[RIG_DESK_BYTES - 1] == 7, "old bytes in order");
    rig_ok(&desk.rig, "copy",
        desk.driver->cuMemcpyDtoHAsync(host, desk.slab.address, RIG_DESK_BYTES, desk.one));
    order->make(&desk);
    rig_desk_fill(&desk, desk.two, 8);
    rig_desk_finish(&desk);
    rig_violated(&desk.rig, 2 * order->violations);
    return 0;
}

static void test_only_what_is_ordered_may_touch_the_same_bytes(void **state)
{
    (void)state;
    static const struct order orders[] = {{no_order, 1}, {by_event, 0}, {by_event_on_the_host, 0},
        {by_asking_the_event, 0}, {by_waiting, 0}, {by_asking, 0}, {by_call, 0}, {by_mark, 0},
        {by_waiting_for_the_other, 1}};
    for (size_t i = 0; i < CHECK_COUNT(orders); i++) {
        struct order order = orders[i];
        print_message("way %zu\n", i);
        assert_int_equal(child_run(touch_twice, &order), 0);
    }
}

/* Ways that order once only, or by chance. */
static int touch_once(void *context, struct child_page *page)
{
    const struct order *order = context;
    struct rig_desk desk;
    rig_desk_open(&desk, page, "delay_us=2000");
    rig_desk_fill(&desk, desk.one, 7);
    order->make(&desk);
    rig_desk_fill(&desk, desk.two, 8);
    rig_desk_finish(&desk);
    rig_violated(&desk.rig, order->violations);
    return 0;
}

static void test_a_timeline_orders_and_an_event_without_record_does_not(void **state)
{
    (void)state;
    struct order timeline = {by_timeline, 0};
    struct order unrecorded = {by_event_unrecorded, 1};
    assert_int_equal(child_run(touch_once, &timeline), 0);
    assert_int_equal(child_run(touch_once, &unrecorded), 0);
}

static int read_together(void *context, struct child_page *page)
{
    (void)context;
    static unsigned char host[2][RIG_DESK_BYTES];
    struct rig_desk desk;
    rig_desk_open(&desk, page, "");
    uint64_t address = desk.slab.address;
    rig_ok(&desk.rig, "read",
        desk.driver->cuMemcpyDtoHAsync(host[0], address, RIG_DESK_BYTES, desk.one));
    rig_ok(&desk.rig, "read",
        desk.driver->cuMemcpyDtoHAsync(host[1], address, RIG_DESK_BYTES, desk.two));
    rig_ok(&desk.rig, "beside",
        desk.driver->cuMemsetD8Async(address + RIG_DESK_BYTES, 1, 64, desk.two));
    rig_desk_finish(&desk);
    rig_violated(&desk.rig, 0);
    rig_ok(&desk.rig, "read",
        desk.driver->cuMemcpyDtoHAsync(host[0], address, RIG_DESK_BYTES, desk.one));
    rig_ok(&desk.rig, "same", desk.driver->cuMemcpyDtoHAsync(host[0], address, 1, desk.two));
    rig_desk_finish(&desk);
    rig_violated(&desk.rig, 1); /* two writers of host memory */
    return 0;
}

static void test_two_may_read_the_same_bytes(void **state)
{
    (void)state;
    assert_int_equal(child_run(read_together, NULL), 0);
}

/* Copies behind a gate, which opens before or after their memory is taken away. */
static int take_away(void *context, struct child_page *page)
{
    const bool *waits = context;
    struct rig_desk desk;
    rig_desk_open(&desk, page, "");
    uint64_t legacy, gate;
    unsigned char *host =
        mmap(NULL, RIG_DESK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const struct driver *driver = desk.driver;
    struct driver_stream *opener = rig_stream(&desk.rig);
    uint64_t address = desk.slab.address;
    rig_ok(&desk.rig, "alloc", driver->cuMemAlloc(&gate, 8));
    rig_ok(&desk.rig, "alloc", driver->cuMemAlloc(&legacy, RIG_DESK_BYTES));
    rig_ok(&desk.rig, "register", driver->cuMemHostRegister(host, RIG_DESK_BYTES, 2));
    rig_ok(&desk.rig, "gate", driver->cuStreamWaitValue64(desk.one, gate, 1, 0));
    rig_ok(&desk.rig, "copy", driver->cuMemcpyAsync(legacy, address, RIG_DESK_BYTES, desk.one));
    rig_ok(&desk.rig, "copy", driver->cuMemcpyDtoHAsync(host, address, RIG_DESK_BYTES, desk.one));
    rig_ok(&desk.rig, "record", driver->cuEventRecord(desk.event, desk.one));
    rig_is(&desk.rig, "event", driver->cuEventQuery(desk.event), DRIVER_NOT_READY);
    if (*waits) {
        rig_ok(&desk.rig, "open", driver->cuStreamWriteValue64(opener, gate, 1, 0));
        rig_desk_finish(&desk);
    }
    rig_ok(&desk.rig, "unregister", driver->cuMemHostUnregister(host));
    rig_violated(&desk.rig, *waits ? 0 : 1);
    rig_ok(&desk.rig, "free", driver->cuMemFree(legacy));
    rig_violated(&desk.rig, *waits ? 0 : 2);
    rig_drop(&desk.rig, &desk.slab);
    rig_violated(&desk.rig, *waits ? 0 : 3);
    if (!*waits) {
        rig_ok(&desk.rig, "open", driver->cuStreamWriteValue64(opener, gate, 1, 0));
    }
    rig_is(&desk.rig, "wait", driver->cuStreamSynchronize(desk.one),
        *waits ? DRIVER_SUCCESS : DRIVER_ILLEGAL_ADDRESS);
    return 0;
}

static void test_memory_in_use_is_not_taken_away(void **state)
{
    (void)state;
    bool waits = true;
    assert_int_equal(child_run(take_away, &waits), 0);
    waits = false;
    assert_int_equal(child_run(take_away, &waits), 0);
}

/* Late by nothing, so that the copy is over before: the host has not waited all the same. */
static int take_away_late(void *context, struct child_page *page)
{
    (void)context;
    struct rig_desk desk;
    rig_desk_open(&desk, page, "delay_us=0");
    int fd = rig_export(&desk.rig, &desk.slab);
    rig_desk_fill(&desk, desk.one, 7);
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    char byte = 0;
    while (byte != 7 && child_now_ns() < deadline) { /* seen without a call of the driver */
        child_need(page, pread(fd, &byte, 1, RIG_DESK_BYTES - 1) == 1, "pread");
    }
    rig_ok(&desk.rig, "other", desk.driver->cuStreamSynchronize(desk.two));
    rig_ok(&desk.rig, "unmap", desk.driver->cuMemUnmap(desk.slab.address, desk.slab.bytes));
    rig_violated(&desk.rig, 1);
    return 0;
}

static void test_luck_is_no_wait(void **state)
{
    (void)state;
    assert_int_equal(child_run(take_away_late, NULL), 0);
}

static int be_strict(void *context, struct child_page *page)
{
    (void)context;
    struct rig_desk desk;
    rig_desk_open(&desk, page, "strict=1");
    rig_desk_fill(&desk, desk.one, 7);
    rig_desk_fill(&desk, desk.two, 8);
    rig_desk_finish(&desk);
    return 0;
}

static void test_a_strict_double_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(child_run(be_strict, NULL), 1000 + SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_is_ordered_may_touch_the_same_bytes),
        cmocka_unit_test(test_a_timeline_orders_and_an_event_without_record_does_not),
        cmocka_unit_test(test_two_may_read_the_same_bytes),
        cmocka_unit_test(test_memory_in_use_is_not_taken_away),
        cmocka_unit_test(test_luck_is_no_wait),
        cmocka_unit_test(test_a_strict_double_ends_the_process),
    };
    return cmocka_run_group_tests(tests, rig_begin, rig_end);
}
