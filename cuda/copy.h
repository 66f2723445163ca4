/* copy: many copies at once between pool, engine and host memory, in a stream's order.
 *
 *   block in the pool   ┌ layer 0 ┬ layer 1 ┬ … ┐   one copy a piece; neighbours that lie in one
 *                         ▲  │      ▲  │            stretch on both sides become one
 *   tensors of an engine  ┘  ▼      ┘  ▼            gather: tensors to block; scatter: the reverse
 *
 * Called by libclient for the engine's tensors, and by the server for promotion and demotion,
 * between gpu_enter() and gpu_leave(). Addresses are unified: of a device, or of host memory, which
 * is read and written at full speed only if it is registered (lock.h). Pieces of one call must
 * not overlap: they have no order among each other.
 */
#ifndef CISTERN_CUDA_COPY_H
#define CISTERN_CUDA_COPY_H

#include "cuda/gpu.h"

struct copy {
    uint64_t to;
    uint64_t from;
    uint64_t bytes;
};

/* A piece of a block: where a tensor has it. */
struct copy_piece {
    uint64_t address;
    uint64_t bytes;
};

/* A stream of our own. */
struct copy_stream {
    const struct gpu *gpu; /* borrowed; NULL: not open */
    struct driver_stream *stream;
};

/* Put `count` copies into the stream, behind all that is in it. Returns at once, with 0, or as
 * driver_status(): then none, or some, of them are in it. */
int copy_start(
    const struct gpu *gpu, struct driver_stream *stream, const struct copy *list, size_t count);

/* The block at `block` from the pieces, or to them, in order. As copy_start(). */
int copy_gather(const struct gpu *gpu, struct driver_stream *stream, uint64_t block,
    const struct copy_piece *pieces, size_t count);
int copy_scatter(const struct gpu *gpu, struct driver_stream *stream, uint64_t block,
    const struct copy_piece *pieces, size_t count);

/* Returns 0 or as driver_status(). */
int copy_open(const struct gpu *gpu, struct copy_stream *out_stream);

/* Is all done that was put in? Returns 0, STATUS_PENDING, or as driver_status(). */
int copy_done(const struct copy_stream *stream);

/* Waits for what is under way. Accepts one that is not open, and leaves it so. */
void copy_close(struct copy_stream *stream);

#endif
