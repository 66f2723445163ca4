/* fake_region: what an address means. Device addresses are addresses of mappings in this process.
 *
 *   reservation   ├───────────────────────────────────┤        cuMemAddressReserve: PROT_NONE
 *   regions           ├─ a ─┤├──── b ────┤                      VMM, cuMemAlloc, cuIpc
 *   pieces               ├──┤├──────┤                           what an operation touches
 */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_REGION_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_REGION_H

#include "tests/fakes/cuda/fake_settings.h"

struct fake_memory;

/* Owned by who added it (fake_map.c, fake_legacy.c) until it is removed. */
struct fake_region {
    uint64_t address;
    uint64_t bytes;
    uint64_t space; /* the memory's number, the same in all its mappings */
    struct fake_memory *memory; /* of VMM; NULL: legacy */
    unsigned char access[FAKE_DEVICES]; /* DRIVER_ACCESS_… of each device */
    struct fake_region *next;
};

/* A range within one region, or of host memory. */
struct fake_piece {
    uint64_t bytes;
    uint64_t space; /* 0: host memory */
    uint64_t offset; /* in the memory; of host memory the address */
    const struct fake_region *region; /* NULL: host memory */
    bool is_hole; /* reserved, and nothing is mapped */
};

/* All under the lock. */
void fake_region_add(struct fake_region *region);
void fake_region_remove(struct fake_region *region);
struct fake_region *fake_region_find(uint64_t address);

/* The first region that lies in part in the range, or NULL. */
struct fake_region *fake_region_overlap(uint64_t address, uint64_t bytes);

/* Whether whole regions fill the range without a gap. */
bool fake_region_tiles(uint64_t address, uint64_t bytes);

/* Reservations: made, looked for, ended. The range must lie in one; to end it, be one. */
bool fake_region_reserve(uint64_t bytes, uint64_t alignment, uint64_t *out_address);
bool fake_region_reserved(uint64_t address, uint64_t bytes);
bool fake_region_unreserve(uint64_t address, uint64_t bytes);

/* The first piece of a range. */
struct fake_piece fake_region_piece(uint64_t address, uint64_t bytes);

static inline void *fake_region_pointer(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

#endif
