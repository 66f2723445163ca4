/* arena: one piece of private memory, taken at open and cut into arrays.
 *
 * Called by blocks_open() and the opens that it calls. Always zero-filled and present, on huge
 * pages where the host gives them to private memory; so nothing in block/ can fail for memory later
 * on.
 */
#ifndef CISTERN_SIDECAR_BLOCK_ARENA_H
#define CISTERN_SIDECAR_BLOCK_ARENA_H

#include <stdint.h>

#define ARENA_ALIGN 64u

struct arena {
    unsigned char *base; /* NULL: closed */
    uint64_t bytes;
    uint64_t used;
};

/* Bytes that an array of `count` takes from an arena. */
static inline uint64_t arena_bytes(uint64_t count, uint64_t item_bytes)
{
    return (count * item_bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

/* Returns 0 or STATUS_NO_MEMORY. */
int arena_open(uint64_t bytes, struct arena *out_arena);

/* Cut an array off; the sum of all is what arena_open() was told. Never NULL. */
void *arena_take(struct arena *arena, uint64_t count, uint64_t item_bytes);

/* Accepts NULL and a closed arena. */
void arena_close(struct arena *arena);

#endif
