/* mover_lock: the host pool, page-locked once for all devices.
 *
 * Called by the threads of mover_thread as they start; whoever comes first does it, the others wait
 * for that. It takes about as long as touching the pool, so no thread that serves does it. Always:
 * no copy begins before it was tried: one that ran unlocked would hold up its thread.
 */
#ifndef CISTERN_SIDECAR_DEVICE_MOVER_LOCK_H
#define CISTERN_SIDECAR_DEVICE_MOVER_LOCK_H

#include "cuda/pagelock.h"
#include "shm/atomic.h"

#include <pthread.h>

#define MOVER_LOCK_WHY 256u

enum mover_lock_state { MOVER_LOCK_OPEN, MOVER_LOCK_DONE, MOVER_LOCK_REFUSED };

struct mover_lock {
    pthread_mutex_t mutex;
    struct pagelock pages; /* under the mutex, as all below */
    char why[MOVER_LOCK_WHY];
    _Atomic uint32_t state; /* the thread that did it: enum mover_lock_state; `why` stands then */
};

void mover_lock_init(struct mover_lock *lock);

/* Page-lock `bytes` at `memory` through this device, unless it was tried before; between
 * gpu_enter() and gpu_leave(). Returns 0, or STATUS_DEVICE_LOST. */
int mover_lock_take(struct mover_lock *lock, const struct gpu *gpu, void *memory, uint64_t bytes);

/* No thread uses the memory any more: undo it. */
void mover_lock_fini(struct mover_lock *lock);

#endif
