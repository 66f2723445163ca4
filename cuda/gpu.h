/* gpu: one device of the driver: which it is, what it can, and its primary context.
 *
 * A device is known by its UUID, never by its ordinal, which differs from process to process
 * (CUDA_VISIBLE_DEVICES). Used by the server for its pools and by a client's handle to map them.
 * Always: a thread calls slab, copy, mark or pagelock between gpu_enter() and gpu_leave() alone,
 * and finds its own context again behind them.
 */
#ifndef CISTERN_CUDA_GPU_H
#define CISTERN_CUDA_GPU_H

#include "cuda/driver.h"

#define GPU_UUID_TEXT 41u /* "GPU-" and 36 characters, and the end */

struct gpu {
    const struct driver *driver; /* borrowed */
    int device; /* this process's own number */
    struct driver_uuid uuid;
    char name[64];
    uint64_t bytes; /* of memory, in all */
    uint64_t granularity; /* of slabs; 0: the device has no memory that travels as a descriptor */
    bool has_fabric; /* handles that other hosts of a fabric may open */
    bool has_legacy; /* cuIpc handles */
    bool has_timeline; /* streams may write words; a probe says more (mark.h) */
    bool has_rdma; /* a NIC may reach slabs */
    struct driver_context *context; /* the primary one; NULL: not opened */
};

/* How many there are; 0 if the driver does not say. */
uint32_t gpu_count(const struct driver *driver);

/* Ask about the device of an ordinal; opens nothing. Returns 0, STATUS_INVALID or
 * STATUS_DEVICE_LOST. */
int gpu_at(const struct driver *driver, uint32_t ordinal, struct gpu *out_gpu);

/* The device of a UUID. Returns 0, or STATUS_INVALID: this process does not see it. */
int gpu_find(const struct driver *driver, const struct driver_uuid *uuid, struct gpu *out_gpu);

/* The device that a person named: "auto" is the first; or a UUID as nvidia-smi -L prints it, with
 * GPU- or MIG- before it, or its beginning if that is of one device alone. `why` says which it is;
 * on failure which there are. Returns 0, or STATUS_INVALID. */
int gpu_choose(const struct driver *driver, const char *which, struct gpu *out_gpu, char *why,
    size_t why_bytes);

/* "GPU-01234567-89ab-…" */
void gpu_uuid_text(const struct driver_uuid *uuid, char out_text[GPU_UUID_TEXT]);

/* Retain the primary context, which the engine of this process shares; may take a second if nobody
 * has it yet. Returns 0, STATUS_NO_MEMORY or as driver_status(); `why` names the driver's error. */
int gpu_open(struct gpu *gpu, char *why, size_t why_bytes);

/* Give it back. Accepts one that was not opened, and leaves it so. */
void gpu_close(struct gpu *gpu);

/* Make the context this thread's, and give it the former one back. Returns 0 or as
 * driver_status(). */
int gpu_enter(const struct gpu *gpu, struct driver_context **out_former);
void gpu_leave(const struct gpu *gpu, struct driver_context *former);

#endif
