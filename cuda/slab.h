/* slab: device memory in pieces that other processes map, one behind the other.
 *
 *   server  slab_make ─▶ fd, fd, fd ──SCM_RIGHTS──▶ slab_import  client     VMM (the default)
 *           cuMemCreate, export                      import, map: the whole of each
 *           slab_make ─▶ handle, handle ── 64 B ──▶ slab_import             legacy (cuIpc)
 *
 * One block id is (slab, offset) in every process; in VMM all slabs of a pool lie back to back in
 * one range of addresses. Called by the server at start and at stop, and by a client's handle when
 * it attaches, between gpu_enter() and gpu_leave(). Always: memory lives until the last process let
 * go of its descriptor or mapping, whoever made it; nothing is ever freed and made again behind a
 * handle that went out.
 */
#ifndef CISTERN_CUDA_SLAB_H
#define CISTERN_CUDA_SLAB_H

#include "cuda/gpu.h"

#define SLAB_MOST 128u /* of one pool; fewer than descriptors go into one message */
#define SLAB_BYTES_LEAST (UINT64_C(64) << 20)

enum slab_kind {
    SLAB_VMM, /* descriptors */
    SLAB_LEGACY /* cuIpc handles: other containers need other PID values, and the same device */
};

struct slab {
    uint64_t address; /* as this process maps it; 0: not mapped */
    uint64_t handle; /* of the driver; VMM; 0: none */
    int fd; /* VMM, the maker's; -1: none */
    struct driver_ipc_handle ipc; /* LEGACY */
};

struct slab_pool {
    const struct gpu *gpu; /* borrowed; NULL: holds nothing */
    enum slab_kind kind;
    bool made_here; /* else imported */
    bool writable;
    uint32_t count;
    uint64_t slab_bytes; /* of each */
    uint64_t base; /* VMM: where the reserved range begins; 0: none */
    struct slab slab[SLAB_MOST];
};

/* How large slabs are for a pool of so many bytes: at most SLAB_MOST of them, a power of two, and
 * at least `granularity`. */
uint64_t slab_choose_bytes(uint64_t pool_bytes, uint64_t granularity);

/* Make `count` slabs, map them for reading and writing, and export them. May take seconds: the
 * driver clears the memory. Returns 0; STATUS_UNSUPPORTED: the device has no such memory;
 * STATUS_NO_MEMORY: `why` says how much was free (whoever maps the pool of a dead sidecar keeps its
 * memory: try again when they let go); or as driver_status(). On failure nothing is held. */
int slab_make(const struct gpu *gpu, enum slab_kind kind, uint32_t count, uint64_t slab_bytes,
    struct slab_pool *out_pool, char *why, size_t why_bytes);

/* Map what another process made. Of `shared` come kind, count, slab_bytes, and fd or ipc of each
 * slab; descriptors stay the caller's, who may close them behind this call. A mapping that is not
 * `writable` guards against mistakes (a store to it is the end of the context), and is no border:
 * who has the descriptor can map it again. A legacy mapping is always writable. Returns 0 or as
 * slab_make(); STATUS_INVALID also if a descriptor is not of this device, or of another size. */
int slab_import(const struct gpu *gpu, const struct slab_pool *shared, bool writable,
    struct slab_pool *out_pool, char *why, size_t why_bytes);

/* Where byte `offset` of the pool is in this process. */
static inline uint64_t slab_address(const struct slab_pool *pool, uint64_t offset)
{
    return pool->slab[offset / pool->slab_bytes].address + offset % pool->slab_bytes;
}

/* Unmap, and let go. Nothing of this process uses it any more. Accepts a half-built pool, and one
 * that holds nothing; leaves it so. */
void slab_close(struct slab_pool *pool);

#endif
