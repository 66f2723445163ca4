/* cistern_device: blocks on their way to and from a GPU's memory, in the order of a CUDA stream.
 *
 *     cistern_device_open ─▶ cistern_acquire ─▶ cistern_device_read ─▶ kernels on the same stream
 *                        └─▶ kernels ─▶ cistern_reserve ─▶ cistern_device_write
 *
 * Nothing of CUDA is needed to build or to link: the driver is loaded by cistern_device_open(). All
 * else as in cistern.h: statuses, threads, fork.
 */
#ifndef CISTERN_DEVICE_H
#define CISTERN_DEVICE_H

#include <cistern.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A GPU of this process. */
typedef struct cistern_device cistern_device_t;

/* A piece of a block in a GPU's memory: where a tensor of the engine has it. */
struct cistern_piece {
    uint64_t address; /* of the device (CUdeviceptr) */
    uint64_t bytes;
};

/* Use a GPU of this process with the blocks of a handle.
 *
 * which       a UUID as nvidia-smi -L prints it, or its beginning; NULL or "auto": the first that
 *             this process sees
 * out_device  owned by the caller, given back by cistern_device_close(), before the handle
 *
 * Loads libcuda.so.1, retains the device's primary context (the one that engines use), and
 * page-locks the sidecar's pool for it, so that copies run at full speed: about as long as touching
 * all of the pool. The calling thread's own context stays current. Returns 0; CISTERN_UNSUPPORTED:
 * no driver, or no device; CISTERN_INVALID: no such device; CISTERN_DEVICE_LOST; CISTERN_NO_MEMORY;
 * cistern_why() names cause and remedy.
 */
CISTERN_API int cistern_device_open(
    cistern_t *handle, const char *which, cistern_device_t **out_device);

/* Which device it is, and whether the pool is page-locked: a sentence, for logs. */
CISTERN_API const char *cistern_device_about(const cistern_device_t *device);

/* Waits for the streams of all reads and writes, gives everything back and sets *device to NULL.
 * Accepts NULL. No other thread may be inside a call on it. */
CISTERN_API void cistern_device_close(cistern_device_t **device);

/* Copy pinned blocks into a GPU's memory, in the order of the engine's stream.
 *
 * views        `count` views; on success they are the device's, which releases each when the stream
 *              has passed its copies: the blocks cannot change before
 * pieces       `count` times `pieces_each`: block i goes, from its start on, to pieces
 *              [i * pieces_each, (i + 1) * pieces_each); read during the call only
 * stream       a CUstream (or cudaStream_t) of the primary context; NULL: its default stream
 *
 * Returns at once, as soon as all is in the stream: 0; CISTERN_INVALID: a view is released, its
 * pieces are longer than it, or the driver refuses an address; CISTERN_NO_MEMORY;
 * CISTERN_DEVICE_LOST. After anything but 0 the views are still the caller's, and no copy of them
 * is under way. Any thread may call; a thread of the driver then uses a seat of the handle
 * (`threads_max`).
 */
CISTERN_API int cistern_device_read(cistern_device_t *device, struct cistern_view *views,
    size_t count, const struct cistern_piece *pieces, size_t pieces_each, void *stream);

/* Copy blocks from a GPU's memory into slots, and commit them when the stream has passed the
 * copies: nobody sees a block before its bytes are there.
 *
 * slots   `count` slots of cistern_reserve(); on success they are the device's
 * keys    `count` keys of one chain, in order
 * parent  key of the block before the first, or NULL
 *
 * The handle is open with CISTERN_LATE_WRITES: if this process dies with copies under way, the
 * slots are kept aside for a while. The rest as cistern_device_read(); what cistern_commit() would
 * return is not told: a block that could not be committed is not there.
 */
CISTERN_API int cistern_device_write(cistern_device_t *device, struct cistern_slot *slots,
    const struct cistern_key *keys, const struct cistern_key *parent, size_t count,
    const struct cistern_piece *pieces, size_t pieces_each, void *stream);

/* Wait until every read of this device is released, and the commit of every write is sent: as after
 * cistern_commit(), all see the blocks as soon as the sidecar has read it. Returns 0; CISTERN_BUSY
 * at the deadline; CISTERN_DEVICE_LOST: the device failed, views are released, slots that were
 * under way stay lent until the handle is closed. */
CISTERN_API int cistern_device_drain(cistern_device_t *device, int64_t timeout_ns);

#ifdef __cplusplus
}
#endif

#endif
