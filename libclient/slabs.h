/* slabs: the sidecar's memory of the handle's device, as this process maps it; shared by the
 * attachments that have the same.
 *
 * As libclient/mapping is of host memory: a sidecar that took its predecessor's memory over brings
 * the same slabs, so they are mapped once, and views of before and after it lie at the same
 * addresses. Made by libclient/attach_device from checked numbers. Always: who lets the last user
 * go may hold locks, or be a thread of the driver, so nothing is unmapped there; it is put aside,
 * and card_sweep() unmaps it.
 */
#ifndef CISTERN_LIBCLIENT_SLABS_H
#define CISTERN_LIBCLIENT_SLABS_H

#include "cuda/slab.h"
#include "shm/hello.h"

struct slabs {
    struct slab_pool pool;
    const char *base; /* of descriptors: where the whole lies; NULL: each slab by itself */
    uint64_t bytes; /* of all */
    uint32_t shift; /* a slab has 1 << shift bytes */
    uint64_t number; /* which memory it is; no other one ever has it */
    uint32_t users; /* attachments, and the handle for the last one; under the handle's lock */
    struct slabs *next; /* of those that were put aside */
};

/* Are these the slabs that a checked welcome speaks of? `known` may be NULL. */
bool slabs_is(const struct slabs *known, const struct welcome *welcome);

/* Map what a checked welcome brought, for writing or not; `fds`: a descriptor a slab, with
 * HELLO_SLABS_FD, which stay the caller's. One user. Returns 0 or as slab_import(); `why` says
 * more. */
int slabs_open(const struct gpu *gpu, const struct welcome *welcome, const int *fds, bool writable,
    struct slabs **out_slabs, char *why, size_t why_bytes);

/* Where `bytes` bytes from `offset` on lie, or NULL: not inside, or not in one piece. Offsets are
 * below 1 << 48, sizes below 1 << 32. */
static inline const char *slabs_at(const struct slabs *slabs, uint64_t offset, uint64_t bytes)
{
    if (bytes == 0 || offset + bytes > slabs->bytes) {
        return NULL;
    }
    if (slabs->base != NULL) {
        return slabs->base + offset;
    }
    uint64_t index = offset >> slabs->shift;
    bool whole = (offset + bytes - 1) >> slabs->shift == index;
    /* An address of the device, which only the device and the driver look behind. */
    return whole ? (const char *)(uintptr_t)slab_address(&slabs->pool, offset) : NULL;
}

/* One user less, and the pointer is NULL; the last one puts it aside. Accepts NULL. */
void slabs_drop(struct slabs **slabs, struct slabs **aside);

/* Unmap and free a list of those that were put aside, on a thread that may call the driver. `gpu`
 * NULL: in a forked child, where only the memory is freed. */
void slabs_close(struct slabs *aside, const struct gpu *gpu);

#endif
