/* driver, gpu: what is loaded, what is refused and why, and which device a name means. */
#include "tests/check.h"
#include "tests/gpu-double/bed.h"

#include "shm/status.h"

#include <string.h>
#include <unistd.h>

#define GPU_0 "GPU-"

struct refusal {
    const char *switches;
    int status;
    const char *says; /* part of the sentence */
};

static const struct refusal refusals[] = {
    {"init=34", STATUS_UNSUPPORTED, "stub"},
    {"init=100", STATUS_UNSUPPORTED, "sees no GPU"},
    {"init=803", STATUS_UNSUPPORTED, "two versions"},
    {"init=802", STATUS_BUSY, "nvidia-persistenced"},
    {"init=806", STATUS_UNSUPPORTED, "MPS"},
    {"init=999", STATUS_UNSUPPORTED, "999"},
    {"version=11030", STATUS_UNSUPPORTED, "CUDA 11.4 or later"},
    {"lacks=cuMemcpyAsync", STATUS_UNSUPPORTED, "cuMemcpyAsync"},
};

static int refuse(void *context, struct child_page *page)
{
    const struct refusal *refusal = context;
    struct driver driver;
    char why[BED_WHY] = "";
    (void)setenv("CUDA_DOUBLE", refusal->switches, 1);
    int status = driver_open(&driver, why, sizeof why);
    child_need(page, status == refusal->status, "%s: %d, %s", refusal->switches, status, why);
    child_need(page, strstr(why, refusal->says) != NULL, "%s: \"%s\"", refusal->switches, why);
    return 0;
}

static void test_a_driver_that_cannot_be_used_is_refused_with_its_remedy(void **state)
{
    (void)state;
    bed_double();
    for (size_t i = 0; i < CHECK_COUNT(refusals); i++) {
        struct refusal refusal = refusals[i];
        assert_int_equal(child_run(refuse, &refusal), 0);
    }
}

/* Without LD_LIBRARY_PATH, which counts when a program begins. */
static int bare(void)
{
    struct driver driver;
    char why[BED_WHY] = "";
    int status = driver_open(&driver, why, sizeof why);
    bool none = status == STATUS_UNSUPPORTED && strstr(why, "no NVIDIA driver") != NULL;
    if (!none) {
        printf("%d: %s\n", status, why);
    }
    /* A host that has a driver may use it, or say why not. */
    return none || access("/proc/driver/nvidia/version", F_OK) == 0 ? 0 : 1;
}

static int run_bare(void *context, struct child_page *page)
{
    (void)unsetenv("LD_LIBRARY_PATH");
    char self[] = "/proc/self/exe";
    char word[] = "bare";
    (void)execv(self, (char *const[]){self, word, NULL});
    child_need(page, context != NULL, "exec");
    return 1;
}

static void test_without_a_driver_there_is_a_sentence(void **state)
{
    (void)state;
    assert_int_equal(child_run(run_bare, NULL), 0);
}

static int groups(void *context, struct child_page *page)
{
    (void)context;
    struct bed bed;
    bed_open(&bed, page, "version=12040,lacks=cuStreamWriteValue64;cuMemHostRegister", "auto");
    child_need(page, bed.driver.version == 12040, "version %d", bed.driver.version);
    child_need(page, !bed.driver.has[DRIVER_BATCH], "batched copies of 13.0 in 12.4");
    child_need(page, !bed.driver.has[DRIVER_TIMELINE] && !bed.driver.has[DRIVER_HOST], "groups");
    child_need(page, bed.driver.has[DRIVER_VMM] && bed.driver.has[DRIVER_LEGACY], "memory");
    child_need(page, !bed.gpu.has_timeline && bed.gpu.granularity > 0, "device");
    bed_close(&bed);
    return 0;
}

static void test_what_a_driver_lacks_is_known_by_group(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(groups, NULL), 0);
}

static int choose(void *context, struct child_page *page)
{
    (void)context;
    struct bed bed;
    struct gpu gpu;
    char text[GPU_UUID_TEXT];
    char why[BED_WHY];
    bed_open(&bed, page, "devices=2", "auto");
    child_need(page, gpu_count(&bed.driver) == 2, "%u devices", gpu_count(&bed.driver));
    for (uint32_t i = 0; i < 2; i++) {
        struct gpu found;
        child_need(page, gpu_at(&bed.driver, i, &gpu) == STATUS_OK, "device %u", i);
        gpu_uuid_text(&gpu.uuid, text);
        child_need(
            page, gpu_choose(&bed.driver, text, &found, why, sizeof why) == STATUS_OK, "%s", why);
        child_need(page, found.device == gpu.device && strstr(why, text) != NULL, "%s", why);
        memcpy(text, "MIG-", 4); /* nvidia-smi says so of a part of a device */
        child_need(
            page, gpu_choose(&bed.driver, text, &found, why, sizeof why) == STATUS_OK, "%s", why);
        child_need(page, gpu_find(&bed.driver, &gpu.uuid, &found) == STATUS_OK, "by UUID");
    }
    static const char *const wrong[] = {"GPU-ffffffff-0000", "GPU-", "", "0", "nonsense"};
    for (size_t i = 0; i < CHECK_COUNT(wrong); i++) {
        int status = gpu_choose(&bed.driver, wrong[i], &gpu, why, sizeof why);
        child_need(page, status == STATUS_INVALID && strstr(why, GPU_0) != NULL, "\"%s\": %d, %s",
            wrong[i], status, why);
    }
    child_need(page, gpu_at(&bed.driver, 2, &gpu) == STATUS_INVALID, "a third device");
    bed_close(&bed);
    return 0;
}

static void test_a_device_is_chosen_by_its_uuid(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(choose, NULL), 0);
}

/* Device 1 of everybody is device 0 of this process. */
static int see_one(void *context, struct child_page *page)
{
    struct driver_uuid *uuid = context;
    struct bed bed;
    struct gpu gpu;
    (void)setenv("CUDA_VISIBLE_DEVICES", "1", 1);
    bed_open(&bed, page, "devices=2", "auto");
    child_need(page, gpu_count(&bed.driver) == 1, "%u devices", gpu_count(&bed.driver));
    child_need(page, gpu_find(&bed.driver, &uuid[1], &gpu) == STATUS_OK && gpu.device == 0, "1");
    child_need(page, gpu_find(&bed.driver, &uuid[0], &gpu) == STATUS_INVALID, "0 is seen");
    bed_close(&bed);
    return 0;
}

static int see_both(void *context, struct child_page *page)
{
    (void)context;
    struct bed bed;
    struct gpu gpu;
    bed_open(&bed, page, "devices=2", "auto");
    for (uint32_t i = 0; i < 2; i++) {
        child_need(page, gpu_at(&bed.driver, i, &gpu) == STATUS_OK, "device %u", i);
        memcpy((char *)page->said + i * sizeof gpu.uuid, &gpu.uuid, sizeof gpu.uuid);
    }
    bed_close(&bed);
    child_at(page, 1);
    return 0;
}

static void test_a_uuid_means_the_same_device_under_another_ordinal(void **state)
{
    (void)state;
    bed_double();
    struct child child;
    struct driver_uuid uuid[2];
    assert_true(child_start(&child, see_both, NULL));
    assert_true(child_reaches(&child, 1));
    memcpy(uuid, child.page->said, sizeof uuid);
    assert_int_equal(child_end(&child), 0);
    assert_memory_not_equal(&uuid[0], &uuid[1], sizeof uuid[0]);
    assert_int_equal(child_run(see_one, uuid), 0);
}

/* The engine's own context is this thread's again when we leave. */
static int nest(void *context, struct child_page *page)
{
    (void)context;
    struct bed bed;
    struct gpu other;
    struct driver_context *former = NULL;
    struct driver_context *now = NULL;
    bed_open(&bed, page, "devices=2", "auto");
    child_need(page, gpu_at(&bed.driver, 1, &other) == STATUS_OK, "device 1");
    child_need(page, gpu_open(&other, bed.why, sizeof bed.why) == STATUS_OK, "%s", bed.why);
    child_need(page, gpu_enter(&other, &former) == STATUS_OK && former == bed.gpu.context, "in");
    (void)bed.driver.cuCtxGetCurrent(&now);
    child_need(page, now == other.context, "not entered");
    gpu_leave(&other, former);
    (void)bed.driver.cuCtxGetCurrent(&now);
    child_need(page, now == bed.gpu.context, "not left");
    gpu_close(&other);
    gpu_close(&other);
    bed_close(&bed);
    return 0;
}

static void test_the_threads_own_context_comes_back(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(nest, NULL), 0);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "bare") == 0) {
        return bare();
    }
    if (!bed_found()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_driver_that_cannot_be_used_is_refused_with_its_remedy),
        cmocka_unit_test(test_without_a_driver_there_is_a_sentence),
        cmocka_unit_test(test_what_a_driver_lacks_is_known_by_group),
        cmocka_unit_test(test_a_device_is_chosen_by_its_uuid),
        cmocka_unit_test(test_a_uuid_means_the_same_device_under_another_ordinal),
        cmocka_unit_test(test_the_threads_own_context_comes_back),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
