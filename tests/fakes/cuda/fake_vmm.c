/* fake_vmm: see fake_vmm.h. None of these calls needs a current context. */
#include "tests/fakes/cuda/fake_vmm.h"

#include "tests/fakes/cuda/fake_device.h"
#include "tests/fakes/cuda/fake_settings.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct fake_memory *memories;
static uint64_t last_handle = UINT64_C(0xd0b1e0000000);

struct fake_memory *fake_vmm_find(uint64_t handle)
{
    for (struct fake_memory *memory = memories; memory != NULL; memory = memory->next) {
        if (memory->handle == handle && memory->fd >= 0) {
            return memory;
        }
    }
    return NULL;
}

void fake_vmm_take(struct fake_memory *memory)
{
    memory->maps++;
}

static void end_unused(struct fake_memory *memory)
{
    if (memory->maps > 0 || memory->fd >= 0) {
        return;
    }
    struct fake_memory **link = &memories;
    while (*link != memory) {
        link = &(*link)->next;
    }
    *link = memory->next;
    free(memory);
}

void fake_vmm_drop(struct fake_memory *memory)
{
    memory->maps--;
    end_unused(memory);
}

static int check_wish(const struct driver_allocation *wish)
{
    if (wish == NULL || wish->type != DRIVER_PINNED || wish->windows != NULL ||
        wish->compression != 0 || wish->usage != 0 || wish->rdma > 1 ||
        wish->location.type != DRIVER_LOCATION_DEVICE ||
        (wish->handle_types & ~(DRIVER_HANDLE_POSIX_FD | DRIVER_HANDLE_FABRIC)) != 0) {
        return DRIVER_INVALID_VALUE;
    }
    if (!fake_device_exists(wish->location.id)) {
        return DRIVER_INVALID_DEVICE;
    }
    bool wants_fd = (wish->handle_types & DRIVER_HANDLE_POSIX_FD) != 0;
    bool wants_fabric = (wish->handle_types & DRIVER_HANDLE_FABRIC) != 0;
    if (fake_device_attribute(DRIVER_HAS_VMM) == 0 ||
        (wants_fd && fake_device_attribute(DRIVER_HAS_POSIX_FD) == 0) ||
        (wants_fabric && fake_device_attribute(DRIVER_HAS_FABRIC) == 0) ||
        (wish->rdma != 0 && fake_device_attribute(DRIVER_HAS_RDMA_VMM) == 0)) {
        return DRIVER_NOT_SUPPORTED;
    }
    return DRIVER_SUCCESS;
}

int fake_cuMemGetAllocationGranularity(
    size_t *bytes, const struct driver_allocation *wish, int option)
{
    int result = fake_entry_enter(FAKE_cuMemGetAllocationGranularity, FAKE_INIT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    result = check_wish(wish);
    if (result == DRIVER_SUCCESS && (bytes == NULL || option < 0 || option > 1)) {
        result = DRIVER_INVALID_VALUE;
    }
    if (result == DRIVER_SUCCESS) {
        *bytes = FAKE_GRANULE;
    }
    return fake_entry_leave(result);
}

/* A handle of its own for a file. Takes the descriptor, also on failure. */
static int add(const struct fake_file *file, int fd, uint64_t *out_handle)
{
    struct fake_memory *memory = calloc(1, sizeof *memory);
    if (memory == NULL) {
        (void)close(fd);
        return DRIVER_OUT_OF_MEMORY;
    }
    last_handle += 0x100;
    *memory =
        (struct fake_memory){.handle = last_handle, .file = *file, .fd = fd, .next = memories};
    memories = memory;
    *out_handle = memory->handle;
    return DRIVER_SUCCESS;
}

static int create(uint64_t *out_handle, size_t bytes, const struct driver_allocation *wish)
{
    int result = check_wish(wish);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (out_handle == NULL || bytes == 0 || bytes % FAKE_GRANULE != 0) {
        return DRIVER_INVALID_VALUE;
    }
    struct fake_file file = {.kind = FAKE_LEDGER_VMM,
        .handle_types = wish->handle_types,
        .uuid = *fake_device_uuid(wish->location.id),
        .bytes = bytes};
    int fd;
    result = fake_ledger_create(&file, fake_settings_read()->memory, &fd);
    return result == DRIVER_SUCCESS ? add(&file, fd, out_handle) : result;
}

int fake_cuMemCreate(
    uint64_t *handle, size_t bytes, const struct driver_allocation *wish, uint64_t flags)
{
    int result = fake_entry_enter(FAKE_cuMemCreate, FAKE_INIT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    return fake_entry_leave(flags != 0 ? DRIVER_INVALID_VALUE : create(handle, bytes, wish));
}

int fake_cuMemRelease(uint64_t handle)
{
    int result = fake_entry_enter(FAKE_cuMemRelease, FAKE_INIT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    struct fake_memory *memory = fake_vmm_find(handle);
    if (memory == NULL) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    (void)close(memory->fd); /* its mappings, and other descriptors, keep the memory */
    memory->fd = -1;
    end_unused(memory);
    return fake_entry_leave(DRIVER_SUCCESS);
}

static int export_to(void *shareable, const struct fake_memory *memory, int type)
{
    if (shareable == NULL || memory == NULL || (memory->file.handle_types & type) == 0) {
        return DRIVER_INVALID_VALUE; /* what may be exported is fixed when it is made */
    }
    if (type == DRIVER_HANDLE_FABRIC) {
        memcpy(shareable, memory->file.name, FAKE_LEDGER_NAME);
        return DRIVER_SUCCESS;
    }
    int fd = fcntl(memory->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        return FAKE_UNKNOWN_ERROR;
    }
    *(int *)shareable = fd;
    return DRIVER_SUCCESS;
}

int fake_cuMemExportToShareableHandle(void *shareable, uint64_t handle, int type, uint64_t flags)
{
    int result = fake_entry_enter(FAKE_cuMemExportToShareableHandle, FAKE_INIT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (flags != 0 || (type != DRIVER_HANDLE_POSIX_FD && type != DRIVER_HANDLE_FABRIC)) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    return fake_entry_leave(export_to(shareable, fake_vmm_find(handle), type));
}

static int import_from(uint64_t *out_handle, void *shareable, int type)
{
    struct fake_file file;
    int fd = -1;
    int result = DRIVER_INVALID_VALUE;
    if (type == DRIVER_HANDLE_POSIX_FD) {
        int theirs = (int)(intptr_t)shareable; /* by value, cast, as the API has it */
        result = fake_ledger_identify(theirs, &file);
        fd = result == DRIVER_SUCCESS ? fcntl(theirs, F_DUPFD_CLOEXEC, 0) : -1;
    } else if (type == DRIVER_HANDLE_FABRIC && fake_device_attribute(DRIVER_HAS_FABRIC) == 0) {
        result = DRIVER_NOT_SUPPORTED;
    } else if (type == DRIVER_HANDLE_FABRIC && shareable != NULL) {
        result = fake_ledger_join(shareable, &file, &fd);
    }
    if (result != DRIVER_SUCCESS || fd < 0) {
        return result != DRIVER_SUCCESS ? result : FAKE_UNKNOWN_ERROR;
    }
    if (file.kind != FAKE_LEDGER_VMM || (file.handle_types & type) == 0) {
        (void)close(fd);
        return DRIVER_INVALID_VALUE;
    }
    if (fake_device_find(&file.uuid) < 0) {
        (void)close(fd);
        return DRIVER_INVALID_DEVICE;
    }
    return add(&file, fd, out_handle);
}

int fake_cuMemImportFromShareableHandle(uint64_t *handle, void *shareable, int type)
{
    int result = fake_entry_enter(FAKE_cuMemImportFromShareableHandle, FAKE_INIT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    return fake_entry_leave(
        handle == NULL ? DRIVER_INVALID_VALUE : import_from(handle, shareable, type));
}
