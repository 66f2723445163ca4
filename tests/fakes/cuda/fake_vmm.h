/* fake_vmm: memory of cuMemCreate and its handles; mapped by fake_map.c. */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_VMM_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_VMM_H

#include "tests/fakes/cuda/fake_ledger.h"

/* One handle, made or imported. It goes when it is released and nowhere mapped. */
struct fake_memory {
    uint64_t handle; /* a number, so that a stale one is known */
    struct fake_file file;
    int fd; /* below 0: released */
    unsigned maps;
    struct fake_memory *next;
};

/* All under the lock. NULL: there is no such handle. */
struct fake_memory *fake_vmm_find(uint64_t handle);

void fake_vmm_take(struct fake_memory *memory);
void fake_vmm_drop(struct fake_memory *memory);

#endif
