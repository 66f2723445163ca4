/* fake_map: addresses for memory of VMM: reserve, map, give access, unmap. No context is needed. */
#include "tests/fakes/cuda/fake_device.h"
#include "tests/fakes/cuda/fake_region.h"
#include "tests/fakes/cuda/fake_track.h"
#include "tests/fakes/cuda/fake_vmm.h"

#include <stdlib.h>
#include <sys/mman.h>

static bool is_granular(uint64_t number)
{
    return number % FAKE_GRANULE == 0;
}

int fake_cuMemAddressReserve(
    uint64_t *address, size_t bytes, size_t alignment, uint64_t wish, uint64_t flags)
{
    int result = fake_entry_enter(FAKE_cuMemAddressReserve, FAKE_INIT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (address == NULL || bytes == 0 || !is_granular(bytes) || flags != 0 || !is_granular(wish) ||
        (alignment & (alignment - 1)) != 0) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    /* A wish for an address may be ignored, and is. */
    uint64_t least = alignment > FAKE_GRANULE ? alignment : FAKE_GRANULE;
    bool reserved = fake_region_reserve(bytes, least, address);
    return fake_entry_leave(reserved ? DRIVER_SUCCESS : DRIVER_OUT_OF_MEMORY);
}

int fake_cuMemAddressFree(uint64_t address, size_t bytes)
{
    int result = fake_entry_enter(FAKE_cuMemAddressFree, FAKE_INIT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    bool freed = fake_region_unreserve(address, bytes);
    return fake_entry_leave(freed ? DRIVER_SUCCESS : DRIVER_INVALID_VALUE);
}

static int map(uint64_t address, uint64_t bytes, struct fake_memory *memory)
{
    if (memory == NULL || bytes != memory->file.bytes || !is_granular(address) ||
        !fake_region_reserved(address, bytes)) {
        return DRIVER_INVALID_VALUE;
    }
    if (fake_region_overlap(address, bytes) != NULL) {
        return DRIVER_ALREADY_MAPPED;
    }
    struct fake_region *region = calloc(1, sizeof *region);
    if (region == NULL) {
        return DRIVER_OUT_OF_MEMORY;
    }
    void *at = fake_region_pointer(address);
    if (mmap(at, bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, memory->fd, 0) != at) {
        free(region);
        return DRIVER_MAP_FAILED;
    }
    (void)madvise(at, bytes, MADV_DONTFORK); /* a child has no device memory */
    region->address = address;
    region->bytes = bytes;
    region->space = memory->file.space;
    region->memory = memory;
    fake_vmm_take(memory);
    fake_region_add(region);
    return DRIVER_SUCCESS;
}

int fake_cuMemMap(uint64_t address, size_t bytes, size_t offset, uint64_t handle, uint64_t flags)
{
    int result = fake_entry_enter(FAKE_cuMemMap, FAKE_INIT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (offset != 0 || flags != 0) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    return fake_entry_leave(map(address, bytes, fake_vmm_find(handle)));
}

/* Whole mappings of VMM memory, and nothing else. */
static bool is_mapped(uint64_t address, uint64_t bytes)
{
    return fake_region_reserved(address, bytes) && fake_region_tiles(address, bytes);
}

static void unmap(struct fake_region *region)
{
    (void)mmap(fake_region_pointer(region->address), region->bytes, PROT_NONE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    fake_region_remove(region);
    fake_vmm_drop(region->memory);
    free(region);
}

int fake_cuMemUnmap(uint64_t address, size_t bytes)
{
    int result = fake_entry_enter(FAKE_cuMemUnmap, FAKE_INIT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (!is_mapped(address, bytes)) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    fake_track_end("cuMemUnmap", address, bytes);
    for (struct fake_region *region = fake_region_overlap(address, bytes); region != NULL;
         region = fake_region_overlap(address, bytes)) {
        unmap(region);
    }
    return fake_entry_leave(DRIVER_SUCCESS);
}

static int check_access(const struct driver_access *access, size_t count)
{
    if (access == NULL || count == 0) {
        return DRIVER_INVALID_VALUE;
    }
    for (size_t i = 0; i < count; i++) {
        int flags = access[i].flags;
        if (access[i].location.type != DRIVER_LOCATION_DEVICE ||
            (flags != 0 && flags != DRIVER_ACCESS_READ && flags != DRIVER_ACCESS_READ_WRITE)) {
            return DRIVER_INVALID_VALUE;
        }
        if (!fake_device_exists(access[i].location.id)) {
            return DRIVER_INVALID_DEVICE;
        }
    }
    return DRIVER_SUCCESS;
}

/* The host's rights follow: a store that no device may do is a SIGSEGV. */
static bool protect(const struct fake_region *region)
{
    int all = 0;
    for (size_t i = 0; i < FAKE_DEVICES; i++) {
        all |= region->access[i];
    }
    int rights = all == DRIVER_ACCESS_READ_WRITE ? PROT_READ | PROT_WRITE
                 : all == DRIVER_ACCESS_READ     ? PROT_READ
                                                 : PROT_NONE;
    return mprotect(fake_region_pointer(region->address), region->bytes, rights) == 0;
}

int fake_cuMemSetAccess(
    uint64_t address, size_t bytes, const struct driver_access *access, size_t count)
{
    int result = fake_entry_enter(FAKE_cuMemSetAccess, FAKE_INIT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    result = check_access(access, count);
    if (result == DRIVER_SUCCESS && !is_mapped(address, bytes)) {
        result = DRIVER_INVALID_VALUE;
    }
    for (uint64_t at = address; result == DRIVER_SUCCESS && at < address + bytes;) {
        struct fake_region *region = fake_region_find(at);
        for (size_t i = 0; i < count; i++) {
            region->access[access[i].location.id] = (unsigned char)access[i].flags;
        }
        result = protect(region) ? DRIVER_SUCCESS : FAKE_UNKNOWN_ERROR;
        at += region->bytes;
    }
    return fake_entry_leave(result);
}
