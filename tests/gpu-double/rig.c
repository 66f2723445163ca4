/* rig: see rig.h. */
#include "tests/gpu-double/rig.h"

#include "tests/folder.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char folder[] = "/dev/shm/cuda-double-test-XXXXXX";

int rig_begin(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL || setenv("CUDA_DOUBLE_STATE", folder, 1) != 0;
}

int rig_end(void **state)
{
    (void)state;
    return folder_remove(folder);
}

static void control(const struct rig *rig, const char *name, void *out_entry)
{
    void *entry = dlsym(rig->driver.library, name);
    child_need(rig->page, entry != NULL, "the double has no %s", name);
    memcpy(out_entry, &entry, sizeof entry);
}

void rig_load(struct rig *rig, struct child_page *page, const char *switches)
{
    char path[4096];
    const char *build = getenv("CISTERN_BUILD");
    *rig = (struct rig){.page = page};
    child_need(page, build != NULL, "CISTERN_BUILD is not set: the build folder");
    (void)snprintf(path, sizeof path, "%s/tests/fakes/cuda/libcuda.so.1", build);
    child_need(page, setenv("CUDA_DOUBLE", switches, 1) == 0, "setenv");
    rig->driver.library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    child_need(page, rig->driver.library != NULL, "no double: %s", path);
    control(rig, "cuGetProcAddress_v2", &rig->find);
    control(rig, "cuda_double_fail", &rig->fail_at);
    control(rig, "cuda_double_break", &rig->break_at);
    control(rig, "cuda_double_delay_us", &rig->delay_us);
    control(rig, "cuda_double_reset_faults", &rig->reset_faults);
    control(rig, "cuda_double_violations", &rig->violations);
    control(rig, "cuda_double_first_violation", &rig->first_violation);
#define ENTRY(need, field, name, version, parameters) \
    { \
        void *entry = NULL; \
        int found = 0; \
        (void)rig->find(name, &entry, version, 0, &found); \
        memcpy(&rig->driver.field, &entry, sizeof entry); \
    }
#include "cuda/driver.def"
#undef ENTRY
}

void rig_open(struct rig *rig, struct child_page *page, const char *switches)
{
    rig_load(rig, page, switches);
    rig_ok(rig, "cuInit", rig->driver.cuInit(0));
    rig_ok(rig, "retain", rig->driver.cuDevicePrimaryCtxRetain(&rig->context, 0));
    rig_ok(rig, "set current", rig->driver.cuCtxSetCurrent(rig->context));
}

void rig_is(const struct rig *rig, const char *what, int result, int wanted)
{
    child_need(rig->page, result == wanted, "%s: %d, not %d", what, result, wanted);
}

void rig_ok(const struct rig *rig, const char *what, int result)
{
    rig_is(rig, what, result, DRIVER_SUCCESS);
}

void rig_violated(const struct rig *rig, uint64_t times)
{
    child_need(rig->page, rig->violations() == times, "%llu violations, not %llu: %s",
        (unsigned long long)rig->violations(), (unsigned long long)times, rig->first_violation());
}

struct driver_allocation rig_wish(int handle_types)
{
    return (struct driver_allocation){.type = DRIVER_PINNED,
        .handle_types = handle_types,
        .location = {.type = DRIVER_LOCATION_DEVICE}};
}

struct driver_access rig_access(int flags)
{
    return (struct driver_access){.location = {.type = DRIVER_LOCATION_DEVICE}, .flags = flags};
}

static void map(const struct rig *rig, struct rig_slab *slab, int flags)
{
    const struct driver *driver = &rig->driver;
    struct driver_access access = rig_access(flags);
    rig_ok(rig, "reserve", driver->cuMemAddressReserve(&slab->address, slab->bytes, 0, 0, 0));
    rig_ok(rig, "map", driver->cuMemMap(slab->address, slab->bytes, 0, slab->handle, 0));
    if (flags != 0) {
        rig_ok(rig, "access", driver->cuMemSetAccess(slab->address, slab->bytes, &access, 1));
    }
}

struct rig_slab rig_make(const struct rig *rig, uint64_t bytes, int flags)
{
    struct rig_slab slab = {.bytes = bytes};
    struct driver_allocation wish = rig_wish(DRIVER_HANDLE_POSIX_FD);
    rig_ok(rig, "create", rig->driver.cuMemCreate(&slab.handle, bytes, &wish, 0));
    map(rig, &slab, flags);
    return slab;
}

struct rig_slab rig_import(const struct rig *rig, int fd, uint64_t bytes, int flags)
{
    struct rig_slab slab = {.bytes = bytes};
    int result = rig->driver.cuMemImportFromShareableHandle(
        &slab.handle, (void *)(intptr_t)fd, DRIVER_HANDLE_POSIX_FD);
    rig_ok(rig, "import", result);
    map(rig, &slab, flags);
    return slab;
}

void rig_drop(const struct rig *rig, const struct rig_slab *slab)
{
    rig_ok(rig, "unmap", rig->driver.cuMemUnmap(slab->address, slab->bytes));
    rig_ok(rig, "free", rig->driver.cuMemAddressFree(slab->address, slab->bytes));
    rig_ok(rig, "release", rig->driver.cuMemRelease(slab->handle));
}

int rig_export(const struct rig *rig, const struct rig_slab *slab)
{
    int fd = -1;
    int result =
        rig->driver.cuMemExportToShareableHandle(&fd, slab->handle, DRIVER_HANDLE_POSIX_FD, 0);
    rig_ok(rig, "export", result);
    return fd;
}

struct driver_stream *rig_stream(const struct rig *rig)
{
    struct driver_stream *stream = NULL;
    int result = rig->driver.cuStreamCreateWithPriority(&stream, DRIVER_STREAM_NON_BLOCKING, 0);
    rig_ok(rig, "stream", result);
    return stream;
}

uint64_t rig_free_bytes(const struct rig *rig)
{
    size_t free_bytes = 0;
    size_t total_bytes = 0;
    rig_ok(rig, "info", rig->driver.cuMemGetInfo(&free_bytes, &total_bytes));
    return free_bytes;
}

void rig_send(const struct rig *rig, int socket, int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control_data = {.room = {0}};
    char byte = 1;
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = control_data.room,
        .msg_controllen = sizeof control_data.room};
    control_data.header.cmsg_level = SOL_SOCKET;
    control_data.header.cmsg_type = SCM_RIGHTS;
    control_data.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control_data.header), &fd, sizeof fd);
    child_need(rig->page, sendmsg(socket, &message, 0) == 1, "send");
}

int rig_take(const struct rig *rig, int socket)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control_data = {.room = {0}};
    char byte;
    int fd = -1;
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = control_data.room,
        .msg_controllen = sizeof control_data.room};
    child_need(rig->page, recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1, "take");
    child_need(rig->page, message.msg_controllen >= CMSG_LEN(sizeof fd), "no descriptor");
    memcpy(&fd, CMSG_DATA(&control_data.header), sizeof fd);
    return fd;
}

void rig_desk_open(struct rig_desk *desk, struct child_page *page, const char *switches)
{
    rig_open(&desk->rig, page, switches);
    desk->driver = &desk->rig.driver;
    desk->slab = rig_make(&desk->rig, RIG_GRANULE, DRIVER_ACCESS_READ_WRITE);
    desk->one = rig_stream(&desk->rig);
    desk->two = rig_stream(&desk->rig);
    rig_ok(&desk->rig, "event", desk->driver->cuEventCreate(&desk->event, 2));
}

void rig_desk_fill(const struct rig_desk *desk, struct driver_stream *stream, unsigned char value)
{
    rig_ok(&desk->rig, "fill",
        desk->driver->cuMemsetD8Async(desk->slab.address, value, RIG_DESK_BYTES, stream));
}

void rig_desk_finish(const struct rig_desk *desk)
{
    rig_ok(&desk->rig, "one", desk->driver->cuStreamSynchronize(desk->one));
    rig_ok(&desk->rig, "two", desk->driver->cuStreamSynchronize(desk->two));
}

void rig_desk_raise(void *flag)
{
    atomic_int *raised = flag;
    atomic_store(raised, 1);
}

void rig_desk_await(const struct rig_desk *desk, atomic_int *flag)
{
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    while (atomic_load(flag) == 0 && child_now_ns() < deadline) {
        child_nap();
    }
    child_need(desk->rig.page, atomic_load(flag) == 1, "never called");
}
