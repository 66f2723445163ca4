/* The double of the driver runs the tests' kernels: late, in the order of a stream, with the rights
 * of their device, and under the same watch as copies. */
#include "tests/check.h"
#include "tests/gpu-double/kernels.h"
#include "tests/gpu-double/rig.h"
#include "tests/pattern.h"

#include <string.h>

#define INVALID_PTX 218
#define NOT_FOUND 500
#define MISALIGNED 716
#define COUNTER RIG_DESK_BYTES /* behind the bytes that are filled */
#define BLOCK 5u

struct scene {
    struct rig_desk desk;
    struct kernels kernels;
    uint64_t at;
};

static void open_scene(struct scene *scene, struct child_page *page, const char *switches)
{
    rig_desk_open(&scene->desk, page, switches);
    kernels_open(&scene->kernels, page, scene->desk.rig.driver.library);
    scene->at = scene->desk.slab.address;
}

static void fill(const struct scene *scene, struct driver_stream *stream)
{
    kernels_fill(&scene->kernels, stream, scene->at, RIG_DESK_BYTES, BLOCK, 0);
}

static void check(const struct scene *scene, struct driver_stream *stream)
{
    kernels_check(
        &scene->kernels, stream, scene->at, RIG_DESK_BYTES, BLOCK, 0, scene->at + COUNTER);
}

static uint64_t word(const struct scene *scene, uint64_t offset)
{
    uint64_t found;
    memcpy(&found, rig_bytes(scene->at + offset), sizeof found);
    return found;
}

static int fill_in_order(void *context, struct child_page *page)
{
    (void)context;
    struct scene scene;
    open_scene(&scene, page, "");
    uint64_t gate = scene.at + COUNTER + 8;
    rig_ok(&scene.desk.rig, "gate",
        scene.desk.driver->cuStreamWaitValue64(scene.desk.one, gate, 1, 0));
    fill(&scene, scene.desk.one);
    check(&scene, scene.desk.one);
    child_need(page, word(&scene, 0) == 0, "filled before its turn");
    rig_is(&scene.desk.rig, "query", scene.desk.driver->cuStreamQuery(scene.desk.one),
        DRIVER_NOT_READY);
    rig_ok(&scene.desk.rig, "open",
        scene.desk.driver->cuStreamWriteValue64(scene.desk.two, gate, 1, 0));
    rig_desk_finish(&scene.desk);
    for (uint64_t at = 0; at < RIG_DESK_BYTES; at += 8) {
        child_need(page, word(&scene, at) == pattern_word(BLOCK, at), "word at %llu",
            (unsigned long long)at);
    }
    child_need(page, word(&scene, COUNTER) == 0, "right words counted");
    rig_bytes(scene.at)[9] ^= 1;
    check(&scene, scene.desk.one);
    check(&scene, scene.desk.one);
    rig_desk_finish(&scene.desk);
    child_need(page, word(&scene, COUNTER) == 2, "one wrong word, twice: %llu",
        (unsigned long long)word(&scene, COUNTER));
    rig_violated(&scene.desk.rig, 0);
    kernels_close(&scene.kernels);
    return 0;
}

static void test_a_kernel_runs_in_its_turn_and_writes_the_pattern(void **state)
{
    (void)state;
    assert_int_equal(child_run(fill_in_order, NULL), 0);
}

/* So late that the process is gone before. */
static int be_late(void *context, struct child_page *page)
{
    (void)context;
    struct scene scene;
    open_scene(&scene, page, "delay_us=10000000");
    fill(&scene, scene.desk.one);
    for (uint32_t i = 0; i < 20; i++) { /* a driver that is not late is done after the first */
        child_nap();
        rig_is(&scene.desk.rig, "query", scene.desk.driver->cuStreamQuery(scene.desk.one),
            DRIVER_NOT_READY);
    }
    child_need(page, word(&scene, 0) == 0, "as soon as it was launched");
    return 0;
}

static void test_a_kernel_is_as_late_as_a_copy(void **state)
{
    (void)state;
    assert_int_equal(child_run(be_late, NULL), 0);
}

/* Fill on one stream, check on the other, and whether an event orders the two. */
static int fill_and_check(void *context, struct child_page *page)
{
    const bool *waits = context;
    struct scene scene;
    open_scene(&scene, page, "delay_us=2000");
    fill(&scene, scene.desk.one);
    if (*waits) {
        rig_ok(&scene.desk.rig, "record",
            scene.desk.driver->cuEventRecord(scene.desk.event, scene.desk.one));
        rig_ok(&scene.desk.rig, "await",
            scene.desk.driver->cuStreamWaitEvent(scene.desk.two, scene.desk.event, 0));
    }
    check(&scene, scene.desk.two);
    rig_desk_finish(&scene.desk);
    rig_violated(&scene.desk.rig, *waits ? 0 : 1);
    child_need(page, *waits || strstr(scene.desk.rig.first_violation(), "cistern_") != NULL,
        "said: %s", scene.desk.rig.first_violation());
    child_need(page, !*waits || word(&scene, COUNTER) == 0, "old bytes in order");
    return 0;
}

static void test_kernels_that_nothing_orders_are_seen(void **state)
{
    (void)state;
    bool waits = false;
    assert_int_equal(child_run(fill_and_check, &waits), 0);
    waits = true;
    assert_int_equal(child_run(fill_and_check, &waits), 0);
}

static int touch_forbidden(void *context, struct child_page *page)
{
    const bool *writes = context;
    struct scene scene;
    open_scene(&scene, page, "");
    int fd = rig_export(&scene.desk.rig, &scene.desk.slab);
    struct rig_slab reader =
        rig_import(&scene.desk.rig, fd, scene.desk.slab.bytes, DRIVER_ACCESS_READ);
    fill(&scene, scene.desk.one);
    kernels_check(&scene.kernels, scene.desk.one, reader.address, RIG_DESK_BYTES, BLOCK, 0,
        scene.at + COUNTER);
    rig_desk_finish(&scene.desk);
    child_need(page, word(&scene, COUNTER) == 0, "read-only is not readable");
    if (*writes) {
        kernels_fill(&scene.kernels, scene.desk.one, reader.address, 8, BLOCK, 0);
    } else {
        kernels_check(
            &scene.kernels, scene.desk.one, scene.at + 4, 8, BLOCK, 0, scene.at + COUNTER);
    }
    int wanted = *writes ? DRIVER_ILLEGAL_ADDRESS : MISALIGNED;
    rig_is(&scene.desk.rig, "wait", scene.desk.driver->cuStreamSynchronize(scene.desk.one), wanted);
    rig_is(&scene.desk.rig, "for ever", scene.desk.driver->cuStreamQuery(scene.desk.two), wanted);
    return 0;
}

static void test_a_store_to_a_read_only_mapping_ends_the_context(void **state)
{
    (void)state;
    bool writes = true;
    assert_int_equal(child_run(touch_forbidden, &writes), 0);
}

static void test_a_misaligned_word_ends_the_context(void **state)
{
    (void)state;
    bool writes = false;
    assert_int_equal(child_run(touch_forbidden, &writes), 0);
}

static int take_away(void *context, struct child_page *page)
{
    (void)context;
    struct scene scene;
    open_scene(&scene, page, "");
    const struct driver *driver = scene.desk.driver;
    uint64_t gate;
    rig_ok(&scene.desk.rig, "alloc", driver->cuMemAlloc(&gate, 8));
    rig_ok(&scene.desk.rig, "gate", driver->cuStreamWaitValue64(scene.desk.one, gate, 1, 0));
    fill(&scene, scene.desk.one);
    rig_drop(&scene.desk.rig, &scene.desk.slab);
    rig_violated(&scene.desk.rig, 1);
    child_need(page, strstr(scene.desk.rig.first_violation(), "cistern_fill") != NULL, "said: %s",
        scene.desk.rig.first_violation());
    rig_ok(&scene.desk.rig, "open", driver->cuStreamWriteValue64(scene.desk.two, gate, 1, 0));
    rig_is(&scene.desk.rig, "wait", driver->cuStreamSynchronize(scene.desk.one),
        DRIVER_ILLEGAL_ADDRESS);
    return 0;
}

static void test_memory_is_not_taken_away_under_a_kernel(void **state)
{
    (void)state;
    assert_int_equal(child_run(take_away, NULL), 0);
}

static int be_refused(void *context, struct child_page *page)
{
    (void)context;
    struct scene scene;
    open_scene(&scene, page, "");
    const struct rig *rig = &scene.desk.rig;
    struct kernels *kernels = &scene.kernels;
    struct driver_module *module = NULL;
    struct driver_function *function = NULL;
    uint64_t none = 0;
    void *parameters[] = {&none, &none, &none, &none, &none};
    rig_is(rig, "text", kernels->driver.cuModuleLoadData(&module, "no kernel"), INVALID_PTX);
    rig_is(rig, "name",
        kernels->driver.cuModuleGetFunction(&function, kernels->module, "cistern_copy"), NOT_FOUND);
    rig_is(rig, "grid",
        kernels->driver.cuLaunchKernel(
            kernels->function.fill, 0, 1, 1, 32, 1, 1, 0, scene.desk.one, parameters, NULL),
        DRIVER_INVALID_VALUE);
    rig_is(rig, "block",
        kernels->driver.cuLaunchKernel(
            kernels->function.fill, 1, 1, 1, 1025, 1, 1, 0, scene.desk.one, parameters, NULL),
        DRIVER_INVALID_VALUE);
    rig_ok(rig, "fault", rig->fail_at("cuLaunchKernel", 1, DRIVER_OUT_OF_MEMORY));
    rig_is(rig, "on purpose",
        kernels->driver.cuLaunchKernel(
            kernels->function.fill, 1, 1, 1, 32, 1, 1, 0, scene.desk.one, parameters, NULL),
        DRIVER_OUT_OF_MEMORY);
    function = kernels->function.fill;
    kernels_close(kernels);
    rig_is(rig, "unloaded",
        kernels->driver.cuLaunchKernel(
            function, 1, 1, 1, 32, 1, 1, 0, scene.desk.one, parameters, NULL),
        DRIVER_INVALID_HANDLE);
    rig_ok(rig, "no context", rig->driver.cuCtxSetCurrent(NULL));
    rig_is(rig, "no context", kernels->driver.cuModuleLoadData(&module, kernels_ptx),
        DRIVER_INVALID_CONTEXT);
    return 0;
}

static void test_what_no_driver_would_run_is_refused(void **state)
{
    (void)state;
    assert_int_equal(child_run(be_refused, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_kernel_runs_in_its_turn_and_writes_the_pattern),
        cmocka_unit_test(test_a_kernel_is_as_late_as_a_copy),
        cmocka_unit_test(test_kernels_that_nothing_orders_are_seen),
        cmocka_unit_test(test_a_store_to_a_read_only_mapping_ends_the_context),
        cmocka_unit_test(test_a_misaligned_word_ends_the_context),
        cmocka_unit_test(test_memory_is_not_taken_away_under_a_kernel),
        cmocka_unit_test(test_what_no_driver_would_run_is_refused),
    };
    return cmocka_run_group_tests(tests, rig_begin, rig_end);
}
