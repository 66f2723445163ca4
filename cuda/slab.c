/* slab: makes, maps and shares device memory. See slab.h. */
#include "cuda/slab.h"

#include "shm/status.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static unsigned long long mib(uint64_t bytes)
{
    return bytes >> 20;
}

uint64_t slab_choose_bytes(uint64_t pool_bytes, uint64_t granularity)
{
    uint64_t bytes = SLAB_BYTES_LEAST;
    while (bytes < granularity || bytes * SLAB_MOST < pool_bytes) {
        bytes *= 2;
    }
    return bytes;
}

static int fail(const struct gpu *gpu, const char *what, int result, char *why, size_t why_bytes)
{
    char text[128];
    driver_say(gpu->driver, result, text, sizeof text);
    (void)snprintf(why, why_bytes, "%s: %s on %s", what, text, gpu->name);
    return driver_status(result);
}

static int fail_full(const struct slab_pool *pool, uint32_t made, char *why, size_t why_bytes)
{
    size_t free_bytes = 0;
    size_t all_bytes = 0;
    (void)pool->gpu->driver->cuMemGetInfo(&free_bytes, &all_bytes);
    (void)snprintf(why, why_bytes,
        "%u of %u slabs of %llu MiB could be had on %s, %llu MiB are free now; remedy: a smaller "
        "pool, or let whoever uses the device go (workers of a sidecar that died keep its memory)",
        made, pool->count, mib(pool->slab_bytes), pool->gpu->name,
        mib(free_bytes + made * pool->slab_bytes));
    return STATUS_NO_MEMORY;
}

static struct driver_location location_of(const struct gpu *gpu)
{
    return (struct driver_location){.type = DRIVER_LOCATION_DEVICE, .id = gpu->device};
}

static int reserve(struct slab_pool *pool, char *why, size_t why_bytes)
{
    const struct gpu *gpu = pool->gpu;
    int result = gpu->driver->cuMemAddressReserve(
        &pool->base, pool->count * pool->slab_bytes, gpu->granularity, 0, 0);
    if (result != DRIVER_SUCCESS) {
        pool->base = 0;
        return fail(gpu, "no addresses for a pool", result, why, why_bytes);
    }
    return STATUS_OK;
}

/* Map slab `index`, whose handle is known, to its place. */
static int map(struct slab_pool *pool, uint32_t index, char *why, size_t why_bytes)
{
    const struct driver *driver = pool->gpu->driver;
    struct slab *slab = &pool->slab[index];
    uint64_t address = pool->base + index * pool->slab_bytes;
    int result = driver->cuMemMap(address, pool->slab_bytes, 0, slab->handle, 0);
    if (result != DRIVER_SUCCESS) {
        return fail(
            pool->gpu, "a slab cannot be mapped (is it of that size?)", result, why, why_bytes);
    }
    slab->address = address;
    struct driver_access access = {.location = location_of(pool->gpu),
        .flags = pool->writable ? DRIVER_ACCESS_READ_WRITE : DRIVER_ACCESS_READ};
    result = driver->cuMemSetAccess(address, pool->slab_bytes, &access, 1);
    if (result != DRIVER_SUCCESS) {
        return fail(pool->gpu, "a slab cannot be opened", result, why, why_bytes);
    }
    return STATUS_OK;
}

static int make_vmm(struct slab_pool *pool, char *why, size_t why_bytes)
{
    const struct gpu *gpu = pool->gpu;
    struct driver_allocation wish = {.type = DRIVER_PINNED,
        .handle_types = DRIVER_HANDLE_POSIX_FD | (gpu->has_fabric ? DRIVER_HANDLE_FABRIC : 0),
        .location = location_of(gpu),
        .rdma = gpu->has_rdma};
    int status = reserve(pool, why, why_bytes);
    for (uint32_t i = 0; i < pool->count && status == STATUS_OK; i++) {
        struct slab *slab = &pool->slab[i];
        int result = gpu->driver->cuMemCreate(&slab->handle, pool->slab_bytes, &wish, 0);
        if (i == 0 && result != DRIVER_SUCCESS && result != DRIVER_OUT_OF_MEMORY &&
            gpu->has_fabric) { /* the device can, this user may not: no IMEX channel */
            wish.handle_types = DRIVER_HANDLE_POSIX_FD;
            result = gpu->driver->cuMemCreate(&slab->handle, pool->slab_bytes, &wish, 0);
        }
        if (result != DRIVER_SUCCESS) {
            slab->handle = 0;
            return result == DRIVER_OUT_OF_MEMORY
                       ? fail_full(pool, i, why, why_bytes)
                       : fail(gpu, "a slab cannot be made", result, why, why_bytes);
        }
        result = gpu->driver->cuMemExportToShareableHandle(
            &slab->fd, slab->handle, DRIVER_HANDLE_POSIX_FD, 0);
        if (result != DRIVER_SUCCESS) {
            slab->fd = -1;
            return fail(gpu, "a slab cannot be exported", result, why, why_bytes);
        }
        status = map(pool, i, why, why_bytes);
    }
    return status;
}

static int make_legacy(struct slab_pool *pool, char *why, size_t why_bytes)
{
    const struct gpu *gpu = pool->gpu;
    for (uint32_t i = 0; i < pool->count; i++) {
        struct slab *slab = &pool->slab[i];
        int result = gpu->driver->cuMemAlloc(&slab->address, pool->slab_bytes);
        if (result != DRIVER_SUCCESS) {
            slab->address = 0;
            return result == DRIVER_OUT_OF_MEMORY
                       ? fail_full(pool, i, why, why_bytes)
                       : fail(gpu, "a slab cannot be made", result, why, why_bytes);
        }
        result = gpu->driver->cuIpcGetMemHandle(&slab->ipc, slab->address);
        if (result != DRIVER_SUCCESS) {
            return fail(gpu, "a slab has no handle", result, why, why_bytes);
        }
    }
    return STATUS_OK;
}

/* An empty pool; or a status and `why`, if the device has no memory of that kind. */
static int begin(const struct gpu *gpu, enum slab_kind kind, uint32_t count, uint64_t slab_bytes,
    struct slab_pool *out_pool, char *why, size_t why_bytes)
{
    bool can = kind == SLAB_VMM ? gpu->granularity > 0 : gpu->has_legacy;
    if (!can) {
        (void)snprintf(why, why_bytes, "%s has no %s", gpu->name,
            kind == SLAB_VMM ? "memory that travels as a descriptor; remedy: cuIpc handles, or a "
                               "later driver"
                             : "cuIpc handles; remedy: descriptors, which are the default");
        return STATUS_UNSUPPORTED;
    }
    bool fits = count > 0 && count <= SLAB_MOST && slab_bytes > 0 &&
                (kind == SLAB_LEGACY || slab_bytes % gpu->granularity == 0);
    if (!fits) {
        (void)snprintf(why, why_bytes, "%u slabs of %llu bytes: not 1 to %u, of whole %llu KiB",
            count, (unsigned long long)slab_bytes, SLAB_MOST,
            (unsigned long long)(gpu->granularity >> 10));
        return STATUS_INVALID;
    }
    memset(out_pool, 0, sizeof *out_pool);
    out_pool->gpu = gpu;
    out_pool->kind = kind;
    out_pool->count = count;
    out_pool->slab_bytes = slab_bytes;
    for (uint32_t i = 0; i < SLAB_MOST; i++) {
        out_pool->slab[i].fd = -1;
    }
    return STATUS_OK;
}

int slab_make(const struct gpu *gpu, enum slab_kind kind, uint32_t count, uint64_t slab_bytes,
    struct slab_pool *out_pool, char *why, size_t why_bytes)
{
    int status = begin(gpu, kind, count, slab_bytes, out_pool, why, why_bytes);
    if (status != STATUS_OK) {
        *out_pool = (struct slab_pool){.gpu = NULL};
        return status;
    }
    out_pool->made_here = true;
    out_pool->writable = true;
    status = kind == SLAB_VMM ? make_vmm(out_pool, why, why_bytes)
                              : make_legacy(out_pool, why, why_bytes);
    if (status != STATUS_OK) {
        slab_close(out_pool);
        return status;
    }
    (void)snprintf(why, why_bytes, "%u slabs of %llu MiB on %s, shared as %s", count,
        mib(slab_bytes), gpu->name, kind == SLAB_VMM ? "descriptors" : "cuIpc handles");
    return STATUS_OK;
}

static int import_vmm(
    struct slab_pool *pool, const struct slab_pool *shared, char *why, size_t why_bytes)
{
    const struct driver *driver = pool->gpu->driver;
    int status = reserve(pool, why, why_bytes);
    for (uint32_t i = 0; i < pool->count && status == STATUS_OK; i++) {
        struct slab *slab = &pool->slab[i];
        int result = driver->cuMemImportFromShareableHandle(
            &slab->handle, (void *)(intptr_t)shared->slab[i].fd, DRIVER_HANDLE_POSIX_FD);
        if (result != DRIVER_SUCCESS) {
            slab->handle = 0;
            return fail(pool->gpu,
                "a slab of the sidecar cannot be imported (does this process see its device?)",
                result, why, why_bytes);
        }
        status = map(pool, i, why, why_bytes);
    }
    return status;
}

static int import_legacy(
    struct slab_pool *pool, const struct slab_pool *shared, char *why, size_t why_bytes)
{
    for (uint32_t i = 0; i < pool->count; i++) {
        struct slab *slab = &pool->slab[i];
        int result = pool->gpu->driver->cuIpcOpenMemHandle(
            &slab->address, shared->slab[i].ipc, DRIVER_IPC_LAZY_PEER);
        if (result != DRIVER_SUCCESS) {
            slab->address = 0;
            return fail(pool->gpu,
                result == DRIVER_INVALID_CONTEXT
                    ? "a cuIpc handle cannot be opened: both processes have the same PID value; "
                      "remedy: descriptors, or one PID namespace"
                    : "a cuIpc handle cannot be opened (does this process see the device?)",
                result, why, why_bytes);
        }
    }
    return STATUS_OK;
}

int slab_import(const struct gpu *gpu, const struct slab_pool *shared, bool writable,
    struct slab_pool *out_pool, char *why, size_t why_bytes)
{
    int status =
        begin(gpu, shared->kind, shared->count, shared->slab_bytes, out_pool, why, why_bytes);
    if (status != STATUS_OK) {
        *out_pool = (struct slab_pool){.gpu = NULL};
        return status;
    }
    out_pool->writable = writable || shared->kind == SLAB_LEGACY;
    status = shared->kind == SLAB_VMM ? import_vmm(out_pool, shared, why, why_bytes)
                                      : import_legacy(out_pool, shared, why, why_bytes);
    if (status != STATUS_OK) {
        slab_close(out_pool);
    }
    return status;
}

static void close_vmm(struct slab_pool *pool)
{
    const struct driver *driver = pool->gpu->driver;
    for (uint32_t i = 0; i < pool->count; i++) {
        struct slab *slab = &pool->slab[i];
        if (slab->address != 0) {
            (void)driver->cuMemUnmap(slab->address, pool->slab_bytes);
        }
        if (slab->handle != 0) {
            (void)driver->cuMemRelease(slab->handle);
        }
        if (slab->fd >= 0) {
            (void)close(slab->fd);
        }
    }
    if (pool->base != 0) {
        (void)driver->cuMemAddressFree(pool->base, pool->count * pool->slab_bytes);
    }
}

static void close_legacy(struct slab_pool *pool)
{
    const struct driver *driver = pool->gpu->driver;
    for (uint32_t i = 0; i < pool->count; i++) {
        if (pool->slab[i].address != 0) {
            (void)(pool->made_here ? driver->cuMemFree(pool->slab[i].address)
                                   : driver->cuIpcCloseMemHandle(pool->slab[i].address));
        }
    }
}

void slab_close(struct slab_pool *pool)
{
    if (pool->gpu != NULL && pool->kind == SLAB_VMM) {
        close_vmm(pool);
    } else if (pool->gpu != NULL) {
        close_legacy(pool);
    }
    *pool = (struct slab_pool){.gpu = NULL};
}
