/* The double of the driver is late, does what it was asked, and in the order of one stream. */
#include "tests/check.h"
#include "tests/gpu-double/rig.h"

#include <stdatomic.h>
#include <string.h>

#define LATE "delay_us=20000"
#define NAPS 5u

/* Old bytes are seen as long as the copy is late. A host that is busy may look too late itself, so
 * look again: that the copy is never late is the failure. */
static int read_early(void *context, struct child_page *page)
{
    (void)context;
    struct rig_desk desk;
    unsigned char host[RIG_DESK_BYTES];
    rig_desk_open(&desk, page, LATE);
    bool was_late = false;
    for (unsigned char turn = 1; turn <= 10 && !was_late; turn++) {
        memset(host, 0, sizeof host);
        rig_desk_fill(&desk, desk.one, turn);
        rig_ok(&desk.rig, "copy",
            desk.driver->cuMemcpyDtoHAsync(host, desk.slab.address, RIG_DESK_BYTES, desk.one));
        for (unsigned nap = 0; nap < NAPS; nap++) {
            child_nap();
        }
        unsigned char early = host[RIG_DESK_BYTES - 1];
        was_late = desk.driver->cuStreamQuery(desk.one) == DRIVER_NOT_READY && early == 0;
        rig_desk_finish(&desk);
        child_need(page, host[RIG_DESK_BYTES - 1] == turn, "not there after the wait");
    }
    child_need(page, was_late, "a copy is never late");
    rig_ok(&desk.rig, "query", desk.driver->cuStreamQuery(desk.one));
    memset(host, 99, sizeof host);
    rig_ok(&desk.rig, "back",
        desk.driver->cuMemcpyAsync(
            desk.slab.address, (uint64_t)(uintptr_t)host, RIG_DESK_BYTES, desk.one));
    rig_desk_finish(&desk);
    child_need(page, rig_bytes(desk.slab.address)[RIG_DESK_BYTES - 1] == 99, "not copied back");
    rig_violated(&desk.rig, 0);
    return 0;
}

static void test_a_copy_is_seen_after_the_wait_alone(void **state)
{
    (void)state;
    assert_int_equal(child_run(read_early, NULL), 0);
}

/* A place to write to, and what becomes of it: at the call, and when it runs. */
struct target {
    uint64_t offset; /* in a reservation of three granules, of which two are mapped, one each */
    uint64_t bytes;
    int asked;
    int done;
};

static int write_there(void *context, struct child_page *page)
{
    const struct target *target = context;
    static unsigned char host[RIG_DESK_BYTES];
    struct rig rig;
    rig_open(&rig, page, "delay_us=0");
    const struct driver *driver = &rig.driver;
    struct driver_allocation wish = rig_wish(0);
    struct driver_access access = rig_access(DRIVER_ACCESS_READ_WRITE);
    uint64_t base, handle;
    rig_ok(&rig, "reserve", driver->cuMemAddressReserve(&base, 3 * RIG_GRANULE, 0, 0, 0));
    for (uint64_t i = 0; i < 2; i++) {
        rig_ok(&rig, "create", driver->cuMemCreate(&handle, RIG_GRANULE, &wish, 0));
        rig_ok(&rig, "map", driver->cuMemMap(base + i * RIG_GRANULE, RIG_GRANULE, 0, handle, 0));
    }
    rig_ok(&rig, "access", driver->cuMemSetAccess(base, 2 * RIG_GRANULE, &access, 1));
    struct driver_stream *stream = rig_stream(&rig);
    uint64_t to = target->offset == UINT64_MAX ? (uint64_t)(uintptr_t)host : base + target->offset;
    memset(host, 7, sizeof host);
    rig_is(&rig, "copy", driver->cuMemcpyHtoDAsync(to, host, target->bytes, stream), target->asked);
    rig_is(&rig, "wait", driver->cuStreamSynchronize(stream), target->done);
    child_need(page,
        target->asked + target->done != 0 || target->bytes == 0 ||
            rig_bytes(to)[target->bytes - 1] == 7,
        "not written");
    return 0;
}

static int write_into_a_hole(void *context, struct child_page *page)
{
    struct rig_desk desk;
    uint64_t hole;
    rig_desk_open(&desk, page, "delay_us=0");
    rig_ok(&desk.rig, "reserve", desk.driver->cuMemAddressReserve(&hole, RIG_GRANULE, 0, 0, 0));
    int result = desk.driver->cuMemcpyAsync(hole, desk.slab.address, 1, desk.one);
    rig_ok(&desk.rig, "copy", result);
    result = desk.driver->cuStreamSynchronize(desk.one);
    rig_is(&desk.rig, "wait", result, DRIVER_ILLEGAL_ADDRESS);
    return context != NULL;
}

static int write_over_the_end(void *context, struct child_page *page)
{
    struct rig_desk desk;
    uint64_t legacy;
    rig_desk_open(&desk, page, "delay_us=0");
    rig_ok(&desk.rig, "alloc", desk.driver->cuMemAlloc(&legacy, RIG_DESK_BYTES));
    int result = desk.driver->cuMemsetD8Async(legacy, 1, 2 * RIG_DESK_BYTES, desk.one);
    rig_ok(&desk.rig, "fill", result);
    result = desk.driver->cuStreamSynchronize(desk.one);
    rig_is(&desk.rig, "wait", result, DRIVER_ILLEGAL_ADDRESS);
    return context != NULL;
}

static void test_a_copy_stays_where_memory_is_mapped(void **state)
{
    (void)state;
    static const struct target targets[] = {
        {RIG_GRANULE - 2048, RIG_DESK_BYTES, 0, 0}, /* from one memory into the next */
        {2 * RIG_GRANULE - 2048, RIG_DESK_BYTES, 0, DRIVER_ILLEGAL_ADDRESS},
        {2 * RIG_GRANULE, 1, 0, DRIVER_ILLEGAL_ADDRESS},
        {UINT64_MAX, RIG_DESK_BYTES, DRIVER_INVALID_VALUE, 0}, /* no device memory */
        {0, 0, 0, 0},
    };
    for (size_t i = 0; i < CHECK_COUNT(targets); i++) {
        struct target target = targets[i];
        assert_int_equal(child_run(write_there, &target), 0);
    }
    assert_int_equal(child_run(write_into_a_hole, NULL), 0);
    assert_int_equal(child_run(write_over_the_end, NULL), 0);
}

static int copy_many(void *context, struct child_page *page)
{
    (void)context;
    struct rig_desk desk;
    rig_desk_open(&desk, page, "");
    struct driver_copy how = {.order = DRIVER_ORDER_STREAM};
    unsigned char host[3][16];
    uint64_t at = desk.slab.address;
    uint64_t to[3] = {at, at + 16, at + 32}, from[3];
    size_t bytes[3] = {16, 16, 16}, index = 0;
    for (size_t i = 0; i < 3; i++) {
        memset(host[i], (int)i + 1, sizeof host[i]);
        from[i] = (uint64_t)(uintptr_t)host[i];
    }
    rig_is(&desk.rig, "NULL stream",
        desk.driver->cuMemcpyBatchAsync(to, from, bytes, 3, &how, &index, 1, NULL),
        DRIVER_INVALID_VALUE);
    rig_ok(&desk.rig, "batch",
        desk.driver->cuMemcpyBatchAsync(to, from, bytes, 3, &how, &index, 1, desk.one));
    rig_desk_finish(&desk);
    child_need(page, rig_bytes(at)[15] == 1 && rig_bytes(at)[47] == 3, "not all is copied");
    rig_violated(&desk.rig, 0);
    to[1] = at + 8;
    rig_ok(&desk.rig, "overlap",
        desk.driver->cuMemcpyBatchAsync(to, from, bytes, 3, &how, &index, 1, desk.one));
    rig_violated(&desk.rig, 1);
    index = 1;
    rig_is(&desk.rig, "index",
        desk.driver->cuMemcpyBatchAsync(to, from, bytes, 3, &how, &index, 1, desk.one),
        DRIVER_INVALID_VALUE);
    rig_desk_finish(&desk);
    return 0;
}

static void test_a_batch_has_no_order(void **state)
{
    (void)state;
    assert_int_equal(child_run(copy_many, NULL), 0);
}

static int end_early(void *context, struct child_page *page)
{
    (void)context;
    static atomic_int flag;
    struct rig_desk desk;
    rig_desk_open(&desk, page, LATE);
    rig_desk_fill(&desk, desk.one, 7);
    rig_ok(&desk.rig, "call", desk.driver->cuLaunchHostFunc(desk.one, rig_desk_raise, &flag));
    rig_ok(&desk.rig, "destroy", desk.driver->cuStreamDestroy(desk.one));
    rig_is(&desk.rig, "gone", desk.driver->cuStreamQuery(desk.one), DRIVER_INVALID_HANDLE);
    rig_is(&desk.rig, "again", desk.driver->cuStreamDestroy(desk.one), DRIVER_INVALID_HANDLE);
    rig_desk_await(&desk, &flag);
    child_need(page, rig_bytes(desk.slab.address)[0] == 7, "its work was not done");
    rig_ok(&desk.rig, "destroy", desk.driver->cuEventDestroy(desk.event));
    rig_is(&desk.rig, "event", desk.driver->cuEventQuery(desk.event), DRIVER_INVALID_HANDLE);
    return 0;
}

static void test_a_destroyed_stream_does_its_work(void **state)
{
    (void)state;
    assert_int_equal(child_run(end_early, NULL), 0);
}

struct caller {
    const struct driver *driver;
    _Atomic int result;
};

static void call_the_driver(void *context)
{
    struct caller *caller = context;
    uint64_t address;
    atomic_store(&caller->result, caller->driver->cuMemAlloc(&address, 16));
}

static int call_inside(void *context, struct child_page *page)
{
    (void)context;
    struct rig_desk desk;
    rig_desk_open(&desk, page, "");
    struct caller caller = {.driver = desk.driver};
    rig_ok(&desk.rig, "call", desk.driver->cuLaunchHostFunc(NULL, call_the_driver, &caller));
    rig_ok(&desk.rig, "wait", desk.driver->cuStreamSynchronize(NULL));
    rig_is(&desk.rig, "inside", atomic_load(&caller.result), DRIVER_NOT_PERMITTED);
    rig_ok(&desk.rig, "leave", desk.driver->cuCtxSetCurrent(NULL));
    rig_is(&desk.rig, "wait", desk.driver->cuStreamSynchronize(desk.one), DRIVER_INVALID_CONTEXT);
    rig_is(&desk.rig, "wait", desk.driver->cuEventSynchronize(desk.event), DRIVER_INVALID_CONTEXT);
    return 0;
}

static void test_a_function_of_the_host_may_not_call_the_driver(void **state)
{
    (void)state;
    assert_int_equal(child_run(call_inside, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_copy_is_seen_after_the_wait_alone),
        cmocka_unit_test(test_a_copy_stays_where_memory_is_mapped),
        cmocka_unit_test(test_a_batch_has_no_order),
        cmocka_unit_test(test_a_destroyed_stream_does_its_work),
        cmocka_unit_test(test_a_function_of_the_host_may_not_call_the_driver),
    };
    return cmocka_run_group_tests(tests, rig_begin, rig_end);
}
