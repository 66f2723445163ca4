/* devices: a sidecar's devices are those that were named, with the memory that was asked for, or
 * none at all; and who waits for memory gets it. */
#include "tests/check.h"
#include "tests/gpu-double/fleet.h"

#include "shm/status.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define LONG_NS UINT64_C(600000000000)

static int open_first(void *context, struct child_page *page)
{
    struct fleet fleet;
    char text[512];
    (void)context;
    fleet_begin(&fleet, page, "", "auto", -1);
    fleet_open(&fleet);
    const struct device_gift *gift = &fleet.devices.gift[0];
    child_need(page, fleet.devices.count == 1 && gift->usable && gift->pool_id != 0, "no device");
    child_need(page, gift->slabs->slab_bytes == FLEET_POOL_BYTES && gift->slabs->count == 1,
        "%u slabs of %llu", gift->slabs->count, (unsigned long long)gift->slabs->slab_bytes);
    child_need(page, gift->slabs->slab[0].fd >= 0, "no descriptor for clients");
    child_need(
        page, memcmp(&gift->uuid, &fleet.devices.one[0].gpu.uuid, sizeof gift->uuid) == 0, "uuid");
    devices_describe(&fleet.devices, true, text, sizeof text);
    child_need(page, strstr(text, "device_0 GPU-") == text, "%s", text);
    child_need(page,
        strstr(text, ", 64 MiB in 1 slabs shared as descriptors, pool page-locked\n") != NULL, "%s",
        text);
    fleet_fill(&fleet, 0, FLEET_POOL_BYTES - 4096, 7);
    child_need(page, fleet_holds(&fleet, 0, FLEET_POOL_BYTES - 4096, 7), "the last page");
    uint64_t id = gift->pool_id;
    fleet_close(&fleet);
    fleet_open(&fleet);
    child_need(page, fleet.devices.gift[0].pool_id != id, "two memories of one number");
    fleet_close(&fleet);
    return 0;
}

static void test_the_first_device_is_opened_with_its_memory(void **state)
{
    (void)state;
    assert_int_equal(child_run(open_first, NULL), 0);
}

static int open_all(void *context, struct child_page *page)
{
    struct fleet fleet;
    char both[GPU_UUID_TEXT * 2];
    char uuid[2][GPU_UUID_TEXT];
    (void)context;
    fleet_begin(&fleet, page, "devices=2", "all", -1);
    fleet_open(&fleet);
    child_need(page, fleet.devices.count == 2 && fleet.devices.gift[1].usable, "all");
    for (uint32_t i = 0; i < 2; i++) {
        gpu_uuid_text(&fleet.devices.gift[i].uuid, uuid[i]);
    }
    child_need(
        page, fleet.devices.gift[0].pool_id != fleet.devices.gift[1].pool_id, "one id for two");
    fleet_close(&fleet);
    /* The second one alone; both, the other way round, as MIG names; one twice. */
    fleet_begin(&fleet, page, "devices=2", uuid[1], -1);
    fleet_open(&fleet);
    child_need(page, fleet.devices.count == 1, "one was named");
    fleet_close(&fleet);
    (void)snprintf(both, sizeof both, "%s,MIG-%.20s", uuid[1], uuid[0] + 4);
    fleet_begin(&fleet, page, "devices=2", both, -1);
    fleet_open(&fleet);
    gpu_uuid_text(&fleet.devices.gift[0].uuid, both);
    child_need(page, fleet.devices.count == 2 && strcmp(both, uuid[1]) == 0, "order: %s", both);
    fleet_close(&fleet);
    (void)snprintf(both, sizeof both, "%s,%s", uuid[1] + 4, uuid[1]);
    fleet_begin(&fleet, page, "devices=2", both, -1);
    int status =
        devices_open(&fleet.devices, &fleet.config, &fleet.log, fleet.why, sizeof fleet.why);
    child_need(page, status == STATUS_INVALID && strstr(fleet.why, "named twice") != NULL, "%s",
        fleet.why);
    return 0;
}

static void test_devices_have_the_order_in_which_they_are_named(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(open_all, NULL), 0);
}

static int refuse(void *context, struct child_page *page)
{
    static const struct {
        const char *switches;
        const char *which;
        int status;
        const char *words; /* of the sentence, or of the log */
    } cases[] = {
        {"", "GPU-dead", STATUS_INVALID, "GPU-dead is no GPU here; remedy: one of GPU-"},
        {"init=100", "GPU-00", STATUS_UNSUPPORTED, "--gpus"},
        {"init=34", "auto", STATUS_OK, "host memory alone: libcuda.so.1 is the toolkit's stub"},
        {"init=100", "all", STATUS_OK, "host memory alone: the driver sees no GPU"},
        {"init=802", "auto", STATUS_OK, "nvidia-fabricmanager"},
        {"init=802", "GPU-00", STATUS_BUSY, "nvidia-persistenced"},
        {"memory=32M", "auto", STATUS_NO_MEMORY, "0 of 1 slabs of 64 MiB"},
        {"attribute=102:0", "auto", STATUS_UNSUPPORTED, "remedy: cuIpc handles"},
        {"fail=cuDevicePrimaryCtxRetain:1:101", "auto", STATUS_INVALID, "exclusive compute"},
        {"fail=cuMemCreate:1", "auto", STATUS_DEVICE_LOST, "a slab cannot be made"},
    };
    size_t i = *(const size_t *)context;
    if (i == CHECK_COUNT(cases)) {
        return 100; /* that was the last */
    }
    struct fleet fleet;
    int log = fleet_log_open();
    fleet_begin(&fleet, page, cases[i].switches, cases[i].which, log);
    int status =
        devices_open(&fleet.devices, &fleet.config, &fleet.log, fleet.why, sizeof fleet.why);
    child_need(page, status == cases[i].status && fleet.devices.count == 0, "%s, %s: %d, %s",
        cases[i].switches, cases[i].which, status, fleet.why);
    bool said = status == STATUS_OK ? fleet_log_has(log, cases[i].words)
                                    : strstr(fleet.why, cases[i].words) != NULL;
    child_need(page, said, "%s, %s: %s", cases[i].switches, cases[i].which, fleet.why);
    return 0;
}

static void test_what_cannot_be_had_is_said_and_what_was_left_to_us_goes_on_without(void **state)
{
    (void)state;
    bed_double();
    int status = 0;
    for (size_t i = 0; status == 0; i++) {
        status = child_run(refuse, &i);
    }
    assert_int_equal(status, 100);
}

static int explain(void *context, struct child_page *page)
{
    struct fleet fleet;
    char *text = NULL;
    size_t bytes = 0;
    (void)context;
    fleet_begin(&fleet, page, "", "all", -1);
    FILE *file = open_memstream(&text, &bytes);
    devices_explain(&fleet.config, file);
    fleet_begin(&fleet, page, "", "GPU-dead", -1);
    devices_explain(&fleet.config, file);
    fleet.config.device_pool_bytes = 0;
    devices_explain(&fleet.config, file);
    fleet_begin(&fleet, page, "", "auto", -1);
    fleet.config.device_pool_bytes = UINT64_C(1) << 42;
    devices_explain(&fleet.config, file);
    fleet_begin(&fleet, page, "", "none", -1);
    devices_explain(&fleet.config, file);
    fleet_begin(&fleet, page, "", "auto", -1);
    fleet.config.device_pool_bytes = 0;
    devices_explain(&fleet.config, file);
    (void)fclose(file);
    static const char *const words[] = {"device: CUDA driver", "device: 0 is GPU-",
        "64 MiB are taken in slabs of 64 MiB, shared as descriptors\n", "device_pool is 0\n",
        "device_pool is more than that", "host memory alone, as asked\n",
        "host memory alone: GPU-dead is no GPU here",
        "the start would fail: GPU-dead is no GPU here"};
    for (size_t i = 0; i < CHECK_COUNT(words); i++) {
        child_need(page, strstr(text, words[i]) != NULL, "no \"%s\" in %s", words[i], text);
    }
    free(text);
    return 0;
}

static void test_explain_says_what_would_be_chosen(void **state)
{
    (void)state;
    assert_int_equal(child_run(explain, NULL), 0);
}

/* Who has most of the device: two pools do not fit. */
struct rivals {
    int log;
    bool told; /* the second is told to end */
};

static int have_it(void *context, struct child_page *page)
{
    const struct rivals *rivals = context;
    struct fleet fleet;
    fleet_begin(&fleet, page, "memory=96M", "auto", rivals->log);
    fleet_open(&fleet);
    child_at(page, 1);
    child_await(page, 2);
    fleet_close(&fleet);
    return 0;
}

static int want_it(void *context, struct child_page *page)
{
    const struct rivals *rivals = context;
    struct fleet fleet;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    child_need(page, sigprocmask(SIG_BLOCK, &set, NULL) == 0, "mask");
    fleet_begin(&fleet, page, "memory=96M", "auto", rivals->log);
    fleet.config.device_wait_ns = LONG_NS;
    int status =
        devices_open(&fleet.devices, &fleet.config, &fleet.log, fleet.why, sizeof fleet.why);
    int wanted = rivals->told ? STATUS_NO_MEMORY : STATUS_OK;
    child_need(page, status == wanted, "%d: %s", status, fleet.why);
    child_need(page, devices_told_to_end() == rivals->told, "told");
    fleet_close(&fleet);
    return 0;
}

static void rival(bool told)
{
    struct rivals rivals = {.log = fleet_log_open(), .told = told};
    struct child first;
    struct child second;
    assert_true(child_start(&first, have_it, &rivals));
    assert_true(child_reaches(&first, 1));
    assert_true(child_start(&second, want_it, &rivals));
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    while (!fleet_log_has(rivals.log, "waiting for up to 599 s: 0 of 1 slabs of 64 MiB") &&
           !fleet_log_has(rivals.log, "waiting for up to 600 s: 0 of 1 slabs of 64 MiB") &&
           child_now_ns() < deadline) {
        child_nap();
    }
    assert_true(child_now_ns() < deadline);
    if (told) {
        assert_int_equal(kill(second.pid, SIGTERM), 0);
        assert_int_equal(child_end(&second), 0);
    }
    child_let(&first, 2);
    assert_int_equal(child_end(&first), 0);
    if (!told) {
        assert_int_equal(child_end(&second), 0);
    }
    (void)close(rivals.log);
}

static void test_who_waits_for_memory_gets_it_when_it_is_free(void **state)
{
    (void)state;
    bed_double();
    rival(false);
}

static void test_a_wait_for_memory_ends_when_we_are_told_to_end(void **state)
{
    (void)state;
    bed_double();
    rival(true);
}

int main(void)
{
    if (!bed_found()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_device_is_opened_with_its_memory),
        cmocka_unit_test(test_devices_have_the_order_in_which_they_are_named),
        cmocka_unit_test(test_what_cannot_be_had_is_said_and_what_was_left_to_us_goes_on_without),
        cmocka_unit_test(test_explain_says_what_would_be_chosen),
        cmocka_unit_test(test_who_waits_for_memory_gets_it_when_it_is_free),
        cmocka_unit_test(test_a_wait_for_memory_ends_when_we_are_told_to_end),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
