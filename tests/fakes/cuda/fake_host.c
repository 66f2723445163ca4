/* fake_host: see fake_host.h. */
#include "tests/fakes/cuda/fake_host.h"

#include "tests/fakes/cuda/fake_region.h"
#include "tests/fakes/cuda/fake_track.h"

#include <stdlib.h>
#include <sys/mman.h>

#define PAGE UINT64_C(4096)

struct registration {
    uint64_t address;
    uint64_t bytes; /* whole pages */
    unsigned flags;
    struct registration *next;
};

static struct registration *registrations;

static struct registration *overlap(uint64_t address, uint64_t bytes)
{
    for (struct registration *found = registrations; found != NULL; found = found->next) {
        if (found->address < address + bytes && address < found->address + found->bytes) {
            return found;
        }
    }
    return NULL;
}

bool fake_host_is_mapped(uint64_t address, uint64_t bytes)
{
    const struct registration *found = overlap(address, 1);
    return found != NULL && (found->flags & DRIVER_REGISTER_DEVICE_MAP) != 0 &&
           bytes <= found->address + found->bytes - address;
}

/* Whether there is memory at all the pages of a range. */
static bool is_present(uint64_t address, uint64_t bytes)
{
    unsigned char *pages = malloc(bytes / PAGE);
    bool present = pages != NULL && mincore(fake_region_pointer(address), bytes, pages) == 0;
    free(pages);
    return present;
}

static int add(uint64_t address, uint64_t bytes, unsigned flags)
{
    if (fake_settings_read()->no_host_register != 0) {
        return DRIVER_NOT_SUPPORTED; /* as in confidential computing */
    }
    uint64_t whole = (bytes + PAGE - 1) & ~(PAGE - 1);
    if (address == 0 || address % PAGE != 0 || bytes == 0 || whole < bytes ||
        (flags & ~(DRIVER_REGISTER_PORTABLE | DRIVER_REGISTER_DEVICE_MAP)) != 0 ||
        fake_region_overlap(address, whole) != NULL || !is_present(address, whole)) {
        return DRIVER_INVALID_VALUE;
    }
    if (overlap(address, whole) != NULL) {
        return DRIVER_ALREADY_REGISTERED;
    }
    struct registration *added = calloc(1, sizeof *added);
    if (added == NULL) {
        return DRIVER_OUT_OF_MEMORY;
    }
    *added = (struct registration){
        .address = address, .bytes = whole, .flags = flags, .next = registrations};
    registrations = added;
    return DRIVER_SUCCESS;
}

int fake_cuMemHostRegister(void *memory, size_t bytes, unsigned flags)
{
    int result = fake_entry_enter(FAKE_cuMemHostRegister, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    return fake_entry_leave(add((uint64_t)(uintptr_t)memory, bytes, flags));
}

int fake_cuMemHostUnregister(void *memory)
{
    int result = fake_entry_enter(FAKE_cuMemHostUnregister, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    struct registration *found = overlap((uint64_t)(uintptr_t)memory, 1);
    if (found == NULL || found->address != (uint64_t)(uintptr_t)memory) {
        return fake_entry_leave(DRIVER_NOT_REGISTERED);
    }
    fake_track_end("cuMemHostUnregister", found->address, found->bytes);
    struct registration **link = &registrations;
    while (*link != found) {
        link = &(*link)->next;
    }
    *link = found->next;
    free(found);
    return fake_entry_leave(DRIVER_SUCCESS);
}

int fake_cuMemHostGetDevicePointer(uint64_t *address, void *memory, unsigned flags)
{
    int result = fake_entry_enter(FAKE_cuMemHostGetDevicePointer, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (address == NULL || flags != 0 || !fake_host_is_mapped((uint64_t)(uintptr_t)memory, 1)) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    *address = (uint64_t)(uintptr_t)memory;
    return fake_entry_leave(DRIVER_SUCCESS);
}
