/* copy, pagelock: pieces arrive where they belong, in the stream's order, in batches or singly. */
#include "tests/check.h"
#include "tests/gpu-double/bed.h"

#include "cuda/copy.h"
#include "cuda/pagelock.h"
#include "shm/status.h"

#include <string.h>
#include <sys/mman.h>

#define PIECES 300u /* more than one batch */
#define PIECE_BYTES 1024u
#define BLOCK_BYTES (PIECES * PIECE_BYTES)
#define HOST_BYTES (UINT64_C(1) << 20)
#define PAGE 4096u

/* A block in a pool, tensors in the same one, and host memory. */
struct desk {
    struct bed bed;
    struct slab_pool pool;
    struct copy_stream stream;
    uint64_t block;
    uint64_t tensors;
    uint8_t *host;
    struct copy_piece piece[PIECES];
};

static void open_desk(struct desk *desk, struct child_page *page, const char *switches)
{
    bed_open(&desk->bed, page, switches, "auto");
    struct bed *bed = &desk->bed;
    int status =
        slab_make(&bed->gpu, SLAB_VMM, 2, BED_SLAB_BYTES, &desk->pool, bed->why, sizeof bed->why);
    child_need(page, status == STATUS_OK, "%s", bed->why);
    child_need(page, copy_open(&bed->gpu, &desk->stream) == STATUS_OK, "no stream");
    desk->block = slab_address(&desk->pool, 0);
    desk->tensors = slab_address(&desk->pool, BED_SLAB_BYTES);
    desk->host = mmap(NULL, HOST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    child_need(page, desk->host != MAP_FAILED, "no memory");
    for (uint32_t i = 0; i < PIECES; i++) { /* backwards, with a gap: nothing can be merged */
        desk->piece[i] = (struct copy_piece){
            .address = desk->tensors + (PIECES - 1 - i) * 2 * PIECE_BYTES, .bytes = PIECE_BYTES};
    }
}

static void finish(struct desk *desk)
{
    int result = desk->bed.driver.cuStreamSynchronize(desk->stream.stream);
    child_need(desk->bed.page, result == DRIVER_SUCCESS, "stream: %d", result);
    child_need(desk->bed.page, copy_done(&desk->stream) == STATUS_OK, "not done");
}

static void close_desk(struct desk *desk)
{
    copy_close(&desk->stream);
    copy_close(&desk->stream);
    slab_close(&desk->pool);
    (void)munmap(desk->host, HOST_BYTES);
    bed_close(&desk->bed);
}

static int round_trip(void *context, struct child_page *page)
{
    struct desk desk;
    open_desk(&desk, page, context);
    const struct gpu *gpu = &desk.bed.gpu;
    struct driver_stream *stream = desk.stream.stream;
    for (uint32_t i = 0; i < BLOCK_BYTES; i++) {
        desk.host[i] = (uint8_t)(i / PIECE_BYTES + i % 251);
    }
    struct copy down = {.to = desk.block, .from = (uintptr_t)desk.host, .bytes = BLOCK_BYTES};
    int status = copy_start(gpu, stream, &down, 1);
    status = status == 0 ? copy_scatter(gpu, stream, desk.block, desk.piece, PIECES) : status;
    child_need(page, status == STATUS_OK, "scatter: %d", status);
    finish(&desk);
    bed_fill(&desk.bed, desk.block, BLOCK_BYTES, 0);
    status = copy_gather(gpu, stream, desk.block, desk.piece, PIECES);
    struct copy up = {
        .to = (uintptr_t)desk.host + BLOCK_BYTES, .from = desk.block, .bytes = BLOCK_BYTES};
    status = status == 0 ? copy_start(gpu, stream, &up, 1) : status;
    child_need(page, status == STATUS_OK, "gather: %d", status);
    finish(&desk);
    child_need(page, memcmp(desk.host, desk.host + BLOCK_BYTES, BLOCK_BYTES) == 0, "other bytes");
    close_desk(&desk);
    return 0;
}

static void test_a_block_goes_through_tensors_and_back(void **state)
{
    (void)state;
    static char batches[] = "delay_us=50";
    static char singles[] = "delay_us=5,lacks=cuMemcpyBatchAsync";
    static char refused[] = "delay_us=5,fail=cuMemcpyBatchAsync:0:801";
    char *switches[] = {batches, singles, refused};
    for (size_t i = 0; i < CHECK_COUNT(switches); i++) {
        assert_int_equal(child_run(round_trip, switches[i]), 0);
    }
}

/* Neighbours become one copy: with the driver's first refused, so would be all. */
static int merge(void *context, struct child_page *page)
{
    struct desk desk;
    struct copy_piece piece[8];
    (void)context;
    open_desk(&desk, page, "lacks=cuMemcpyBatchAsync");
    for (uint32_t i = 0; i < 8; i++) {
        piece[i] =
            (struct copy_piece){.address = desk.tensors + i * PIECE_BYTES, .bytes = PIECE_BYTES};
    }
    piece[3].bytes = 0; /* nothing, and no gap */
    piece[4].address = desk.tensors + 3 * PIECE_BYTES;
    for (uint32_t i = 5; i < 8; i++) {
        piece[i].address = piece[i - 1].address + PIECE_BYTES;
    }
    bed_fail(&desk.bed, "cuMemcpyAsync", 2, DRIVER_INVALID_VALUE);
    int status = copy_gather(&desk.bed.gpu, desk.stream.stream, desk.block, piece, 8);
    child_need(page, status == STATUS_OK, "more than one copy: %d", status);
    finish(&desk);
    status = copy_gather(&desk.bed.gpu, desk.stream.stream, desk.block, piece, 8);
    child_need(page, status == STATUS_INVALID, "the second copy did not fail: %d", status);
    close_desk(&desk);
    return 0;
}

static void test_neighbours_are_one_copy(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(merge, NULL), 0);
}

static int order(void *context, struct child_page *page)
{
    (void)context;
    struct desk desk;
    open_desk(&desk, page, "delay_us=2000");
    memset(desk.host, 1, PIECE_BYTES);
    struct copy down = {.to = desk.block, .from = (uintptr_t)desk.host, .bytes = PIECE_BYTES};
    child_need(page, copy_start(&desk.bed.gpu, desk.stream.stream, &down, 1) == STATUS_OK, "down");
    child_need(page, copy_done(&desk.stream) == STATUS_PENDING, "done at once");
    finish(&desk);
    child_need(page, bed_holds(&desk.bed, desk.block, PIECE_BYTES, 1), "not there");
    close_desk(&desk);
    return 0;
}

static void test_a_copy_is_done_when_the_stream_says_so(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(order, NULL), 0);
}

/* Two streams, and nothing between them: the double sees it. */
static int forget(void *context, struct child_page *page)
{
    (void)context;
    struct desk desk;
    struct copy_stream other;
    open_desk(&desk, page, "delay_us=2000");
    struct copy first = {.to = desk.block, .from = (uintptr_t)desk.host, .bytes = PIECE_BYTES};
    struct copy second = {.to = desk.tensors, .from = desk.block, .bytes = PIECE_BYTES};
    child_need(page, copy_open(&desk.bed.gpu, &other) == STATUS_OK, "no stream");
    (void)copy_start(&desk.bed.gpu, desk.stream.stream, &first, 1);
    (void)copy_start(&desk.bed.gpu, other.stream, &second, 1);
    copy_close(&other);
    copy_close(&desk.stream);
    child_need(page, bed_violations(&desk.bed) > 0, "nobody noticed");
    return 0;
}

static void test_a_forgotten_wait_is_seen(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(forget, NULL), 0);
}

static int lock_pages(void *context, struct child_page *page)
{
    const char *switches = context;
    bool refused = strstr(switches, "no_host_register") != NULL;
    struct desk desk;
    struct pagelock lock;
    struct pagelock again;
    char why[BED_WHY];
    open_desk(&desk, page, switches);
    int status = pagelock_open(&desk.bed.gpu, desk.host, HOST_BYTES, &lock, why, sizeof why);
    child_need(page, status == STATUS_OK && lock.locked == !refused, "%d: %s", status, why);
    child_need(page, !refused || strstr(why, "confidential computing") != NULL, "%s", why);
    status = pagelock_open(&desk.bed.gpu, desk.host + PAGE, PAGE, &again, why, sizeof why);
    child_need(page, status == STATUS_OK && !again.locked, "twice: %d", status);
    pagelock_close(&again);
    memset(desk.host, 7, PAGE);
    struct copy down = {.to = desk.block, .from = (uintptr_t)desk.host, .bytes = PAGE};
    child_need(page, copy_start(&desk.bed.gpu, desk.stream.stream, &down, 1) == STATUS_OK, "copy");
    finish(&desk);
    child_need(page, bed_holds(&desk.bed, desk.block, PAGE, 7), "other bytes");
    pagelock_close(&lock);
    pagelock_close(&lock);
    status = pagelock_open(&desk.bed.gpu, desk.host, HOST_BYTES, &lock, why, sizeof why);
    child_need(page, status == STATUS_OK && lock.locked == !refused, "after closing: %s", why);
    pagelock_close(&lock);
    close_desk(&desk);
    return 0;
}

static void test_host_memory_is_locked_where_the_driver_allows_it(void **state)
{
    (void)state;
    static char plain[] = "delay_us=5";
    static char refused[] = "delay_us=5,no_host_register=1";
    assert_int_equal(child_run(lock_pages, plain), 0);
    if (bed_is_double()) {
        assert_int_equal(child_run(lock_pages, refused), 0);
    }
}

int main(void)
{
    if (!bed_found()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_block_goes_through_tensors_and_back),
        cmocka_unit_test(test_neighbours_are_one_copy),
        cmocka_unit_test(test_a_copy_is_done_when_the_stream_says_so),
        cmocka_unit_test(test_a_forgotten_wait_is_seen),
        cmocka_unit_test(test_host_memory_is_locked_where_the_driver_allows_it),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
