/* The double of the driver: words that streams write and await, in one process or in two. */
#include "tests/check.h"
#include "tests/gpu-double/rig.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define WORD_OFFSET (RIG_GRANULE - 4096)
#define NAPS 20u

static _Atomic uint64_t *word_at(uint64_t address)
{
    return (_Atomic uint64_t *)(void *)rig_bytes(address);
}

static int finish(const struct rig *rig, struct driver_stream *stream)
{
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    int result = rig->driver.cuStreamQuery(stream);
    while (result == DRIVER_NOT_READY && child_now_ns() < deadline) {
        child_nap();
        result = rig->driver.cuStreamQuery(stream);
    }
    return result;
}

static int produce(void *context, struct child_page *page)
{
    const int *socket = context;
    struct rig rig;
    rig_open(&rig, page, "delay_us=1000");
    struct rig_slab slab = rig_make(&rig, RIG_GRANULE, DRIVER_ACCESS_READ_WRITE);
    rig_send(&rig, socket[0], rig_export(&rig, &slab));
    child_await(page, 1);
    struct driver_stream *stream = rig_stream(&rig);
    const struct driver *driver = &rig.driver;
    rig_ok(&rig, "fill", driver->cuMemsetD8Async(slab.address, 7, 4096, stream));
    rig_ok(&rig, "write", driver->cuStreamWriteValue64(stream, slab.address + WORD_OFFSET, 5, 0));
    rig_ok(&rig, "finish", finish(&rig, stream));
    return 0;
}

static int consume(void *context, struct child_page *page)
{
    const int *socket = context;
    static unsigned char host[4096];
    struct rig rig;
    rig_open(&rig, page, "delay_us=0");
    int fd = rig_take(&rig, socket[1]);
    struct rig_slab slab = rig_import(&rig, fd, RIG_GRANULE, DRIVER_ACCESS_READ);
    struct driver_stream *stream = rig_stream(&rig);
    const struct driver *driver = &rig.driver;
    rig_ok(&rig, "await",
        driver->cuStreamWaitValue64(stream, slab.address + WORD_OFFSET, 5, DRIVER_WAIT_GEQ));
    rig_ok(&rig, "copy", driver->cuMemcpyDtoHAsync(host, slab.address, sizeof host, stream));
    rig_is(&rig, "query", driver->cuStreamQuery(stream), DRIVER_NOT_READY);
    child_at(page, 1);
    rig_ok(&rig, "finish", finish(&rig, stream));
    child_need(page, host[4095] == 7, "old bytes behind the wait");
    return 0;
}

static void test_a_word_orders_the_work_of_two_processes(void **state)
{
    (void)state;
    int socket[2];
    struct child producer, consumer;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socket), 0);
    assert_true(child_start(&producer, produce, socket));
    assert_true(child_start(&consumer, consume, socket));
    assert_true(child_reaches(&consumer, 1));
    child_let(&producer, 1);
    assert_int_equal(child_end(&producer), 0);
    assert_int_equal(child_end(&consumer), 0);
}

static void raise_flag(void *context)
{
    atomic_store((atomic_int *)context, 1);
}

/* A wait that had begun goes on waiting after a store of the host. Whether it had begun cannot be
 * seen from outside, so try again if it had not: that it never waits is the failure. */
static int store_plainly(void *context, struct child_page *page)
{
    (void)context;
    struct rig rig;
    rig_open(&rig, page, "delay_us=0");
    struct rig_slab slab = rig_make(&rig, RIG_GRANULE, DRIVER_ACCESS_READ_WRITE);
    struct driver_stream *waiter = rig_stream(&rig);
    struct driver_stream *writer = rig_stream(&rig);
    const struct driver *driver = &rig.driver;
    bool waited = false;
    for (uint64_t turn = 1; turn <= 10 && !waited; turn++) {
        atomic_int flag = 0;
        rig_ok(&rig, "call", driver->cuLaunchHostFunc(waiter, raise_flag, &flag));
        rig_ok(&rig, "await", driver->cuStreamWaitValue64(waiter, slab.address, turn, 0));
        uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
        while (atomic_load(&flag) == 0 && child_now_ns() < deadline) {
            child_nap();
        }
        child_nap();
        atomic_store(word_at(slab.address), turn);
        for (unsigned nap = 0; nap < NAPS; nap++) {
            child_nap();
        }
        waited = driver->cuStreamQuery(waiter) == DRIVER_NOT_READY;
        rig_ok(&rig, "write", driver->cuStreamWriteValue64(writer, slab.address, turn, 0));
        rig_ok(&rig, "finish", finish(&rig, waiter));
    }
    child_need(page, waited, "a plain store wakes a wait");
    return 0;
}

static void test_a_plain_store_wakes_nobody(void **state)
{
    (void)state;
    assert_int_equal(child_run(store_plainly, NULL), 0);
}

static int wrap(void *context, struct child_page *page)
{
    (void)context;
    struct rig rig;
    rig_open(&rig, page, "delay_us=0");
    struct rig_slab slab = rig_make(&rig, RIG_GRANULE, DRIVER_ACCESS_READ_WRITE);
    struct driver_stream *stream = rig_stream(&rig);
    const struct driver *driver = &rig.driver;
    const uint64_t word = slab.address;
    rig_ok(&rig, "write", driver->cuStreamWriteValue64(stream, word, 3, 0));
    rig_ok(&rig, "await", driver->cuStreamWaitValue64(stream, word, UINT64_MAX - 5, 0));
    rig_ok(&rig, "await", driver->cuStreamWaitValue64(stream, word, 2, 0));
    rig_ok(&rig, "finish", finish(&rig, stream)); /* a signed difference: 3 is behind 2^64 - 5 */
    child_need(page, atomic_load(word_at(word)) == 3, "not written");
    uint64_t plain = 0;
    rig_is(&rig, "plain memory",
        driver->cuStreamWriteValue64(stream, (uint64_t)(uintptr_t)&plain, 1, 0),
        DRIVER_INVALID_VALUE);
    rig_is(&rig, "odd", driver->cuStreamWaitValue64(stream, word + 4, 0, 0), DRIVER_INVALID_VALUE);
    rig_is(&rig, "beyond", driver->cuStreamWaitValue64(stream, word + slab.bytes, 0, 0),
        DRIVER_INVALID_VALUE);
    rig_violated(&rig, 0);
    return 0;
}

static int lack(void *context, struct child_page *page)
{
    (void)context;
    struct rig rig;
    int value = -1;
    rig_open(&rig, page, "no_timeline=1");
    struct rig_slab slab = rig_make(&rig, RIG_GRANULE, DRIVER_ACCESS_READ_WRITE);
    rig_is(&rig, "write", rig.driver.cuStreamWriteValue64(NULL, slab.address, 1, 0),
        DRIVER_NOT_SUPPORTED);
    rig_ok(&rig, "attribute", rig.driver.cuDeviceGetAttribute(&value, DRIVER_HAS_TIMELINE, 0));
    child_need(page, value == 0, "attribute %d", value);
    return 0;
}

static void test_a_word_is_compared_as_on_a_circle(void **state)
{
    (void)state;
    assert_int_equal(child_run(wrap, NULL), 0);
    assert_int_equal(child_run(lack, NULL), 0);
}

/* One memfd in two processes, each of which registers it: the flag of a sidecar's page. */
static int write_host_word(void *context, struct child_page *page)
{
    struct rig rig;
    uint64_t address;
    rig_open(&rig, page, "delay_us=1000");
    const struct driver *driver = &rig.driver;
    rig_ok(&rig, "register", driver->cuMemHostRegister(context, 4096, DRIVER_REGISTER_DEVICE_MAP));
    rig_ok(&rig, "pointer", driver->cuMemHostGetDevicePointer(&address, context, 0));
    struct driver_stream *stream = rig_stream(&rig);
    rig_ok(&rig, "write", driver->cuStreamWriteValue64(stream, address, 9, 0));
    rig_ok(&rig, "finish", finish(&rig, stream));
    rig_ok(&rig, "unregister", driver->cuMemHostUnregister(context));
    rig_violated(&rig, 0);
    return 0;
}

static int await_host_word(void *context, struct child_page *page)
{
    struct rig rig;
    uint64_t address;
    rig_open(&rig, page, "");
    const struct driver *driver = &rig.driver;
    rig_ok(&rig, "register", driver->cuMemHostRegister(context, 4096, DRIVER_REGISTER_DEVICE_MAP));
    rig_ok(&rig, "pointer", driver->cuMemHostGetDevicePointer(&address, context, 0));
    struct driver_stream *stream = rig_stream(&rig);
    rig_ok(&rig, "await", driver->cuStreamWaitValue64(stream, address, 9, 0));
    child_at(page, 1);
    rig_ok(&rig, "finish", finish(&rig, stream));
    return 0;
}

static void test_a_word_in_registered_memory_is_seen_by_all(void **state)
{
    (void)state;
    struct child waiter;
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_true(child_start(&waiter, await_host_word, memory));
    assert_true(child_reaches(&waiter, 1));
    assert_int_equal(child_run(write_host_word, memory), 0);
    assert_int_equal(atomic_load((_Atomic uint64_t *)memory), 9);
    assert_int_equal(child_end(&waiter), 0);
    (void)munmap(memory, 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_word_orders_the_work_of_two_processes),
        cmocka_unit_test(test_a_plain_store_wakes_nobody),
        cmocka_unit_test(test_a_word_is_compared_as_on_a_circle),
        cmocka_unit_test(test_a_word_in_registered_memory_is_seen_by_all),
    };
    return cmocka_run_group_tests(tests, rig_begin, rig_end);
}
