/* arena: see arena.h. */
#include "sidecar/block/arena.h"

#include "shm/status.h"

#include <assert.h>
#include <stddef.h>
#include <sys/mman.h>

/* Room to begin on a huge page; the kernel backs only what is touched. */
#define HUGE_BYTES (UINT64_C(2) << 20)

int arena_open(uint64_t bytes, struct arena *out_arena)
{
    assert(bytes > 0);
    uint64_t rounded = (bytes + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES;
    void *base = mmap(NULL, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        return STATUS_NO_MEMORY;
    }
    /* Both are wishes: without them the first touch of each page comes later, and costs more. */
    (void)madvise(base, rounded, MADV_HUGEPAGE);
    (void)madvise(base, bytes, MADV_POPULATE_WRITE);
    *out_arena = (struct arena){.base = base, .bytes = rounded};
    return STATUS_OK;
}

void *arena_take(struct arena *arena, uint64_t count, uint64_t item_bytes)
{
    uint64_t bytes = arena_bytes(count, item_bytes);
    assert(arena->base != NULL && bytes <= arena->bytes - arena->used);
    void *taken = arena->base + arena->used;
    arena->used += bytes;
    return taken;
}

void arena_close(struct arena *arena)
{
    if (arena == NULL || arena->base == NULL) {
        return;
    }
    (void)munmap(arena->base, arena->bytes);
    *arena = (struct arena){0};
}
