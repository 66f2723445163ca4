/* The double of the driver between processes: what is shared, who keeps it, who may open it. */
#include "tests/check.h"
#include "tests/gpu-double/rig.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define POOL_BYTES (4 * RIG_GRANULE)
#define SMALL "memory=8M" /* the pool is all there is */

/* Two processes and the socket between them. */
struct pair {
    int socket[2];
    struct child maker;
    struct child user;
    struct driver_ipc_handle *ipc; /* shared with the test */
};

static void pair_open(struct pair *pair)
{
    *pair = (struct pair){.socket = {-1, -1}};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair->socket), 0);
    pair->ipc = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pair->ipc, MAP_FAILED);
}

static void pair_close(struct pair *pair)
{
    (void)close(pair->socket[0]);
    (void)close(pair->socket[1]);
    (void)munmap(pair->ipc, 4096);
}

/* Make a pool full of 7, hand it over, and stay. */
static int offer(void *context, struct child_page *page)
{
    struct pair *pair = context;
    struct rig rig;
    rig_open(&rig, page, SMALL);
    struct rig_slab slab = rig_make(&rig, POOL_BYTES, DRIVER_ACCESS_READ_WRITE);
    memset(rig_bytes(slab.address), 7, slab.bytes);
    int fd = rig_export(&rig, &slab);
    rig_send(&rig, pair->socket[0], fd);
    (void)close(fd);
    child_at(page, 1);
    child_await(page, 1);
    child_need(page, rig_bytes(slab.address)[0] == 8, "not written by the other side");
    rig_drop(&rig, &slab);
    return 0;
}

static int use(void *context, struct child_page *page)
{
    struct pair *pair = context;
    struct rig rig;
    rig_open(&rig, page, SMALL);
    int fd = rig_take(&rig, pair->socket[1]);
    struct rig_slab slab = rig_import(&rig, fd, POOL_BYTES, DRIVER_ACCESS_READ_WRITE);
    (void)close(fd); /* stays the caller's, and is not needed any more */
    child_at(page, 1);
    child_await(page, 1);
    child_need(page, rig_bytes(slab.address)[slab.bytes - 1] == 7, "another's bytes");
    rig_bytes(slab.address)[0] = 8;
    child_at(page, 2);
    child_await(page, 2);
    rig_drop(&rig, &slab);
    child_at(page, 3);
    child_await(page, 3);
    return 0;
}

/* In bytes, so that a test can compare: what a new process finds free. */
static int ask_free(void *context, struct child_page *page)
{
    struct rig rig;
    uint64_t *out_bytes = context;
    rig_open(&rig, page, SMALL);
    *out_bytes = rig_free_bytes(&rig);
    uint64_t handle;
    struct driver_allocation wish = rig_wish(0);
    rig_is(&rig, "create", rig.driver.cuMemCreate(&handle, POOL_BYTES, &wish, 0),
        *out_bytes == 0 ? DRIVER_OUT_OF_MEMORY : DRIVER_SUCCESS);
    return 0;
}

static uint64_t free_bytes(const struct pair *pair)
{
    uint64_t *shared = (uint64_t *)(void *)pair->ipc;
    assert_int_equal(child_run(ask_free, shared), 0);
    return *shared;
}

static void test_imported_memory_is_the_same_memory(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    assert_true(child_start(&pair.maker, offer, &pair));
    assert_true(child_start(&pair.user, use, &pair));
    child_let(&pair.user, 1);
    assert_true(child_reaches(&pair.user, 2));
    child_let(&pair.maker, 1);
    assert_int_equal(child_end(&pair.maker), 0);
    child_let(&pair.user, 3);
    assert_int_equal(child_end(&pair.user), 0);
    pair_close(&pair);
}

static void test_memory_outlives_a_killed_maker_until_the_last_lets_go(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    assert_int_equal(free_bytes(&pair), POOL_BYTES);
    assert_true(child_start(&pair.maker, offer, &pair));
    assert_true(child_start(&pair.user, use, &pair));
    assert_true(child_reaches(&pair.user, 1));
    assert_int_equal(free_bytes(&pair), 0);
    child_kill(&pair.maker);
    assert_int_equal(free_bytes(&pair), 0);
    child_let(&pair.user, 1);
    assert_true(child_reaches(&pair.user, 2)); /* its bytes are still there */
    child_let(&pair.user, 2);
    assert_true(child_reaches(&pair.user, 3));
    assert_int_equal(free_bytes(&pair), POOL_BYTES);
    child_let(&pair.user, 3);
    assert_int_equal(child_end(&pair.user), 0);
    pair_close(&pair);
}

static void test_a_descriptor_on_its_way_keeps_memory_alive(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    assert_true(child_start(&pair.maker, offer, &pair));
    assert_true(child_reaches(&pair.maker, 1));
    child_kill(&pair.maker);
    assert_int_equal(free_bytes(&pair), 0);
    (void)close(pair.socket[0]);
    (void)close(pair.socket[1]);
    pair.socket[0] = pair.socket[1] = -1;
    assert_int_equal(free_bytes(&pair), POOL_BYTES);
    pair_close(&pair);
}

static int store_into_read_only(void *context, struct child_page *page)
{
    struct pair *pair = context;
    struct rig rig;
    rig_open(&rig, page, SMALL);
    int fd = rig_take(&rig, pair->socket[1]);
    struct rig_slab slab = rig_import(&rig, fd, POOL_BYTES, DRIVER_ACCESS_READ);
    child_need(page, rig_bytes(slab.address)[0] == 7, "cannot be read");
    child_at(page, 1);
    rig_bytes(slab.address)[0] = 8;
    return 0;
}

static int fill_read_only(void *context, struct child_page *page)
{
    struct pair *pair = context;
    struct rig rig;
    unsigned char byte = 0;
    rig_open(&rig, page, SMALL);
    int fd = rig_take(&rig, pair->socket[1]);
    struct rig_slab slab = rig_import(&rig, fd, POOL_BYTES, DRIVER_ACCESS_READ);
    struct driver_stream *stream = rig_stream(&rig);
    rig_ok(&rig, "read", rig.driver.cuMemcpyDtoHAsync(&byte, slab.address, 1, stream));
    rig_ok(&rig, "wait", rig.driver.cuStreamSynchronize(stream));
    child_need(page, byte == 7, "read %d", byte);
    rig_ok(&rig, "write", rig.driver.cuMemcpyHtoDAsync(slab.address, &byte, 1, stream));
    rig_is(&rig, "wait", rig.driver.cuStreamSynchronize(stream), DRIVER_ILLEGAL_ADDRESS);
    struct driver_stream *other;
    rig_is(&rig, "another stream", rig.driver.cuStreamCreateWithPriority(&other, 1, 0),
        DRIVER_ILLEGAL_ADDRESS);
    return 0;
}

static void test_memory_mapped_to_be_read_is_not_written(void **state)
{
    (void)state;
    child_work *const writers[] = {store_into_read_only, fill_read_only};
    for (size_t i = 0; i < CHECK_COUNT(writers); i++) {
        struct pair pair;
        pair_open(&pair);
        assert_true(child_start(&pair.maker, offer, &pair));
        assert_true(child_start(&pair.user, writers[i], &pair));
        if (i == 0) {
            assert_true(child_reaches(&pair.user, 1));
        }
        assert_int_equal(child_end(&pair.user), i == 0 ? 1000 + SIGSEGV : 0);
        child_kill(&pair.maker);
        pair_close(&pair);
    }
}

static int import_wrongly(void *context, struct child_page *page)
{
    struct pair *pair = context;
    struct rig rig;
    uint64_t handle;
    (void)setenv("CUDA_VISIBLE_DEVICES", "1", 1);
    rig_open(&rig, page, SMALL);
    int theirs = rig_take(&rig, pair->socket[1]);
    int strange = memfd_create("strange", MFD_CLOEXEC);
    child_need(page, strange >= 0 && ftruncate(strange, (off_t)POOL_BYTES) == 0, "memfd");
    const int fds[] = {strange, pair->socket[1], -1};
    for (size_t i = 0; i < CHECK_COUNT(fds); i++) {
        rig_is(&rig, "not ours",
            rig.driver.cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)fds[i], 1),
            DRIVER_INVALID_VALUE);
    }
    rig_is(&rig, "not visible",
        rig.driver.cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)theirs, 1),
        DRIVER_INVALID_DEVICE);
    return 0;
}

static void test_what_is_not_device_memory_is_not_imported(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    assert_true(child_start(&pair.maker, offer, &pair));
    assert_int_equal(child_run(import_wrongly, &pair), 0);
    child_kill(&pair.maker);
    pair_close(&pair);
}

/* Legacy: make, tell the handle, and free while the other side may have it open. */
static int offer_legacy(void *context, struct child_page *page)
{
    struct pair *pair = context;
    struct rig rig;
    uint64_t address, opened;
    struct driver_ipc_handle handle;
    rig_open(&rig, page, SMALL);
    const struct driver *driver = &rig.driver;
    struct rig_slab slab = rig_make(&rig, RIG_GRANULE, DRIVER_ACCESS_READ_WRITE);
    rig_is(&rig, "of VMM", driver->cuIpcGetMemHandle(&handle, slab.address), DRIVER_INVALID_VALUE);
    rig_ok(&rig, "alloc", driver->cuMemAlloc(&address, RIG_GRANULE));
    memset(rig_bytes(address), 7, RIG_GRANULE);
    rig_ok(&rig, "base", driver->cuIpcGetMemHandle(&handle, address));
    rig_ok(&rig, "interior", driver->cuIpcGetMemHandle(pair->ipc, address + 4096));
    child_need(page, memcmp(&handle, pair->ipc, sizeof handle) == 0, "not the base's handle");
    rig_is(&rig, "one's own", driver->cuIpcOpenMemHandle(&opened, handle, DRIVER_IPC_LAZY_PEER),
        DRIVER_INVALID_CONTEXT);
    child_at(page, 1);
    child_await(page, 1);
    rig_violated(&rig, 0);
    rig_ok(&rig, "free", driver->cuMemFree(address));
    rig_violated(&rig, 1);
    return 0;
}

static int open_legacy(void *context, struct child_page *page)
{
    struct pair *pair = context;
    struct rig rig;
    uint64_t first, second;
    rig_open(&rig, page, SMALL);
    const struct driver *driver = &rig.driver;
    rig_is(&rig, "flags", driver->cuIpcOpenMemHandle(&first, *pair->ipc, 0), DRIVER_INVALID_VALUE);
    rig_ok(&rig, "open", driver->cuIpcOpenMemHandle(&first, *pair->ipc, DRIVER_IPC_LAZY_PEER));
    rig_ok(&rig, "again", driver->cuIpcOpenMemHandle(&second, *pair->ipc, DRIVER_IPC_LAZY_PEER));
    child_need(page, first == second && rig_bytes(first)[RIG_GRANULE - 1] == 7, "another place");
    rig_is(&rig, "free", driver->cuMemFree(first), DRIVER_INVALID_VALUE);
    rig_ok(&rig, "close", driver->cuIpcCloseMemHandle(first));
    child_need(page, rig_bytes(first)[0] == 7, "closed too early");
    child_at(page, 1);
    child_await(page, 1);
    rig_ok(&rig, "close", driver->cuIpcCloseMemHandle(first));
    rig_is(&rig, "too often", driver->cuIpcCloseMemHandle(first), DRIVER_INVALID_VALUE);
    rig_is(&rig, "too late", driver->cuIpcOpenMemHandle(&first, *pair->ipc, DRIVER_IPC_LAZY_PEER),
        DRIVER_INVALID_VALUE);
    return 0;
}

static int open_unseen(void *context, struct child_page *page)
{
    struct pair *pair = context;
    struct rig rig;
    uint64_t address;
    (void)setenv("CUDA_VISIBLE_DEVICES", "1", 1);
    rig_open(&rig, page, SMALL);
    rig_is(&rig, "open", rig.driver.cuIpcOpenMemHandle(&address, *pair->ipc, DRIVER_IPC_LAZY_PEER),
        DRIVER_INVALID_VALUE);
    return 0;
}

static void test_a_legacy_handle_is_opened_by_other_processes(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    assert_true(child_start(&pair.maker, offer_legacy, &pair));
    assert_true(child_reaches(&pair.maker, 1));
    assert_int_equal(child_run(open_unseen, &pair), 0);
    assert_true(child_start(&pair.user, open_legacy, &pair));
    assert_true(child_reaches(&pair.user, 1));
    child_let(&pair.maker, 1);
    assert_int_equal(child_end(&pair.maker), 0);
    child_let(&pair.user, 1);
    assert_int_equal(child_end(&pair.user), 0);
    pair_close(&pair);
}

static int offer_fabric(void *context, struct child_page *page)
{
    struct pair *pair = context;
    struct rig rig;
    uint64_t handle;
    struct driver_allocation wish = rig_wish(DRIVER_HANDLE_FABRIC);
    rig_open(&rig, page, SMALL ",fabric=1");
    rig_ok(&rig, "create", rig.driver.cuMemCreate(&handle, RIG_GRANULE, &wish, 0));
    rig_ok(&rig, "export", rig.driver.cuMemExportToShareableHandle(pair->ipc, handle, 8, 0));
    child_at(page, 1);
    child_await(page, 1);
    return 0;
}

static int import_fabric(void *context, struct child_page *page)
{
    struct pair *pair = context;
    struct rig rig;
    uint64_t handle;
    rig_open(&rig, page, SMALL ",fabric=1");
    rig_ok(&rig, "import", rig.driver.cuMemImportFromShareableHandle(&handle, pair->ipc, 8));
    rig_ok(&rig, "release", rig.driver.cuMemRelease(handle));
    return 0;
}

static void test_a_fabric_handle_is_a_name(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    assert_true(child_start(&pair.maker, offer_fabric, &pair));
    assert_true(child_reaches(&pair.maker, 1));
    assert_int_equal(child_run(import_fabric, &pair), 0);
    child_let(&pair.maker, 1);
    assert_int_equal(child_end(&pair.maker), 0);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_imported_memory_is_the_same_memory),
        cmocka_unit_test(test_memory_outlives_a_killed_maker_until_the_last_lets_go),
        cmocka_unit_test(test_a_descriptor_on_its_way_keeps_memory_alive),
        cmocka_unit_test(test_memory_mapped_to_be_read_is_not_written),
        cmocka_unit_test(test_what_is_not_device_memory_is_not_imported),
        cmocka_unit_test(test_a_legacy_handle_is_opened_by_other_processes),
        cmocka_unit_test(test_a_fabric_handle_is_a_name),
    };
    return cmocka_run_group_tests(tests, rig_begin, rig_end);
}
