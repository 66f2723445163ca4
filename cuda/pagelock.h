/* pagelock: host memory that a device reads and writes at full speed, and the disk as well.
 *
 * The host pool is what blocks of a device go through on their way to a disk and back: one memory,
 * registered with io_uring by the tier and with CUDA here, so that no block is copied twice. Called
 * by the server at start and at stop, between gpu_enter() and gpu_leave().
 */
#ifndef CISTERN_CUDA_PAGELOCK_H
#define CISTERN_CUDA_PAGELOCK_H

#include "cuda/gpu.h"

struct pagelock {
    const struct gpu *gpu; /* borrowed; NULL: not open */
    void *memory; /* borrowed */
    uint64_t bytes;
    bool locked; /* else copies work, at about half the rate, and wait for the processor */
    uint64_t address; /* the device's own name of it; 0 if it is not locked */
};

/* Register whole pages, which then stay where they are; takes about as long as touching them. Where
 * the driver refuses (confidential computing, a memlock limit) it is open all the same, and `why`
 * says what that means. Returns 0, or STATUS_DEVICE_LOST. */
int pagelock_open(const struct gpu *gpu, void *memory, uint64_t bytes, struct pagelock *out_lock,
    char *why, size_t why_bytes);

/* No copy of it is under way. Accepts one that is not open, and leaves it so. */
void pagelock_close(struct pagelock *lock);

#endif
