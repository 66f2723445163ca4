/* cistern_device: blocks and a GPU, in the order of a CUDA stream: copied to and from its memory,
 * or read and written where they lie in the sidecar's part of it.
 *
 *     copies     cistern_acquire ─▶ cistern_device_read ─▶ kernels on the same stream
 *                kernels ─▶ cistern_reserve ─▶ cistern_device_write
 *     in place   cistern_acquire ─▶ kernels read the views ─▶ cistern_device_release
 *                cistern_device_reserve ─▶ kernels write the slots ─▶ cistern_device_commit
 *
 * In place needs a handle that was opened with cistern_options.device, and a sidecar with memory of
 * that device (cistern_device_ready()). One that only reads says CISTERN_DEVICE_READ: a kernel that
 * writes to a view then fails, and no block is wrong; it can reserve no slots there. That is a
 * guard against mistakes, no border, and not to be had of cuIpc handles.
 *
 * Nothing of CUDA is needed to build or to link: the driver is loaded by cistern_open() or
 * cistern_device_open(). All else as in cistern.h: statuses, threads, fork.
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
 * which       NULL: the handle's own device, if it has one, else "auto"; "auto": the first that
 *             this process sees; or a UUID as nvidia-smi -L prints it, or its beginning. With
 *             another device than the handle's, nothing in place is possible
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
 *              has passed its copies: the blocks cannot change before. Of host memory, or of the
 *              handle's own device
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
 * slots   `count` slots of cistern_reserve() or cistern_device_reserve(); on success they are the
 *         device's
 * keys    `count` keys of one chain, in order
 * parent  key of the block before the first, or NULL
 *
 * The handle is open with CISTERN_LATE_WRITES, or with a device: if this process dies with copies
 * under way, the slots are kept aside for a while. The rest as cistern_device_read(); what
 * cistern_commit() would return is not told: a block that could not be committed is not there.
 * What the driver's thread cannot commit at that moment, as no seat is free, the next call on this
 * device does: between two of cistern_reserve() that return CISTERN_LIMIT, drain it.
 */
CISTERN_API int cistern_device_write(cistern_device_t *device, struct cistern_slot *slots,
    const struct cistern_key *keys, const struct cistern_key *parent, size_t count,
    const struct cistern_piece *pieces, size_t pieces_each, void *stream);

/* Take free slots in the device's memory, for kernels to fill where they lie: `data` is an address
 * of the device. As cistern_reserve(), and CISTERN_UNSUPPORTED: the handle has no such device, or
 * the sidecar no memory of it. cistern_commit() publishes one when its bytes are there,
 * cistern_device_commit() when a stream has written them, cistern_abort() gives it back. Such
 * blocks carry no checksum of CISTERN_CHECKSUM. */
CISTERN_API int cistern_device_reserve(cistern_device_t *device, size_t count, int64_t timeout_ns,
    struct cistern_slot *out_slots, size_t *out_count);

/* Commit `count` slots when the stream has passed what was put into it before: the kernels that
 * wrote them.
 *
 * slots   of cistern_device_reserve(), or host memory that the device wrote; on success they are
 *         the device's
 * keys    `count` keys of one chain, in order
 * parent  key of the block before the first, or NULL
 * bytes   how many were written into each
 *
 * As cistern_device_write(), without its copies. */
CISTERN_API int cistern_device_commit(cistern_device_t *device, struct cistern_slot *slots,
    const struct cistern_key *keys, const struct cistern_key *parent, size_t count, uint64_t bytes,
    void *stream);

/* Release `count` views when the stream has passed what was put into it before: the kernels that
 * read them in place. On success the views are the device's. As cistern_device_read(), without its
 * copies. */
CISTERN_API int cistern_device_release(
    cistern_device_t *device, struct cistern_view *views, size_t count, void *stream);

/* A hint: these blocks will be read on the device soon. Those at the start of the prefix that are
 * hot, from the first one on that is in host memory alone, are copied to the device's, if it has
 * room. Waits for nothing, promises nothing, as cistern_prefetch(). Returns 0,
 * CISTERN_UNSUPPORTED. */
CISTERN_API int cistern_device_prefetch(
    cistern_device_t *device, const struct cistern_key *keys, size_t count);

/* Wait until every read of this device is released, and the commit of every write is sent: as after
 * cistern_commit(), all see the blocks as soon as the sidecar has read it. Returns 0; CISTERN_BUSY
 * at the deadline; CISTERN_DEVICE_LOST: the device failed, views are released, slots that were
 * under way stay lent until the handle is closed. */
CISTERN_API int cistern_device_drain(cistern_device_t *device, int64_t timeout_ns);

#ifdef __cplusplus
}
#endif

#endif
