/* The double of the driver keeps the driver's rules of loading, of memory and of handles. */
#include "tests/check.h"
#include "tests/gpu-double/rig.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void find(const struct rig *rig, const char *name, int version, int result, int found_wanted)
{
    void *entry = NULL;
    int found = -1;
    rig_is(rig, name, rig->find(name, &entry, version, 0, &found), result);
    child_need(rig->page, found == found_wanted && (entry != NULL) == (found == 0),
        "%s at %d: found %d", name, version, found);
}

static int versions(void *context, struct child_page *page)
{
    (void)context;
    struct rig rig;
    rig_load(&rig, page, "lacks=cuMemMap;cuMemUnmap");
    find(&rig, "cuMemcpyBatchAsync", 13000, DRIVER_SUCCESS, 0);
    find(&rig, "cuMemcpyBatchAsync", 12080, DRIVER_SUCCESS, 2); /* has one parameter more */
    find(&rig, "cuDevicePrimaryCtxRelease", 7000, DRIVER_SUCCESS, 2);
    find(&rig, "cuInit", 12000, DRIVER_SUCCESS, 1);
    find(&rig, "cuNonsense", 12000, DRIVER_SUCCESS, 1);
    find(&rig, "cuMemUnmap", 10020, DRIVER_SUCCESS, 1);
    find(&rig, "cuInit", 13010, DRIVER_INVALID_VALUE, 1);
    rig_load(&rig, page, "version=12040");
    int version = 0;
    find(&rig, "cuMemcpyBatchAsync", 13000, DRIVER_INVALID_VALUE, 1);
    rig_ok(&rig, "version", rig.driver.cuDriverGetVersion(&version));
    child_need(page, version == 12040, "version %d", version);
    return 0;
}

static void test_an_entry_is_found_at_its_own_version_alone(void **state)
{
    (void)state;
    assert_int_equal(child_run(versions, NULL), 0);
}

static int begin(void *context, struct child_page *page)
{
    (void)context;
    struct rig rig;
    int count;
    const char *name = NULL;
    rig_load(&rig, page, "");
    rig_is(&rig, "count", rig.driver.cuDeviceGetCount(&count), DRIVER_NOT_INITIALIZED);
    rig_is(&rig, "release", rig.driver.cuMemRelease(1), DRIVER_NOT_INITIALIZED);
    rig_ok(&rig, "name", rig.driver.cuGetErrorName(700, &name));
    child_need(page, strcmp(name, "CUDA_ERROR_ILLEGAL_ADDRESS") == 0, "%s", name);
    static const struct {
        const char *switches;
        int result;
    } refused[] = {{"init=803", 803}, {"devices=0", DRIVER_NO_DEVICE}, {"nonsense=1", 999},
        {"memory=1T", 999}, {"lacks=cuNonsense", 999}, {"fail=cuInit", 999}, {"strict", 999},
        {"fail=cuInit:0:802", 802}};
    for (size_t i = 0; i < CHECK_COUNT(refused); i++) {
        (void)setenv("CUDA_DOUBLE", refused[i].switches, 1);
        rig_is(&rig, refused[i].switches, rig.driver.cuInit(0), refused[i].result);
    }
    rig.reset_faults();
    rig_is(&rig, "flags", rig.driver.cuInit(1), DRIVER_INVALID_VALUE);
    rig_ok(&rig, "init", rig.driver.cuInit(0));
    rig_ok(&rig, "again", rig.driver.cuInit(0));
    return 0;
}

static void test_nothing_works_before_a_start_that_may_fail(void **state)
{
    (void)state;
    assert_int_equal(child_run(begin, NULL), 0);
}

static int outlive(void *context, struct child_page *page)
{
    (void)context;
    struct rig rig;
    int count;
    rig_open(&rig, page, "");
    pid_t pid = fork();
    if (pid == 0) {
        uint64_t handle;
        struct driver_allocation wish = rig_wish(0);
        _exit(
            rig.driver.cuInit(0) == DRIVER_NOT_INITIALIZED &&
                    rig.driver.cuDeviceGetCount(&count) == DRIVER_NOT_INITIALIZED &&
                    rig.driver.cuMemCreate(&handle, RIG_GRANULE, &wish, 0) == DRIVER_NOT_INITIALIZED
                ? 0
                : 1);
    }
    int status = -1;
    child_need(page, waitpid(pid, &status, 0) == pid && status == 0, "works after fork()");
    rig_ok(&rig, "the parent", rig.driver.cuDeviceGetCount(&count));
    return 0;
}

static void test_the_driver_does_not_survive_a_fork(void **state)
{
    (void)state;
    assert_int_equal(child_run(outlive, NULL), 0);
}

/* What a process sees of the devices. */
struct view {
    const char *visible; /* the variable, or NULL */
    int result;
    int count;
    struct driver_uuid uuid[3];
    char name[3][32];
};

static int look(void *context, struct child_page *page)
{
    struct view *view = context;
    struct rig rig;
    if (view->visible != NULL) {
        (void)setenv("CUDA_VISIBLE_DEVICES", view->visible, 1);
    }
    rig_load(&rig, page, "devices=3");
    rig_is(&rig, "init", rig.driver.cuInit(0), view->result);
    if (view->result != DRIVER_SUCCESS) {
        return 0;
    }
    rig_ok(&rig, "count", rig.driver.cuDeviceGetCount(&view->count));
    for (int i = 0; i < view->count; i++) {
        int device;
        rig_ok(&rig, "device", rig.driver.cuDeviceGet(&device, i));
        rig_ok(&rig, "uuid", rig.driver.cuDeviceGetUuid(&view->uuid[i], device));
        rig_ok(&rig, "name", rig.driver.cuDeviceGetName(view->name[i], 32, device));
    }
    int device;
    rig_is(&rig, "beyond", rig.driver.cuDeviceGet(&device, view->count), DRIVER_INVALID_DEVICE);
    return 0;
}

static struct view seen(const char *visible, int result)
{
    struct view *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    *shared = (struct view){.visible = visible, .result = result};
    assert_int_equal(child_run(look, shared), 0);
    struct view view = *shared;
    (void)munmap(shared, sizeof *shared);
    return view;
}

static void test_ordinals_are_the_process_s_own_and_uuids_are_not(void **state)
{
    (void)state;
    struct view all = seen(NULL, DRIVER_SUCCESS);
    assert_int_equal(all.count, 3);
    assert_string_equal(all.name[2], "Double of a GPU 2");
    assert_memory_not_equal(&all.uuid[0], &all.uuid[1], sizeof all.uuid[0]);
    struct view turned = seen("2,0,9,1", DRIVER_SUCCESS);
    assert_int_equal(turned.count, 2); /* what follows a wrong item is not visible */
    assert_memory_equal(&turned.uuid[0], &all.uuid[2], sizeof all.uuid[0]);
    assert_memory_equal(&turned.uuid[1], &all.uuid[0], sizeof all.uuid[0]);
    char text[48] = "GPU-";
    for (size_t i = 0; i < sizeof all.uuid[1].byte; i++) {
        const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, "%s%02x", dash, all.uuid[1].byte[i]);
    }
    struct view named = seen(text, DRIVER_SUCCESS);
    assert_int_equal(named.count, 1);
    assert_memory_equal(&named.uuid[0], &all.uuid[1], sizeof all.uuid[0]);
    (void)seen("", DRIVER_NO_DEVICE);
}

static int create(void *context, struct child_page *page)
{
    (void)context;
    struct rig rig;
    rig_load(&rig, page, "memory=8M");
    const struct driver *driver = &rig.driver;
    rig_ok(&rig, "init", driver->cuInit(0)); /* and no context */
    struct driver_allocation wish = rig_wish(DRIVER_HANDLE_POSIX_FD);
    size_t granule;
    uint64_t first, second, address;
    rig_ok(&rig, "granularity", driver->cuMemGetAllocationGranularity(&granule, &wish, 0));
    child_need(page, granule == RIG_GRANULE, "granularity %zu", granule);
    rig_is(&rig, "small", driver->cuMemCreate(&first, granule / 2, &wish, 0), DRIVER_INVALID_VALUE);
    rig_is(&rig, "none", driver->cuMemCreate(&first, 0, &wish, 0), DRIVER_INVALID_VALUE);
    rig_is(&rig, "large", driver->cuMemCreate(&first, 10 << 20, &wish, 0), DRIVER_OUT_OF_MEMORY);
    rig_ok(&rig, "all", driver->cuMemCreate(&first, 8 << 20, &wish, 0));
    rig_is(&rig, "full", driver->cuMemCreate(&second, granule, &wish, 0), DRIVER_OUT_OF_MEMORY);
    rig_ok(&rig, "release", driver->cuMemRelease(first));
    rig_is(&rig, "stale", driver->cuMemRelease(first), DRIVER_INVALID_VALUE);
    rig_ok(&rig, "again", driver->cuMemCreate(&second, granule, &wish, 0));
    wish.location.id = 2;
    rig_is(&rig, "device", driver->cuMemCreate(&first, granule, &wish, 0), DRIVER_INVALID_DEVICE);
    wish = rig_wish(DRIVER_HANDLE_FABRIC);
    rig_is(&rig, "fabric", driver->cuMemCreate(&first, granule, &wish, 0), DRIVER_NOT_SUPPORTED);
    rig_is(&rig, "context", driver->cuMemAlloc(&address, granule), DRIVER_INVALID_CONTEXT);
    return 0;
}

static void test_memory_has_a_granularity_and_an_end(void **state)
{
    (void)state;
    assert_int_equal(child_run(create, NULL), 0);
}

static int map_wrongly(void *context, struct child_page *page)
{
    (void)context;
    struct rig rig;
    rig_open(&rig, page, "");
    const struct driver *driver = &rig.driver;
    const uint64_t one = RIG_GRANULE, two = 2 * RIG_GRANULE;
    struct driver_allocation wish = rig_wish(0);
    struct driver_access access = rig_access(DRIVER_ACCESS_READ_WRITE);
    uint64_t handle, at;
    int fd;
    rig_ok(&rig, "create", driver->cuMemCreate(&handle, two, &wish, 0));
    rig_ok(&rig, "reserve", driver->cuMemAddressReserve(&at, 2 * two, 8 * one, 0, 0));
    child_need(page, at % (8 * one) == 0, "alignment");
    rig_is(&rig, "offset", driver->cuMemMap(at, one, one, handle, 0), DRIVER_INVALID_VALUE);
    rig_is(&rig, "offset", driver->cuMemMap(at, two, one, handle, 0), DRIVER_INVALID_VALUE);
    rig_is(&rig, "part", driver->cuMemMap(at, one, 0, handle, 0), DRIVER_INVALID_VALUE);
    rig_is(&rig, "end", driver->cuMemMap(at + 3 * one, two, 0, handle, 0), DRIVER_INVALID_VALUE);
    rig_ok(&rig, "map", driver->cuMemMap(at, two, 0, handle, 0));
    rig_is(&rig, "over", driver->cuMemMap(at + one, two, 0, handle, 0), DRIVER_ALREADY_MAPPED);
    rig_ok(&rig, "beside", driver->cuMemMap(at + two, two, 0, handle, 0));
    rig_is(&rig, "half", driver->cuMemSetAccess(at, one, &access, 1), DRIVER_INVALID_VALUE);
    rig_ok(&rig, "access", driver->cuMemSetAccess(at, 2 * two, &access, 1));
    memset(rig_bytes(at), 7, two);
    child_need(page, rig_bytes(at + 2 * two)[-1] == 7, "one memory at two addresses");
    rig_is(&rig, "export", driver->cuMemExportToShareableHandle(&fd, handle, 1, 0),
        DRIVER_INVALID_VALUE);
    rig_ok(&rig, "release", driver->cuMemRelease(handle));
    child_need(page, rig_bytes(at)[0] == 7, "mapped memory outlives its handle");
    rig_is(&rig, "unmap half", driver->cuMemUnmap(at, one), DRIVER_INVALID_VALUE);
    rig_ok(&rig, "unmap", driver->cuMemUnmap(at, two));
    rig_is(&rig, "free", driver->cuMemAddressFree(at, 2 * two), DRIVER_INVALID_VALUE);
    rig_ok(&rig, "unmap too", driver->cuMemUnmap(at + two, two));
    rig_is(&rig, "free part", driver->cuMemAddressFree(at, two), DRIVER_INVALID_VALUE);
    rig_ok(&rig, "free all", driver->cuMemAddressFree(at, 2 * two));
    child_need(page, rig_free_bytes(&rig) == UINT64_C(256) << 20, "memory is left in use");
    return 0;
}

static void test_handles_are_mapped_whole(void **state)
{
    (void)state;
    assert_int_equal(child_run(map_wrongly, NULL), 0);
}

static int touch_too_early(void *context, struct child_page *page)
{
    (void)context;
    struct rig rig;
    rig_open(&rig, page, "");
    struct rig_slab slab = rig_make(&rig, RIG_GRANULE, 0);
    rig_bytes(slab.address)[0] = 1;
    return 0;
}

static int fill_too_early(void *context, struct child_page *page)
{
    (void)context;
    struct rig rig;
    uint64_t other;
    rig_open(&rig, page, "");
    struct rig_slab slab = rig_make(&rig, RIG_GRANULE, 0);
    struct driver_stream *stream = rig_stream(&rig);
    rig_ok(&rig, "fill", rig.driver.cuMemsetD8Async(slab.address, 1, 16, stream));
    rig_is(&rig, "wait", rig.driver.cuStreamSynchronize(stream), DRIVER_ILLEGAL_ADDRESS);
    rig_is(&rig, "for ever", rig.driver.cuMemAlloc(&other, 16), DRIVER_ILLEGAL_ADDRESS);
    rig_is(&rig, "query", rig.driver.cuStreamQuery(stream), DRIVER_ILLEGAL_ADDRESS);
    return 0;
}

static void test_a_mapping_without_access_cannot_be_touched(void **state)
{
    (void)state;
    assert_int_equal(child_run(touch_too_early, NULL), 1000 + SIGSEGV);
    assert_int_equal(child_run(fill_too_early, NULL), 0);
}

static int fail_on_purpose(void *context, struct child_page *page)
{
    (void)context;
    struct rig rig;
    rig_open(&rig, page, "fail=cuMemAlloc:2,fail=cuMemFree:0:2,sticky=cuMemGetInfo:3");
    const struct driver *driver = &rig.driver;
    uint64_t address;
    rig_ok(&rig, "first", driver->cuMemAlloc(&address, 16));
    rig_is(&rig, "second", driver->cuMemAlloc(&address, 16), 999);
    rig_ok(&rig, "third", driver->cuMemAlloc(&address, 16));
    rig_is(&rig, "always", driver->cuMemFree(address), DRIVER_OUT_OF_MEMORY);
    rig_is(&rig, "always", driver->cuMemFree(address), DRIVER_OUT_OF_MEMORY);
    rig_ok(&rig, "set", rig.fail_at("cuMemAlloc", 1, 801));
    rig_is(&rig, "as set", driver->cuMemAlloc(&address, 16), DRIVER_NOT_SUPPORTED);
    child_need(page, rig.fail_at("cuNonsense", 1, 1) != 0, "no such entry");
    uint64_t free_bytes = rig_free_bytes(&rig);
    child_need(page, rig_free_bytes(&rig) == free_bytes, "nothing was taken");
    rig_is(&rig, "third", driver->cuMemGetInfo(&free_bytes, &address), DRIVER_ILLEGAL_ADDRESS);
    rig_is(&rig, "for ever", driver->cuMemAlloc(&address, 16), DRIVER_ILLEGAL_ADDRESS);
    rig.reset_faults();
    rig_is(&rig, "for ever", driver->cuMemAlloc(&address, 16), DRIVER_ILLEGAL_ADDRESS);
    struct driver_context *other;
    rig_ok(&rig, "another", driver->cuDevicePrimaryCtxRetain(&other, 1));
    rig_ok(&rig, "current", driver->cuCtxSetCurrent(other));
    rig_ok(&rig, "is whole", driver->cuMemAlloc(&address, 16));
    rig_ok(&rig, "set", rig.break_at("cuMemAlloc", 1));
    rig_is(&rig, "broken", driver->cuMemAlloc(&address, 16), DRIVER_ILLEGAL_ADDRESS);
    return 0;
}

static void test_calls_fail_when_they_are_told_to(void **state)
{
    (void)state;
    assert_int_equal(child_run(fail_on_purpose, NULL), 0);
}

static int register_memory(void *context, struct child_page *page)
{
    (void)context;
    struct rig rig;
    rig_open(&rig, page, "");
    const struct driver *driver = &rig.driver;
    unsigned char *memory =
        mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t address;
    rig_is(&rig, "aligned", driver->cuMemHostRegister(memory + 8, 4096, 0), DRIVER_INVALID_VALUE);
    rig_is(&rig, "flags", driver->cuMemHostRegister(memory, 4096, 64), DRIVER_INVALID_VALUE);
    rig_ok(&rig, "plain", driver->cuMemHostRegister(memory, 4096, DRIVER_REGISTER_PORTABLE));
    rig_is(&rig, "unmapped", driver->cuMemHostGetDevicePointer(&address, memory, 0),
        DRIVER_INVALID_VALUE);
    rig_is(&rig, "twice", driver->cuMemHostRegister(memory, 1 << 16, 3), DRIVER_ALREADY_REGISTERED);
    rig_ok(&rig, "unregister", driver->cuMemHostUnregister(memory));
    rig_is(&rig, "again", driver->cuMemHostUnregister(memory), DRIVER_NOT_REGISTERED);
    rig_ok(&rig, "mapped", driver->cuMemHostRegister(memory, 1 << 16, DRIVER_REGISTER_DEVICE_MAP));
    rig_ok(&rig, "pointer", driver->cuMemHostGetDevicePointer(&address, memory + 8, 0));
    child_need(page, rig_bytes(address) == memory + 8, "another address");
    rig_is(&rig, "inside", driver->cuMemHostUnregister(memory + 4096), DRIVER_NOT_REGISTERED);
    (void)munmap(memory + 8192, 4096);
    rig_ok(&rig, "unregister", driver->cuMemHostUnregister(memory));
    rig_is(&rig, "a hole", driver->cuMemHostRegister(memory, 1 << 16, 0), DRIVER_INVALID_VALUE);
    return 0;
}

static int register_nothing(void *context, struct child_page *page)
{
    struct rig rig;
    rig_open(&rig, page, "no_host_register=1");
    rig_is(&rig, "register", rig.driver.cuMemHostRegister(context, 4096, 0), DRIVER_NOT_SUPPORTED);
    return 0;
}

static void test_host_memory_is_registered_once(void **state)
{
    (void)state;
    assert_int_equal(child_run(register_memory, NULL), 0);
    assert_int_equal(child_run(register_nothing, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_entry_is_found_at_its_own_version_alone),
        cmocka_unit_test(test_nothing_works_before_a_start_that_may_fail),
        cmocka_unit_test(test_the_driver_does_not_survive_a_fork),
        cmocka_unit_test(test_ordinals_are_the_process_s_own_and_uuids_are_not),
        cmocka_unit_test(test_memory_has_a_granularity_and_an_end),
        cmocka_unit_test(test_handles_are_mapped_whole),
        cmocka_unit_test(test_a_mapping_without_access_cannot_be_touched),
        cmocka_unit_test(test_calls_fail_when_they_are_told_to),
        cmocka_unit_test(test_host_memory_is_registered_once),
    };
    return cmocka_run_group_tests(tests, rig_begin, rig_end);
}
