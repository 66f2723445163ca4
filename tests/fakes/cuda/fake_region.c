/* fake_region: see fake_region.h. */
#include "tests/fakes/cuda/fake_region.h"

#include <stdlib.h>
#include <sys/mman.h>

struct reservation {
    uint64_t address;
    uint64_t bytes;
    struct reservation *next;
};

static struct fake_region *regions;
static struct reservation *reservations;

void fake_region_add(struct fake_region *region)
{
    region->next = regions;
    regions = region;
}

void fake_region_remove(struct fake_region *region)
{
    for (struct fake_region **link = &regions; *link != NULL; link = &(*link)->next) {
        if (*link == region) {
            *link = region->next;
            return;
        }
    }
}

struct fake_region *fake_region_overlap(uint64_t address, uint64_t bytes)
{
    for (struct fake_region *region = regions; region != NULL; region = region->next) {
        if (region->address < address + bytes && address < region->address + region->bytes) {
            return region;
        }
    }
    return NULL;
}

struct fake_region *fake_region_find(uint64_t address)
{
    return fake_region_overlap(address, 1);
}

bool fake_region_tiles(uint64_t address, uint64_t bytes)
{
    uint64_t end = address + bytes;
    while (address < end) {
        const struct fake_region *region = fake_region_find(address);
        if (region == NULL || region->address != address || region->bytes > end - address) {
            return false;
        }
        address += region->bytes;
    }
    return bytes > 0;
}

bool fake_region_reserve(uint64_t bytes, uint64_t alignment, uint64_t *out_address)
{
    struct reservation *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return false;
    }
    uint64_t wide = bytes + alignment;
    void *memory = wide < bytes ? MAP_FAILED
                                : mmap(NULL, wide, PROT_NONE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        free(made);
        return false;
    }
    uint64_t start = (uint64_t)(uintptr_t)memory;
    uint64_t address = (start + alignment - 1) & ~(alignment - 1);
    if (address > start) {
        (void)munmap(memory, address - start);
    }
    uint64_t behind = start + wide - (address + bytes);
    if (behind > 0) {
        (void)munmap(fake_region_pointer(address + bytes), behind);
    }
    *made = (struct reservation){.address = address, .bytes = bytes, .next = reservations};
    reservations = made;
    *out_address = address;
    return true;
}

static struct reservation *around(uint64_t address, uint64_t bytes)
{
    for (struct reservation *found = reservations; found != NULL; found = found->next) {
        if (address >= found->address && address - found->address < found->bytes &&
            bytes <= found->bytes - (address - found->address)) {
            return found;
        }
    }
    return NULL;
}

bool fake_region_reserved(uint64_t address, uint64_t bytes)
{
    return around(address, bytes) != NULL;
}

bool fake_region_unreserve(uint64_t address, uint64_t bytes)
{
    struct reservation *found = around(address, bytes);
    if (found == NULL || found->address != address || found->bytes != bytes ||
        fake_region_overlap(address, bytes) != NULL) {
        return false;
    }
    struct reservation **link = &reservations;
    while (*link != found) {
        link = &(*link)->next;
    }
    *link = found->next;
    (void)munmap(fake_region_pointer(address), bytes);
    free(found);
    return true;
}

/* Where the next region or reservation behind an address begins. */
static uint64_t next_start(uint64_t address)
{
    uint64_t next = UINT64_MAX;
    for (const struct fake_region *region = regions; region != NULL; region = region->next) {
        if (region->address > address && region->address < next) {
            next = region->address;
        }
    }
    for (const struct reservation *other = reservations; other != NULL; other = other->next) {
        if (other->address > address && other->address < next) {
            next = other->address;
        }
    }
    return next;
}

struct fake_piece fake_region_piece(uint64_t address, uint64_t bytes)
{
    struct fake_piece piece = {.bytes = bytes, .offset = address};
    const struct fake_region *region = fake_region_find(address);
    uint64_t most = next_start(address) - address;
    if (region != NULL) {
        piece.region = region;
        piece.space = region->space;
        piece.offset = address - region->address;
        most = region->bytes - piece.offset;
    } else {
        piece.is_hole = fake_region_reserved(address, 1);
    }
    piece.bytes = bytes < most ? bytes : most;
    return piece;
}
