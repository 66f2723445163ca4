/* device: workers with a GPU and a sidecar: nobody sees a block before its bytes, nobody loses one
 * under a copy, and whatever fails leaves the caller's things the caller's. */
#include "tests/check.h"
#include "tests/e2e/daemon.h"
#include "tests/e2e/worker.h"
#include "tests/gpu-double/bed.h"

#include "cuda/copy.h"
#include "libclient/include/cistern_device.h"
#include "shm/status.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#define PIECES 4u
#define PIECE_BYTES (WORKER_BLOCK_BYTES / PIECES)
#define CHAIN 8u
#define FLOOD 600u /* blocks of 64 KiB: more than twice the pool of 16 MiB */
#define LATE_US 20000u

/* A worker: a device with tensors in it, a handle, and the library's device. */
struct desk {
    struct bed bed;
    struct slab_pool tensors;
    struct copy_stream stream;
    cistern_t *handle;
    cistern_device_t *device;
    uint8_t *host; /* a block's room */
    struct cistern_piece piece[CHAIN * PIECES];
    struct cistern_key key[CHAIN];
};

static void open_desk(struct desk *desk, struct child_page *page, const struct daemon *daemon)
{
    bed_open(&desk->bed, page, "delay_us=0", "auto");
    struct bed *bed = &desk->bed;
    int status =
        slab_make(&bed->gpu, SLAB_VMM, 1, BED_SLAB_BYTES, &desk->tensors, bed->why, BED_WHY);
    child_need(page, status == STATUS_OK, "%s", bed->why);
    child_need(page, copy_open(&bed->gpu, &desk->stream) == STATUS_OK, "no stream");
    desk->handle = worker_open(page, daemon->socket, CISTERN_LATE_WRITES);
    status = cistern_device_open(desk->handle, NULL, &desk->device);
    child_need(page, status == CISTERN_OK, "device: %s", cistern_why());
    child_need(page,
        strstr(cistern_device_about(desk->device), "16 MiB of host memory page-locked"), "\"%s\"",
        cistern_device_about(desk->device));
    desk->host =
        mmap(NULL, WORKER_BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    child_need(page, desk->host != MAP_FAILED, "no memory");
    for (uint32_t i = 0; i < CHAIN * PIECES; i++) { /* the last piece first */
        desk->piece[i] = (struct cistern_piece){
            .address = slab_address(&desk->tensors, (CHAIN * PIECES - 1 - i) * PIECE_BYTES),
            .bytes = PIECE_BYTES};
    }
}

static void close_desk(struct desk *desk)
{
    cistern_device_close(&desk->device);
    cistern_device_close(&desk->device);
    cistern_close(&desk->handle);
    copy_close(&desk->stream);
    slab_close(&desk->tensors);
    bed_close(&desk->bed);
}

static void sync(struct desk *desk)
{
    int result = desk->bed.driver.cuStreamSynchronize(desk->stream.stream);
    child_need(desk->bed.page, result == DRIVER_SUCCESS, "stream: %d", result);
}

/* Put block `number` into the tensors of place `at` in the chain; or is it there? */
static void fill_tensors(struct desk *desk, uint32_t at, uint64_t number)
{
    worker_fill(desk->host, WORKER_BLOCK_BYTES, number);
    for (uint32_t i = 0; i < PIECES; i++) {
        int result = desk->bed.driver.cuMemcpyHtoDAsync(desk->piece[at * PIECES + i].address,
            desk->host + i * PIECE_BYTES, PIECE_BYTES, desk->stream.stream);
        child_need(desk->bed.page, result == DRIVER_SUCCESS, "copy: %d", result);
    }
    sync(desk);
}

static bool tensors_hold(struct desk *desk, uint32_t at, uint64_t number)
{
    for (uint32_t i = 0; i < PIECES; i++) {
        (void)desk->bed.driver.cuMemcpyDtoHAsync(desk->host + i * PIECE_BYTES,
            desk->piece[at * PIECES + i].address, PIECE_BYTES, desk->stream.stream);
    }
    sync(desk);
    return worker_is_right(desk->host, WORKER_BLOCK_BYTES, number);
}

/* Write a chain of blocks from the tensors. */
static int write_chain(struct desk *desk, uint64_t first, uint32_t count)
{
    struct cistern_slot slots[CHAIN];
    size_t got = 0;
    for (uint32_t i = 0; i < count; i++) {
        desk->key[i] = worker_key(first + i);
    }
    int status = cistern_reserve(desk->handle, count, WORKER_WAIT_NS, slots, &got);
    child_need(desk->bed.page, status == CISTERN_OK && got == count, "reserve: %d", status);
    status = cistern_device_write(
        desk->device, slots, desk->key, NULL, count, desk->piece, PIECES, desk->stream.stream);
    child_need(desk->bed.page, status != CISTERN_OK || slots[0].data == NULL, "still the caller's");
    for (uint32_t i = 0; i < count && status != CISTERN_OK; i++) {
        (void)cistern_abort(desk->handle, &slots[i]);
    }
    return status;
}

static void drain(struct desk *desk)
{
    int status = cistern_device_drain(desk->device, WORKER_WAIT_NS);
    child_need(desk->bed.page, status == CISTERN_OK, "drain: %s", cistern_why());
}

static int produce(void *context, struct child_page *page)
{
    struct desk desk;
    open_desk(&desk, page, context);
    for (uint32_t i = 0; i < CHAIN; i++) {
        fill_tensors(&desk, i, 100 + i);
    }
    bed_delay(&desk.bed, LATE_US);
    child_at(page, 1); /* who looks from here on sees a whole block, or none */
    int status = write_chain(&desk, 100, CHAIN);
    child_need(page, status == CISTERN_OK, "write: %s", cistern_why());
    struct cistern_match found = {.size = sizeof found};
    (void)cistern_match(desk.handle, desk.key, CHAIN, &found);
    child_need(page, found.hot == 0 || !bed_is_double(), "%u blocks before the stream got there",
        found.hot);
    drain(&desk);
    for (uint32_t i = 0; i < CHAIN;
         i++) { /* committed through the seat of a thread of the driver */
        worker_find(page, desk.handle, 100 + i);
    }
    close_desk(&desk);
    return 0;
}

/* Without a GPU: reads in place, as soon as it is there. */
static int watch(void *context, struct child_page *page)
{
    const struct daemon *daemon = context;
    cistern_t *handle = worker_open(page, daemon->socket, 0);
    child_at(page, 1);
    for (uint32_t i = 0; i < CHAIN; i++) {
        worker_find(page, handle, 100 + i); /* compares every byte */
    }
    cistern_close(&handle);
    return 0;
}

static int consume(void *context, struct child_page *page)
{
    struct desk desk;
    struct cistern_view views[CHAIN];
    size_t count = 0;
    open_desk(&desk, page, context);
    for (uint32_t i = 0; i < CHAIN; i++) {
        desk.key[i] = worker_key(100 + i);
    }
    int status = cistern_acquire(desk.handle, desk.key, CHAIN, views, &count);
    child_need(page, status == CISTERN_OK && count == CHAIN, "acquire: %d, %zu", status, count);
    bed_delay(&desk.bed, LATE_US);
    status = cistern_device_read(desk.device, views, CHAIN, desk.piece, PIECES, desk.stream.stream);
    child_need(page, status == CISTERN_OK && views[0].data == NULL, "read: %s", cistern_why());
    child_need(page, cistern_release(desk.handle, views, CHAIN) == CISTERN_STALE, "released twice");
    child_at(page, 1);
    child_await(page, 2); /* all blocks were pushed out meanwhile, but for those */
    sync(&desk);
    drain(&desk);
    for (uint32_t i = 0; i < CHAIN; i++) {
        child_need(page, tensors_hold(&desk, i, 100 + i), "block %u changed under its copy", i);
    }
    close_desk(&desk);
    return 0;
}

static int flood(void *context, struct child_page *page)
{
    const struct daemon *daemon = context;
    cistern_t *handle = worker_open(page, daemon->socket, 0);
    for (uint64_t i = 0; i < FLOOD; i++) {
        worker_put(page, handle, 1000 + i);
    }
    cistern_close(&handle);
    return 0;
}

static void test_blocks_go_from_one_gpu_to_another(void **state)
{
    struct daemon *daemon = *state;
    struct child watcher;
    struct child consumer;
    assert_true(child_start(&watcher, watch, daemon));
    assert_true(child_reaches(&watcher, 1));
    assert_int_equal(child_run(produce, daemon), 0);
    assert_int_equal(child_end(&watcher), 0);
    assert_true(child_start(&consumer, consume, daemon));
    assert_true(child_reaches(&consumer, 1));
    assert_int_equal(child_run(flood, daemon), 0);
    child_let(&consumer, 2);
    assert_int_equal(child_end(&consumer), 0);
}

/* Killed with copies under way: what it wrote is nowhere, and what others read stays right. */
static int die_writing(void *context, struct child_page *page)
{
    struct desk desk;
    open_desk(&desk, page, context);
    bed_delay(&desk.bed, 10000000);
    int status = write_chain(&desk, 300, CHAIN);
    child_need(page, status == CISTERN_OK, "write: %s", cistern_why());
    child_at(page, 1);
    child_await(page, 2);
    return 1;
}

static int find_none(void *context, struct child_page *page)
{
    const struct daemon *daemon = context;
    cistern_t *handle = worker_open(page, daemon->socket, 0);
    for (uint32_t i = 0; i < CHAIN; i++) {
        int status = worker_look(page, handle, 300 + i);
        child_need(page, status == CISTERN_MISS, "block %u: %d", i, status);
    }
    cistern_close(&handle);
    return 0;
}

static void test_a_worker_that_dies_in_a_write_leaves_nothing(void **state)
{
    struct daemon *daemon = *state;
    struct child writer;
    bed_double(); /* a device would be done before it dies */
    assert_true(child_start(&writer, die_writing, daemon));
    assert_true(child_reaches(&writer, 1));
    child_kill(&writer);
    assert_int_equal(child_run(find_none, daemon), 0);
    assert_int_equal(child_run(flood, daemon), 0);
    assert_int_equal(child_run(find_none, daemon), 0);
}

static void *hold_seat(void *context)
{
    struct desk *desk = context;
    (void)cistern_flush(desk->handle, WORKER_WAIT_NS);
    child_at(desk->bed.page, 1);
    child_await(desk->bed.page, 2);
    return NULL;
}

/* Two seats, two threads: the driver's thread has none, and the next call does its work. */
static int crowd(void *context, struct child_page *page)
{
    struct desk desk;
    pthread_t thread;
    open_desk(&desk, page, context);
    fill_tensors(&desk, 0, 100);
    child_need(page, pthread_create(&thread, NULL, hold_seat, &desk) == 0, "no thread");
    while (shared32_load_acquire(&page->point) < 1) {
        child_nap();
    }
    int status = write_chain(&desk, 100, 1);
    child_need(page, status == CISTERN_OK, "write: %s", cistern_why());
    sync(&desk);
    drain(&desk);
    worker_find(page, desk.handle, 100);
    child_at(page, 3);
    child_need(page, pthread_join(thread, NULL) == 0, "join");
    close_desk(&desk);
    return 0;
}

static void test_without_a_seat_the_next_call_commits(void **state)
{
    struct daemon *daemon = *state;
    struct child child;
    assert_true(child_start(&child, crowd, daemon));
    assert_true(child_reaches(&child, 3));
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
            test_blocks_go_from_one_gpu_to_another, daemon_set_up, daemon_tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_worker_that_dies_in_a_write_leaves_nothing, daemon_set_up, daemon_tear_down),
        cmocka_unit_test_setup_teardown(
            test_without_a_seat_the_next_call_commits, daemon_set_up, daemon_tear_down),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
