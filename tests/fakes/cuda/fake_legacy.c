/* fake_legacy: see fake_legacy.h. */
#include "tests/fakes/cuda/fake_legacy.h"

#include "tests/fakes/cuda/fake_context.h"
#include "tests/fakes/cuda/fake_device.h"
#include "tests/fakes/cuda/fake_ledger.h"
#include "tests/fakes/cuda/fake_region.h"
#include "tests/fakes/cuda/fake_track.h"
#include "tests/fakes/cuda/fake_violation.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE UINT64_C(4096)

/* One allocation of ours, or one of another process that is open here. */
struct legacy {
    struct fake_region region;
    struct fake_file file;
    struct driver_context *context;
    unsigned opens; /* 0: ours */
    struct legacy *next;
};

static struct legacy *legacies;

/* Map a file; its descriptor is closed in any case, the mapping keeps the lock. */
static int add(
    const struct fake_file *file, int fd, struct driver_context *context, struct legacy **out_added)
{
    struct legacy *added = calloc(1, sizeof *added);
    void *memory = added == NULL
                       ? MAP_FAILED
                       : mmap(NULL, file->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (memory == MAP_FAILED) {
        free(added);
        return DRIVER_OUT_OF_MEMORY;
    }
    (void)madvise(memory, file->bytes, MADV_DONTFORK);
    added->file = *file;
    added->context = context;
    added->region.address = (uint64_t)(uintptr_t)memory;
    added->region.bytes = file->bytes;
    added->region.space = file->space;
    /* Peer access is beyond this double: every device of the process may. */
    memset(added->region.access, DRIVER_ACCESS_READ_WRITE, sizeof added->region.access);
    fake_region_add(&added->region);
    added->next = legacies;
    legacies = added;
    *out_added = added;
    return DRIVER_SUCCESS;
}

static void end(struct legacy *legacy, const char *what)
{
    fake_track_end(what, legacy->region.address, legacy->region.bytes);
    struct legacy **link = &legacies;
    while (*link != legacy) {
        link = &(*link)->next;
    }
    *link = legacy->next;
    fake_region_remove(&legacy->region);
    (void)munmap(fake_region_pointer(legacy->region.address), legacy->region.bytes);
    if (legacy->opens == 0 && fake_ledger_is_held(legacy->file.name)) {
        fake_violation(
            "%s of memory that another process has open: undefined on a real driver", what);
    }
    free(legacy);
}

void fake_legacy_end(struct driver_context *context)
{
    for (struct legacy *legacy = legacies, *next; legacy != NULL; legacy = next) {
        next = legacy->next;
        if (legacy->context == context) {
            end(legacy, "the end of the context");
        }
    }
}

/* The one whose memory an address lies in, or NULL. */
static struct legacy *find(uint64_t address)
{
    for (struct legacy *legacy = legacies; legacy != NULL; legacy = legacy->next) {
        if (address - legacy->region.address < legacy->region.bytes) {
            return legacy;
        }
    }
    return NULL;
}

static int allocate(uint64_t *out_address, uint64_t bytes)
{
    struct driver_context *context = fake_context_current();
    struct fake_file file = {.kind = FAKE_LEDGER_LEGACY,
        .uuid = *fake_device_uuid(context->device),
        .bytes = (bytes + PAGE - 1) & ~(PAGE - 1)};
    if (out_address == NULL || bytes == 0) {
        return DRIVER_INVALID_VALUE;
    }
    int fd;
    int result = fake_ledger_create(&file, fake_settings_read()->memory, &fd);
    struct legacy *added;
    if (result == DRIVER_SUCCESS) {
        result = add(&file, fd, context, &added);
    }
    if (result == DRIVER_SUCCESS) {
        *out_address = added->region.address;
    }
    return result;
}

int fake_cuMemAlloc(uint64_t *address, size_t bytes)
{
    int result = fake_entry_enter(FAKE_cuMemAlloc, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    return fake_entry_leave(allocate(address, bytes));
}

int fake_cuMemFree(uint64_t address)
{
    int result = fake_entry_enter(FAKE_cuMemFree, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    struct legacy *legacy = find(address);
    if (legacy == NULL || legacy->opens > 0 || legacy->region.address != address) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    end(legacy, "cuMemFree");
    return fake_entry_leave(DRIVER_SUCCESS);
}

int fake_cuIpcGetMemHandle(struct driver_ipc_handle *handle, uint64_t address)
{
    int result = fake_entry_enter(FAKE_cuIpcGetMemHandle, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (fake_device_attribute(DRIVER_HAS_IPC) == 0) {
        return fake_entry_leave(DRIVER_NOT_SUPPORTED);
    }
    const struct legacy *legacy = find(address); /* memory of VMM is none */
    if (handle == NULL || legacy == NULL || legacy->opens > 0) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    memcpy(handle->byte, legacy->file.name, sizeof handle->byte);
    return fake_entry_leave(DRIVER_SUCCESS);
}

static struct legacy *find_opened(const char *name, const struct driver_context *context)
{
    for (struct legacy *legacy = legacies; legacy != NULL; legacy = legacy->next) {
        if (legacy->opens > 0 && legacy->context == context &&
            strcmp(legacy->file.name, name) == 0) {
            return legacy;
        }
    }
    return NULL;
}

static int open_handle(uint64_t *out_address, const struct driver_ipc_handle *handle)
{
    char name[FAKE_LEDGER_NAME + 1] = {0};
    struct fake_file file;
    memcpy(name, handle->byte, FAKE_LEDGER_NAME);
    if (!fake_ledger_read_name(name, &file) || file.kind != FAKE_LEDGER_LEGACY) {
        return DRIVER_INVALID_VALUE;
    }
    if (file.pid == getpid()) { /* the value, also of another PID namespace */
        return DRIVER_INVALID_CONTEXT;
    }
    if (fake_device_find(&file.uuid) < 0) {
        return DRIVER_INVALID_VALUE;
    }
    struct legacy *legacy = find_opened(name, fake_context_current());
    if (legacy == NULL) {
        int fd;
        int result = fake_ledger_join(name, &file, &fd);
        if (result == DRIVER_SUCCESS) {
            result = add(&file, fd, fake_context_current(), &legacy);
        }
        if (result != DRIVER_SUCCESS) {
            return result;
        }
    }
    legacy->opens++;
    *out_address = legacy->region.address;
    return DRIVER_SUCCESS;
}

int fake_cuIpcOpenMemHandle(uint64_t *address, struct driver_ipc_handle handle, unsigned flags)
{
    int result = fake_entry_enter(FAKE_cuIpcOpenMemHandle, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (address == NULL || flags != DRIVER_IPC_LAZY_PEER) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    return fake_entry_leave(open_handle(address, &handle));
}

int fake_cuIpcCloseMemHandle(uint64_t address)
{
    int result = fake_entry_enter(FAKE_cuIpcCloseMemHandle, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    struct legacy *legacy = find(address);
    if (legacy == NULL || legacy->opens == 0 || legacy->region.address != address) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    if (legacy->opens == 1) {
        end(legacy, "cuIpcCloseMemHandle");
    } else {
        legacy->opens--;
    }
    return fake_entry_leave(DRIVER_SUCCESS);
}
