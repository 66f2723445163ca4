/* device: workers with a GPU and a sidecar: nobody sees a block before its bytes, nobody loses one
 * under a copy, and whatever fails leaves the caller's things the caller's. */
#include "tests/check.h"
#include "tests/e2e/worker.h"
#include "tests/gpu-double/desk.h"

#include "shm/status.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#define PIECES 4u
#define PIECE_BYTES (WORKER_BLOCK_BYTES / PIECES)
#define CHAIN 8u
#define FLOOD 600u /* blocks of 64 KiB: more than twice the pool of 16 MiB */
#define LATE_US 20000u

/* A worker, and what it moves. */
struct engine {
    struct desk desk;
    uint8_t *host; /* a block's room */
    struct cistern_piece piece[CHAIN * PIECES];
    struct cistern_key key[CHAIN];
};

static void open_engine(struct engine *engine, struct child_page *page, const struct daemon *daemon)
{
    desk_open(&engine->desk, page, daemon, CISTERN_LATE_WRITES);
    const char *about = cistern_device_about(engine->desk.device);
    child_need(page, strstr(about, "16 MiB of host memory page-locked"), "\"%s\"", about);
    engine->host =
        mmap(NULL, WORKER_BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    child_need(page, engine->host != MAP_FAILED, "no memory");
    for (uint32_t i = 0; i < CHAIN * PIECES; i++) { /* the last piece first */
        uint64_t at = (CHAIN * PIECES - 1 - i) * PIECE_BYTES;
        engine->piece[i] = (struct cistern_piece){
            .address = slab_address(&engine->desk.tensors, at), .bytes = PIECE_BYTES};
    }
}

static void sync(struct engine *engine)
{
    int result = engine->desk.bed.driver.cuStreamSynchronize(engine->desk.stream.stream);
    child_need(engine->desk.bed.page, result == DRIVER_SUCCESS, "stream: %d", result);
}

/* Put block `number` into the tensors of place `at` in the chain; or is it there? */
static void fill_tensors(struct engine *engine, uint32_t at, uint64_t number)
{
    worker_fill(engine->host, WORKER_BLOCK_BYTES, number);
    for (uint32_t i = 0; i < PIECES; i++) {
        int result =
            engine->desk.bed.driver.cuMemcpyHtoDAsync(engine->piece[at * PIECES + i].address,
                engine->host + i * PIECE_BYTES, PIECE_BYTES, engine->desk.stream.stream);
        child_need(engine->desk.bed.page, result == DRIVER_SUCCESS, "copy: %d", result);
    }
    sync(engine);
}

static bool tensors_hold(struct engine *engine, uint32_t at, uint64_t number)
{
    for (uint32_t i = 0; i < PIECES; i++) {
        (void)engine->desk.bed.driver.cuMemcpyDtoHAsync(engine->host + i * PIECE_BYTES,
            engine->piece[at * PIECES + i].address, PIECE_BYTES, engine->desk.stream.stream);
    }
    sync(engine);
    return worker_is_right(engine->host, WORKER_BLOCK_BYTES, number);
}

/* Write a chain of blocks from the tensors. */
static int write_chain(struct engine *engine, uint64_t first, uint32_t count)
{
    struct cistern_slot slots[CHAIN];
    size_t got = 0;
    for (uint32_t i = 0; i < count; i++) {
        engine->key[i] = worker_key(first + i);
    }
    int status = cistern_reserve(engine->desk.handle, count, WORKER_WAIT_NS, slots, &got);
    child_need(engine->desk.bed.page, status == CISTERN_OK && got == count, "reserve: %d", status);
    status = cistern_device_write(engine->desk.device, slots, engine->key, NULL, count,
        engine->piece, PIECES, engine->desk.stream.stream);
    child_need(
        engine->desk.bed.page, status != CISTERN_OK || slots[0].data == NULL, "still the caller's");
    for (uint32_t i = 0; i < count && status != CISTERN_OK; i++) {
        (void)cistern_abort(engine->desk.handle, &slots[i]);
    }
    return status;
}

static void drain(struct engine *engine)
{
    int status = cistern_device_drain(engine->desk.device, WORKER_WAIT_NS);
    child_need(engine->desk.bed.page, status == CISTERN_OK, "drain: %s", cistern_why());
}

static int produce(void *context, struct child_page *page)
{
    struct engine engine;
    open_engine(&engine, page, context);
    for (uint32_t i = 0; i < CHAIN; i++) {
        fill_tensors(&engine, i, 100 + i);
    }
    bed_delay(&engine.desk.bed, LATE_US);
    child_at(page, 1); /* who looks from here on sees a whole block, or none */
    int status = write_chain(&engine, 100, CHAIN);
    child_need(page, status == CISTERN_OK, "write: %s", cistern_why());
    struct cistern_match found = {.size = sizeof found};
    (void)cistern_match(engine.desk.handle, engine.key, CHAIN, &found);
    child_need(page, found.hot == 0 || !bed_is_double(), "%u blocks before the stream got there",
        found.hot);
    drain(&engine);
    for (uint32_t i = 0; i < CHAIN;
         i++) { /* committed through the seat of a thread of the driver */
        worker_find(page, engine.desk.handle, 100 + i);
    }
    desk_close(&engine.desk);
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
    struct engine engine;
    struct cistern_view views[CHAIN];
    size_t count = 0;
    open_engine(&engine, page, context);
    for (uint32_t i = 0; i < CHAIN; i++) {
        engine.key[i] = worker_key(100 + i);
    }
    int status = cistern_acquire(engine.desk.handle, engine.key, CHAIN, views, &count);
    child_need(page, status == CISTERN_OK && count == CHAIN, "acquire: %d, %zu", status, count);
    bed_delay(&engine.desk.bed, LATE_US);
    status = cistern_device_read(
        engine.desk.device, views, CHAIN, engine.piece, PIECES, engine.desk.stream.stream);
    child_need(page, status == CISTERN_OK && views[0].data == NULL, "read: %s", cistern_why());
    child_need(
        page, cistern_release(engine.desk.handle, views, CHAIN) == CISTERN_STALE, "released twice");
    child_at(page, 1);
    child_await(page, 2); /* all blocks were pushed out meanwhile, but for those */
    sync(&engine);
    drain(&engine);
    for (uint32_t i = 0; i < CHAIN; i++) {
        child_need(page, tensors_hold(&engine, i, 100 + i), "block %u changed under its copy", i);
    }
    desk_close(&engine.desk);
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
    struct engine engine;
    open_engine(&engine, page, context);
    bed_delay(&engine.desk.bed, 10000000);
    int status = write_chain(&engine, 300, CHAIN);
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
    struct engine *engine = context;
    (void)cistern_flush(engine->desk.handle, WORKER_WAIT_NS);
    child_at(engine->desk.bed.page, 1);
    child_await(engine->desk.bed.page, 2);
    return NULL;
}

/* Two seats, two threads: the driver's thread has none, and the next call does its work. */
static int crowd(void *context, struct child_page *page)
{
    struct engine engine;
    pthread_t thread;
    open_engine(&engine, page, context);
    fill_tensors(&engine, 0, 100);
    child_need(page, pthread_create(&thread, NULL, hold_seat, &engine) == 0, "no thread");
    while (shared32_load_acquire(&page->point) < 1) {
        child_nap();
    }
    int status = write_chain(&engine, 100, 1);
    child_need(page, status == CISTERN_OK, "write: %s", cistern_why());
    sync(&engine);
    drain(&engine);
    worker_find(page, engine.desk.handle, 100);
    child_at(page, 3);
    child_need(page, pthread_join(thread, NULL) == 0, "join");
    desk_close(&engine.desk);
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
