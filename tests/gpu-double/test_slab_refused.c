/* slab: what fails leaves nothing, what is not ours is refused, and the sentence has the remedy. */
#include "tests/check.h"
#include "tests/gpu-double/bed.h"

#include "shm/status.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLABS 3u

static uint64_t free_bytes(struct bed *bed)
{
    size_t free_now = 0;
    size_t all = 0;
    int result = bed->driver.cuMemGetInfo(&free_now, &all);
    child_need(bed->page, result == DRIVER_SUCCESS, "info: %d", result);
    return free_now;
}

/* Each call of the driver fails once at each place: nothing is held afterwards. */
static int fail_everywhere(void *context, struct child_page *page)
{
    static const struct {
        enum slab_kind kind;
        const char *name;
        uint64_t calls;
    } entries[] = {
        {SLAB_VMM, "cuMemAddressReserve", 1},
        {SLAB_VMM, "cuMemCreate", SLABS},
        {SLAB_VMM, "cuMemExportToShareableHandle", SLABS},
        {SLAB_VMM, "cuMemMap", SLABS},
        {SLAB_VMM, "cuMemSetAccess", SLABS},
        {SLAB_LEGACY, "cuMemAlloc", SLABS},
        {SLAB_LEGACY, "cuIpcGetMemHandle", SLABS},
    };
    struct bed bed;
    struct slab_pool pool;
    (void)context;
    bed_open(&bed, page, "", "auto");
    uint64_t before = free_bytes(&bed);
    for (size_t i = 0; i < CHECK_COUNT(entries); i++) {
        for (uint64_t nth = 1; nth <= entries[i].calls; nth++) {
            bed_fail(&bed, entries[i].name, nth, DRIVER_OUT_OF_MEMORY);
            int status = slab_make(
                &bed.gpu, entries[i].kind, SLABS, BED_SLAB_BYTES, &pool, bed.why, sizeof bed.why);
            child_need(page, status == STATUS_NO_MEMORY && pool.gpu == NULL, "%s, call %llu: %d",
                entries[i].name, (unsigned long long)nth, status);
            child_need(page, free_bytes(&bed) == before, "%s, call %llu: memory is held",
                entries[i].name, (unsigned long long)nth);
        }
    }
    bed_close(&bed);
    return 0;
}

static void test_whatever_fails_leaves_nothing(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(fail_everywhere, NULL), 0);
}

static void refuse_import(struct bed *bed, const struct slab_pool *shared, const char *what)
{
    struct slab_pool pool;
    int status = slab_import(&bed->gpu, shared, true, &pool, bed->why, sizeof bed->why);
    child_need(bed->page, status == STATUS_INVALID && pool.gpu == NULL, "%s: %d, %s", what, status,
        bed->why);
}

static int refuse_all(void *context, struct child_page *page)
{
    (void)context;
    struct bed bed;
    struct slab_pool pool;
    bed_open(&bed, page, "", "auto");
    int status =
        slab_make(&bed.gpu, SLAB_VMM, SLABS, BED_SLAB_BYTES, &pool, bed.why, sizeof bed.why);
    child_need(page, status == STATUS_OK, "%s", bed.why);
    struct slab_pool shared = pool;
    shared.slab_bytes = 2 * BED_SLAB_BYTES;
    refuse_import(&bed, &shared, "another size");
    shared = pool;
    shared.slab_bytes = BED_SLAB_BYTES / 2;
    refuse_import(&bed, &shared, "half a granule");
    shared = pool;
    shared.count = SLAB_MOST + 1;
    refuse_import(&bed, &shared, "too many");
    shared = pool;
    shared.slab[1].fd = memfd_create("stranger", MFD_CLOEXEC);
    refuse_import(&bed, &shared, "somebody's file");
    (void)close(shared.slab[1].fd);
    shared.slab[1].fd = -1;
    refuse_import(&bed, &shared, "no descriptor");
    slab_close(&pool);
    bed_close(&bed);
    return 0;
}

static void test_what_is_no_slab_of_this_pool_is_refused(void **state)
{
    (void)state;
    assert_int_equal(child_run(refuse_all, NULL), 0);
}

/* The driver's own rule, and its remedy in words. */
static int open_own(void *context, struct child_page *page)
{
    (void)context;
    struct bed bed;
    struct slab_pool pool;
    struct slab_pool again;
    bed_open(&bed, page, "", "auto");
    int status =
        slab_make(&bed.gpu, SLAB_LEGACY, 1, BED_SLAB_BYTES, &pool, bed.why, sizeof bed.why);
    child_need(page, status == STATUS_OK, "%s", bed.why);
    status = slab_import(&bed.gpu, &pool, true, &again, bed.why, sizeof bed.why);
    child_need(page, status == STATUS_INVALID && strstr(bed.why, "same PID value") != NULL,
        "%d: %s", status, bed.why);
    slab_close(&pool);
    bed_close(&bed);
    return 0;
}

static void test_a_cuipc_handle_of_the_same_pid_is_explained(void **state)
{
    (void)state;
    assert_int_equal(child_run(open_own, NULL), 0);
}

static int lack_both(void *context, struct child_page *page)
{
    (void)context;
    struct bed bed;
    struct slab_pool pool;
    bed_open(&bed, page, "attribute=103:0,attribute=125:0", "auto");
    const enum slab_kind kinds[] = {SLAB_VMM, SLAB_LEGACY};
    for (size_t i = 0; i < CHECK_COUNT(kinds); i++) {
        int status =
            slab_make(&bed.gpu, kinds[i], 1, BED_SLAB_BYTES, &pool, bed.why, sizeof bed.why);
        child_need(page, status == STATUS_UNSUPPORTED && strstr(bed.why, "remedy") != NULL,
            "%d: %s", status, bed.why);
    }
    bed_close(&bed);
    return 0;
}

static void test_a_device_without_such_memory_says_so(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(lack_both, NULL), 0);
}

int main(void)
{
    if (!bed_found()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whatever_fails_leaves_nothing),
        cmocka_unit_test(test_what_is_no_slab_of_this_pool_is_refused),
        cmocka_unit_test(test_a_cuipc_handle_of_the_same_pid_is_explained),
        cmocka_unit_test(test_a_device_without_such_memory_says_so),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
