/* view: what a welcome may not say of a device, and the reasons why a handle has none. */
#include "tests/check.h"
#include "tests/e2e/worker.h"
#include "tests/gpu-double/stand.h"

#include "shm/status.h"

#include <dirent.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* While the double of the sidecar is between two greetings. */
static uint32_t count_fds(struct double_server *server)
{
    uint32_t count = 0;
    (void)pthread_mutex_lock(&server->lock);
    DIR *folder = opendir("/proc/self/fd");
    while (folder != NULL && readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    (void)pthread_mutex_unlock(&server->lock);
    return count;
}

#define FIELD(name) offsetof(struct welcome, name), sizeof((struct welcome *)0)->name

static const struct {
    struct double_lie lie[2];
    const char *word;
} lies[] = {
    {{{FIELD(device_slabs), HELLO_SLABS + 1}}, "slabs"},
    {{{FIELD(device_kind), 2}}, "slabs"},
    {{{FIELD(device_slab_bytes), 3u << 20}, {FIELD(device_bytes), 6u << 20}}, "size"},
    {{{FIELD(device_slab_bytes), 0}, {FIELD(device_bytes), 0}}, "size"},
    {{{FIELD(device_slab_bytes), UINT64_C(1) << 63}, {FIELD(device_bytes), 0}}, "size"},
    {{{FIELD(device_bytes), DOUBLE_SLABS *BED_SLAB_BYTES - 1}}, "size"},
    {{{FIELD(device_slots), 0}}, "range"},
    {{{FIELD(device_first), DOUBLE_SLOTS - DOUBLE_DEVICE_SLOTS}}, "range"},
    {{{FIELD(device_first), DOUBLE_OWN - 1}}, "range"},
    {{{FIELD(device_slots), 1}, {FIELD(device_first), DOUBLE_SLOTS + SLOT_DEVICES}}, "range"},
    {{{FIELD(device_first), DOUBLE_SLOTS_ALL}}, "number of slots"},
    {{{FIELD(device_slots), 1u << 20}, {FIELD(device_first), DOUBLE_SLOTS}}, "number of slots"},
    {{{FIELD(device_grants), 0}}, "grants"},
    {{{FIELD(device_grants), 1000}}, "grants"},
    {{{FIELD(device_pool), 0}}, "pool"},
    {{{FIELD(device_slabs), 1}, {FIELD(device_bytes), BED_SLAB_BYTES}}, "descriptors"},
    {{{FIELD(flags), WELCOME_ISOLATED}}, "device"},
};

static int hear_lies(void *context, struct child_page *page)
{
    struct stand stand;
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand); /* the driver's own descriptors are open from here on */
    uint32_t fds = count_fds(&stand.server);
    for (size_t i = 0; i < CHECK_COUNT(lies); i++) {
        cistern_t *handle = NULL;
        memcpy(stand.offer.lie, lies[i].lie, sizeof lies[i].lie);
        int status = cistern_open(&stand.options, &handle);
        child_need(page, status == CISTERN_MALFORMED && handle == NULL, "lie %zu: %d", i, status);
        child_need(
            page, strstr(cistern_why(), lies[i].word) != NULL, "lie %zu: %s", i, cistern_why());
        for (int wait = 0; wait < 5000 && count_fds(&stand.server) > fds; wait++) {
            child_nap(); /* the double's end of the socket, and of its session */
        }
        child_need(page, count_fds(&stand.server) == fds, "lie %zu leaves descriptors", i);
    }
    memset(stand.offer.lie, 0, sizeof stand.offer.lie);
    stand_close(&stand);
    return 0;
}

static void a_welcome_with_a_wrong_number_of_a_device_is_refused(void **state)
{
    (void)state;
    assert_int_equal(child_run(hear_lies, NULL), 0);
}

static int hear_unasked(void *context, struct child_page *page)
{
    struct stand stand;
    (void)context;
    stand_start(&stand, page);
    stand.offer.lie[0] = (struct double_lie){FIELD(device_slabs), 1};
    stand.options.device = NULL;
    STAND_EXPECT(&stand, CISTERN_MALFORMED, cistern_open(&stand.options, &stand.handle));
    stand_close(&stand);
    return 0;
}

static void a_device_that_was_not_asked_for_is_refused(void **state)
{
    (void)state;
    assert_int_equal(child_run(hear_unasked, NULL), 0);
}

static void ready_is(struct stand *stand, int status, const char *word)
{
    STAND_EXPECT(stand, status, cistern_device_ready(stand->handle));
    child_need(stand->bed.page, strstr(cistern_why(), word) != NULL, "%s", cistern_why());
}

/* Reads host memory, and is no session with a device for the sidecar. */
static void goes_without(struct stand *stand)
{
    struct cistern_stats stats = {.size = sizeof stats};
    struct cistern_view view;
    size_t count;
    STAND_EXPECT(stand, CISTERN_OK, cistern_stats(stand->handle, &stats));
    child_need(stand->bed.page, stats.device == 0, "no device");
    child_need(stand->bed.page, (stand->server.heard.flags & HELLO_DEVICE) == 0, "not asked for");
    stand_add(stand, 0, 0, 20);
    STAND_EXPECT(
        stand, CISTERN_MISS, cistern_acquire(stand->handle, stand->keys, 1, &view, &count));
    (void)double_add(&stand->server, &stand->keys[0], 10, DOUBLE_BLOCK);
    stand_find(stand, stand->handle, 0, CISTERN_TIER_HOST, 10);
}

static int map_nothing(void *context, struct child_page *page)
{
    struct stand stand;
    int strangers = memfd_create("stranger", MFD_CLOEXEC);
    (void)context;
    stand_start(&stand, page);
    stand.offer.fds[1] = strangers;
    STAND_EXPECT(&stand, CISTERN_OK, cistern_open(&stand.options, &stand.handle));
    STAND_EXPECT(&stand, CISTERN_OK, cistern_device_open(stand.handle, NULL, &stand.device));
    child_need(page, cistern_device_ready(stand.handle) < 0, "ready, with a stranger's file");
    child_need(page, strstr(cistern_why(), "slab") != NULL, "%s", cistern_why());
    goes_without(&stand);
    /* The next sidecar is asked again. */
    stand.offer.fds[1] = stand.slabs.slab[1].fd;
    double_stop(&stand.server);
    stand_restart(&stand, 5);
    for (int i = 0; i < 5000 && cistern_device_ready(stand.handle) != CISTERN_OK; i++) {
        struct cistern_match found = {.size = sizeof found};
        (void)cistern_match(stand.handle, stand.keys, 1, &found);
        child_nap();
    }
    stand_add(&stand, 1, 1, 21);
    stand_find(&stand, stand.handle, 1, CISTERN_TIER_DEVICE, 21);
    stand_close(&stand);
    (void)close(strangers);
    return 0;
}

static void memory_that_cannot_be_mapped_is_done_without(void **state)
{
    (void)state;
    assert_int_equal(child_run(map_nothing, NULL), 0);
}

static int hear_none(void *context, struct child_page *page)
{
    struct stand stand;
    cistern_device_t *device = NULL;
    struct cistern_slot slot;
    size_t count;
    (void)context;
    stand_start(&stand, page);
    stand.offer.status = STATUS_NO_MEMORY;
    stand.offer.why = "the pool of this device could not be made";
    STAND_EXPECT(&stand, CISTERN_OK, cistern_open(&stand.options, &stand.handle));
    ready_is(&stand, CISTERN_NO_MEMORY, "could not be made");
    STAND_EXPECT(&stand, CISTERN_OK, cistern_device_open(stand.handle, NULL, &device));
    STAND_EXPECT(&stand, CISTERN_UNSUPPORTED, cistern_device_reserve(device, 1, 0, &slot, &count));
    child_need(page, strstr(cistern_why(), "could not be made") != NULL, "%s", cistern_why());
    STAND_EXPECT(&stand, CISTERN_UNSUPPORTED, cistern_device_prefetch(device, stand.keys, 1));
    cistern_device_close(&device);
    cistern_close(&stand.handle);
    stand.options.device = "none";
    STAND_EXPECT(&stand, CISTERN_OK, cistern_open(&stand.options, &stand.handle));
    ready_is(&stand, CISTERN_UNSUPPORTED, "was asked for");
    goes_without(&stand);
    double_stop(&stand.server);
    struct cistern_match found = {.size = sizeof found};
    STAND_EXPECT(&stand, CISTERN_NO_SERVER, cistern_match(stand.handle, stand.keys, 1, &found));
    cistern_close(&stand.handle);
    stand_restart(&stand, 9);
    stand_close(&stand);
    return 0;
}

static void the_sidecars_reason_is_the_handles(void **state)
{
    (void)state;
    assert_int_equal(child_run(hear_none, NULL), 0);
}

static int choose(void *context, struct child_page *page)
{
    struct stand stand;
    char text[GPU_UUID_TEXT];
    (void)context;
    stand_start(&stand, page);
    stand.options.device = "GPU-ffffffff";
    STAND_EXPECT(&stand, CISTERN_INVALID, cistern_open(&stand.options, &stand.handle));
    child_need(page, strstr(cistern_why(), "one of GPU-") != NULL, "%s", cistern_why());
    gpu_uuid_text(&stand.bed.gpu.uuid, text);
    stand.options.device = text;
    stand_open(&stand);
    child_need(page, memcmp(stand.server.heard.device, stand.bed.gpu.uuid.byte, HELLO_UUID) == 0,
        "the UUID");
    cistern_device_close(&stand.device);
    cistern_close(&stand.handle);
    stand.options.device = "auto";
    stand.options.flags = CISTERN_ISOLATED;
    STAND_EXPECT(&stand, CISTERN_OK, cistern_open(&stand.options, &stand.handle));
    ready_is(&stand, CISTERN_UNSUPPORTED, "CISTERN_ISOLATED");
    child_need(page, (stand.server.heard.flags & HELLO_DEVICE) == 0, "none is asked for");
    cistern_close(&stand.handle);
    stand.options.flags = 0;
    stand.options.size = offsetof(struct cistern_options, device); /* an earlier header */
    STAND_EXPECT(&stand, CISTERN_OK, cistern_open(&stand.options, &stand.handle));
    ready_is(&stand, CISTERN_UNSUPPORTED, "was asked for");
    cistern_close(&stand.handle);
    stand_close(&stand);
    return 0;
}

static void the_options_name_the_device(void **state)
{
    (void)state;
    assert_int_equal(child_run(choose, NULL), 0);
}

/* A process without a GPU: nothing of the double of the driver is to be had. */
static int see_none(void *context, struct child_page *page)
{
    static struct double_server server; /* with memory of no device */
    char path[64];
    struct cistern_namespace space = {
        .size = sizeof space, .block_tokens = 16, .block_bytes = DOUBLE_BLOCK, .name = "test"};
    struct cistern_options options = {
        .size = sizeof options, .space = &space, .socket_path = path, .device = "auto"};
    cistern_t *handle = NULL;
    (void)context;
    (void)setenv("CUDA_DOUBLE", "init=100", 1);
    (void)snprintf(path, sizeof path, "/tmp/cistern-view-%d", (int)getpid());
    double_start(&server, path, 1, NULL);
    int status = cistern_open(&options, &handle);
    child_need(page, status == CISTERN_OK, "auto: %s", cistern_why());
    status = cistern_device_ready(handle);
    child_need(page, status == CISTERN_UNSUPPORTED && strstr(cistern_why(), "--gpus") != NULL,
        "%d: %s", status, cistern_why());
    cistern_close(&handle);
    options.device = "GPU-0";
    status = cistern_open(&options, &handle);
    child_need(page, status == CISTERN_UNSUPPORTED && handle == NULL, "named: %d", status);
    double_stop(&server);
    return 0;
}

static void without_a_driver_auto_is_host_memory_and_a_name_is_an_error(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(see_none, NULL), 0);
}

/* The handle's device may not be written, and who does has lost it; the block is as it was. */
static int only_read(void *context, struct child_page *page)
{
    struct stand stand;
    struct cistern_view view;
    struct cistern_slot slot;
    size_t count;
    (void)context;
    stand_start(&stand, page);
    stand.options.flags |= CISTERN_DEVICE_READ;
    stand_open(&stand);
    stand_add(&stand, 0, 0, 20);
    STAND_EXPECT(&stand, CISTERN_OK, cistern_acquire(stand.handle, stand.keys, 1, &view, &count));
    stand_see(&stand, &view, CISTERN_TIER_DEVICE, 20);
    STAND_EXPECT(&stand, CISTERN_UNSUPPORTED,
        cistern_device_reserve(stand.device, 1, STAND_WAIT_NS, &slot, &count));
    (void)stand.bed.driver.cuMemsetD8Async(
        (uint64_t)(uintptr_t)view.data, 0xee, 4096, stand.stream.stream);
    int status = driver_status(stand.bed.driver.cuStreamSynchronize(stand.stream.stream));
    child_need(page, status == STATUS_DEVICE_LOST, "the write: %d", status);
    return 0; /* a context that failed gives nothing back */
}

static void a_handle_that_only_reads_cannot_spoil_a_block(void **state)
{
    (void)state;
    assert_int_equal(child_run(only_read, NULL), 0);
}

int main(void)
{
    if (!bed_found()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_welcome_with_a_wrong_number_of_a_device_is_refused),
        cmocka_unit_test(a_device_that_was_not_asked_for_is_refused),
        cmocka_unit_test(memory_that_cannot_be_mapped_is_done_without),
        cmocka_unit_test(the_sidecars_reason_is_the_handles),
        cmocka_unit_test(the_options_name_the_device),
        cmocka_unit_test(without_a_driver_auto_is_host_memory_and_a_name_is_an_error),
        cmocka_unit_test(a_handle_that_only_reads_cannot_spoil_a_block),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
