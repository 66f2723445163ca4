/* mover_lock: see mover_lock.h. */
#include "sidecar/device/mover_lock.h"

#include "shm/status.h"

void mover_lock_init(struct mover_lock *lock)
{
    *lock = (struct mover_lock){.pages = {.gpu = NULL}};
    (void)pthread_mutex_init(&lock->mutex, NULL);
}

int mover_lock_take(struct mover_lock *lock, const struct gpu *gpu, void *memory, uint64_t bytes)
{
    int status = STATUS_OK;
    (void)pthread_mutex_lock(&lock->mutex);
    if (shared32_load_relaxed(&lock->state) == MOVER_LOCK_OPEN) {
        /* Registered PORTABLE: it counts for the contexts of all devices. */
        status = pagelock_open(gpu, memory, bytes, &lock->pages, lock->why, sizeof lock->why);
        if (status == STATUS_OK) {
            shared32_store_release(
                &lock->state, lock->pages.locked ? MOVER_LOCK_DONE : MOVER_LOCK_REFUSED);
        }
    }
    (void)pthread_mutex_unlock(&lock->mutex);
    return status;
}

void mover_lock_fini(struct mover_lock *lock)
{
    struct driver_context *former = NULL;
    if (lock->pages.gpu != NULL && gpu_enter(lock->pages.gpu, &former) == STATUS_OK) {
        const struct gpu *gpu = lock->pages.gpu;
        pagelock_close(&lock->pages);
        gpu_leave(gpu, former);
    }
    (void)pthread_mutex_destroy(&lock->mutex);
}
