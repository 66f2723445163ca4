/* pagelock: registers memory with the driver. See pagelock.h. */
#include "cuda/pagelock.h"

#include "shm/status.h"

#include <assert.h>
#include <stdio.h>

#define PAGE_BYTES 4096u

static const char *remedy_of(int result)
{
    return result == DRIVER_NOT_SUPPORTED
               ? "confidential computing does not allow it"
               : "remedy: ulimit -l unlimited, LimitMEMLOCK=infinity in the unit";
}

int pagelock_open(const struct gpu *gpu, void *memory, uint64_t bytes, struct pagelock *out_lock,
    char *why, size_t why_bytes)
{
    assert((uintptr_t)memory % PAGE_BYTES == 0 && bytes > 0 && bytes % PAGE_BYTES == 0);
    struct pagelock lock = {.gpu = gpu, .memory = memory, .bytes = bytes};
    const struct driver *driver = gpu->driver;
    int result = DRIVER_NOT_SUPPORTED;
    if (driver->has[DRIVER_HOST]) {
        result = driver->cuMemHostRegister(
            memory, bytes, DRIVER_REGISTER_PORTABLE | DRIVER_REGISTER_DEVICE_MAP);
    }
    lock.locked = result == DRIVER_SUCCESS;
    if (driver_status(result) == STATUS_DEVICE_LOST) {
        driver_say(driver, result, why, why_bytes);
        return STATUS_DEVICE_LOST;
    }
    if (lock.locked &&
        driver->cuMemHostGetDevicePointer(&lock.address, memory, 0) != DRIVER_SUCCESS) {
        lock.address = 0;
    }
    if (lock.locked) {
        (void)snprintf(why, why_bytes, "%llu MiB of host memory page-locked",
            (unsigned long long)(bytes >> 20));
    } else {
        char text[128];
        driver_say(driver, result, text, sizeof text);
        (void)snprintf(why, why_bytes, "host memory not page-locked, copies cost more: %s; %s",
            text, remedy_of(result));
    }
    *out_lock = lock;
    return STATUS_OK;
}

void pagelock_close(struct pagelock *lock)
{
    if (lock->gpu != NULL && lock->locked) {
        (void)lock->gpu->driver->cuMemHostUnregister(lock->memory);
    }
    *lock = (struct pagelock){.gpu = NULL};
}
