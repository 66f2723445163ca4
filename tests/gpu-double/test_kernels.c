/* kernels: what the tests launch does what they think it does: the pattern of a block is the same
 * for host and device, a wrong word is counted, and time can be taken. */
#include "tests/check.h"
#include "tests/e2e/worker.h"
#include "tests/gpu-double/bed.h"
#include "tests/gpu-double/kernels.h"

#include "cuda/copy.h"
#include "shm/status.h"

#include <stdlib.h>

#define PIECES 3u
#define COUNTER WORKER_BLOCK_BYTES /* where the errors are counted, behind the block */
#define SPIN_NS UINT64_C(20000000)

struct bench {
    struct bed bed;
    struct kernels kernels;
    struct slab_pool pool;
    struct copy_stream stream;
    uint8_t *host; /* a block's room */
};

static void open_bench(struct bench *bench, struct child_page *page)
{
    struct bed *bed = &bench->bed;
    bed_open(bed, page, "delay_us=100", "auto");
    kernels_open(&bench->kernels, page, bed->driver.library);
    int status = slab_make(&bed->gpu, SLAB_VMM, 1, BED_SLAB_BYTES, &bench->pool, bed->why, BED_WHY);
    child_need(page, status == STATUS_OK, "%s", bed->why);
    child_need(page, copy_open(&bed->gpu, &bench->stream) == STATUS_OK, "no stream");
    bench->host = malloc(WORKER_BLOCK_BYTES);
    child_need(page, bench->host != NULL, "no memory");
}

static void close_bench(struct bench *bench)
{
    free(bench->host);
    copy_close(&bench->stream);
    kernels_close(&bench->kernels);
    slab_close(&bench->pool);
    bed_close(&bench->bed);
}

static void sync(const struct bench *bench)
{
    int result = bench->bed.driver.cuStreamSynchronize(bench->stream.stream);
    child_need(bench->bed.page, result == DRIVER_SUCCESS, "stream: %d", result);
}

/* How many words of the block are not those of `number`, by the device's word. */
static uint64_t count_errors(struct bench *bench, uint64_t number)
{
    uint64_t at = slab_address(&bench->pool, 0);
    uint64_t errors = 1;
    struct driver_stream *stream = bench->stream.stream;
    (void)bench->bed.driver.cuMemsetD8Async(at + COUNTER, 0, sizeof errors, stream);
    kernels_check(&bench->kernels, stream, at, WORKER_BLOCK_BYTES, number, 0, at + COUNTER);
    (void)bench->bed.driver.cuMemcpyDtoHAsync(&errors, at + COUNTER, sizeof errors, stream);
    sync(bench);
    return errors;
}

static int fill_and_check(void *context, struct child_page *page)
{
    (void)context;
    struct bench bench;
    open_bench(&bench, page);
    struct driver_stream *stream = bench.stream.stream;
    uint64_t at = slab_address(&bench.pool, 0);
    bed_fill(&bench.bed, at, WORKER_BLOCK_BYTES, 0xee);
    uint64_t errors = count_errors(&bench, 77);
    child_need(page, errors == WORKER_BLOCK_BYTES / 8, "%llu words of another pattern differ",
        (unsigned long long)errors);
    /* Pieces of unequal sizes, the first one that of a single warp and less. */
    static const uint64_t ends[PIECES + 1] = {0, 24, 20000, WORKER_BLOCK_BYTES};
    for (uint32_t i = 0; i < PIECES; i++) {
        kernels_fill(&bench.kernels, stream, at + ends[i], ends[i + 1] - ends[i], 77, ends[i]);
    }
    (void)bench.bed.driver.cuMemcpyDtoHAsync(bench.host, at, WORKER_BLOCK_BYTES, stream);
    sync(&bench);
    child_need(page, worker_is_right(bench.host, WORKER_BLOCK_BYTES, 77), "not the host's pattern");
    child_need(page, count_errors(&bench, 77) == 0, "the block that was filled is wrong");
    child_need(page, count_errors(&bench, 78) != 0, "it is the next block as well");
    bed_fill(&bench.bed, at + WORKER_BLOCK_BYTES - 1, 1, bench.host[WORKER_BLOCK_BYTES - 1] ^ 1);
    errors = count_errors(&bench, 77);
    child_need(page, errors == 1, "one bit makes %llu wrong words", (unsigned long long)errors);
    close_bench(&bench);
    return 0;
}

static void test_one_wrong_bit_of_a_block_is_counted(void **state)
{
    (void)state;
    assert_int_equal(child_run(fill_and_check, NULL), 0);
}

/* The least that it takes: how much longer is nobody's business. */
static int spin(void *context, struct child_page *page)
{
    (void)context;
    struct bench bench;
    open_bench(&bench, page);
    uint64_t begun_ns = child_now_ns();
    kernels_spin(&bench.kernels, bench.stream.stream, SPIN_NS);
    sync(&bench);
    uint64_t took_ns = child_now_ns() - begun_ns;
    child_need(page, took_ns > SPIN_NS / 2, "over after %llu ns", (unsigned long long)took_ns);
    close_bench(&bench);
    return 0;
}

static void test_a_spin_takes_its_time(void **state)
{
    (void)state;
    assert_int_equal(child_run(spin, NULL), 0);
}

int main(void)
{
    if (!bed_found()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_wrong_bit_of_a_block_is_counted),
        cmocka_unit_test(test_a_spin_takes_its_time),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
