/* gpu: asks the driver about a device. See gpu.h. */
#include "cuda/gpu.h"

#include "shm/status.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

uint32_t gpu_count(const struct driver *driver)
{
    int count = 0;
    return driver->cuDeviceGetCount(&count) == DRIVER_SUCCESS && count > 0 ? (uint32_t)count : 0;
}

static bool has(const struct driver *driver, int device, int attribute)
{
    int value = 0;
    return driver->cuDeviceGetAttribute(&value, attribute, device) == DRIVER_SUCCESS && value != 0;
}

static void ask_memory(const struct driver *driver, struct gpu *gpu)
{
    bool travels = driver->has[DRIVER_VMM] && has(driver, gpu->device, DRIVER_HAS_VMM) &&
                   has(driver, gpu->device, DRIVER_HAS_POSIX_FD);
    gpu->has_fabric = travels && has(driver, gpu->device, DRIVER_HAS_FABRIC);
    gpu->has_rdma = travels && has(driver, gpu->device, DRIVER_HAS_RDMA_VMM);
    gpu->has_legacy = driver->has[DRIVER_LEGACY] && has(driver, gpu->device, DRIVER_HAS_IPC);
    gpu->has_timeline =
        driver->has[DRIVER_TIMELINE] && has(driver, gpu->device, DRIVER_HAS_TIMELINE);
    struct driver_allocation wish = {.type = DRIVER_PINNED,
        .handle_types = DRIVER_HANDLE_POSIX_FD,
        .location = {.type = DRIVER_LOCATION_DEVICE, .id = gpu->device}};
    size_t granularity = 0;
    if (travels && driver->cuMemGetAllocationGranularity(
                       &granularity, &wish, DRIVER_GRANULARITY_RECOMMENDED) == DRIVER_SUCCESS) {
        gpu->granularity = granularity;
    }
}

int gpu_at(const struct driver *driver, uint32_t ordinal, struct gpu *out_gpu)
{
    struct gpu gpu = {.driver = driver};
    size_t bytes = 0;
    int result = driver->cuDeviceGet(&gpu.device, (int)ordinal);
    result = result != 0 ? result : driver->cuDeviceGetUuid(&gpu.uuid, gpu.device);
    result =
        result != 0 ? result : driver->cuDeviceGetName(gpu.name, (int)sizeof gpu.name, gpu.device);
    result = result != 0 ? result : driver->cuDeviceTotalMem(&bytes, gpu.device);
    if (result != DRIVER_SUCCESS) {
        return driver_status(result);
    }
    gpu.name[sizeof gpu.name - 1] = '\0';
    gpu.bytes = bytes;
    ask_memory(driver, &gpu);
    *out_gpu = gpu;
    return STATUS_OK;
}

int gpu_find(const struct driver *driver, const struct driver_uuid *uuid, struct gpu *out_gpu)
{
    uint32_t count = gpu_count(driver);
    for (uint32_t i = 0; i < count; i++) {
        struct gpu gpu;
        if (gpu_at(driver, i, &gpu) == STATUS_OK &&
            memcmp(gpu.uuid.byte, uuid->byte, sizeof uuid->byte) == 0) {
            *out_gpu = gpu;
            return STATUS_OK;
        }
    }
    return STATUS_INVALID;
}

void gpu_uuid_text(const struct driver_uuid *uuid, char out_text[GPU_UUID_TEXT])
{
    size_t used = (size_t)snprintf(out_text, GPU_UUID_TEXT, "GPU-");
    for (uint32_t i = 0; i < sizeof uuid->byte; i++) {
        const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
        used +=
            (size_t)snprintf(out_text + used, GPU_UUID_TEXT - used, "%s%02x", dash, uuid->byte[i]);
    }
}

/* Add to a text that is perhaps full. */
static void add(char *text, size_t bytes, const char *more)
{
    size_t used = strlen(text);
    (void)snprintf(text + used, bytes - used, "%s", more);
}

static void list(const struct driver *driver, char *why, size_t why_bytes)
{
    uint32_t count = gpu_count(driver);
    for (uint32_t i = 0; i < count; i++) {
        struct gpu gpu;
        char text[GPU_UUID_TEXT];
        if (gpu_at(driver, i, &gpu) == STATUS_OK) {
            gpu_uuid_text(&gpu.uuid, text);
            add(why, why_bytes, i == 0 ? " " : ", ");
            add(why, why_bytes, text);
        }
    }
}

/* Is `which`, without GPU- or MIG-, a beginning of the UUID? */
static bool begins(const struct gpu *gpu, const char *which)
{
    char text[GPU_UUID_TEXT];
    gpu_uuid_text(&gpu->uuid, text);
    const char *bare = strncasecmp(which, "GPU-", 4) == 0 || strncasecmp(which, "MIG-", 4) == 0
                           ? which + 4
                           : which;
    size_t length = strlen(bare);
    return length > 0 && strncasecmp(text + 4, bare, length) == 0;
}

static void say_chosen(const struct gpu *gpu, char *why, size_t why_bytes)
{
    char text[GPU_UUID_TEXT];
    gpu_uuid_text(&gpu->uuid, text);
    (void)snprintf(why, why_bytes, "%s, %s, %llu MiB", gpu->name, text,
        (unsigned long long)(gpu->bytes >> 20));
}

int gpu_choose(const struct driver *driver, const char *which, struct gpu *out_gpu, char *why,
    size_t why_bytes)
{
    uint32_t count = gpu_count(driver);
    uint32_t found = 0;
    struct gpu chosen = {.driver = driver};
    for (uint32_t i = 0; i < count; i++) {
        struct gpu gpu;
        if (gpu_at(driver, i, &gpu) != STATUS_OK) {
            continue;
        }
        if (strcmp(which, "auto") == 0) {
            chosen = gpu;
            found = 1;
            break;
        }
        if (begins(&gpu, which)) {
            chosen = gpu;
            found++;
        }
    }
    if (found == 1) {
        say_chosen(&chosen, why, why_bytes);
        *out_gpu = chosen;
        return STATUS_OK;
    }
    (void)snprintf(why, why_bytes, "%s is %s here; remedy: one of", which,
        found == 0 ? "no GPU" : "the beginning of more than one GPU");
    list(driver, why, why_bytes);
    return STATUS_INVALID;
}

int gpu_open(struct gpu *gpu, char *why, size_t why_bytes)
{
    assert(gpu->context == NULL);
    int result = gpu->driver->cuDevicePrimaryCtxRetain(&gpu->context, gpu->device);
    if (result != DRIVER_SUCCESS) {
        char text[128];
        gpu->context = NULL;
        driver_say(gpu->driver, result, text, sizeof text);
        (void)snprintf(why, why_bytes,
            "no context on %s: %s; remedy: free memory of the device, "
            "or leave exclusive compute mode (nvidia-smi -c 0)",
            gpu->name, text);
    }
    return driver_status(result);
}

void gpu_close(struct gpu *gpu)
{
    if (gpu->context != NULL) {
        (void)gpu->driver->cuDevicePrimaryCtxRelease(gpu->device);
        gpu->context = NULL;
    }
}

int gpu_enter(const struct gpu *gpu, struct driver_context **out_former)
{
    assert(gpu->context != NULL);
    struct driver_context *former = NULL;
    int result = gpu->driver->cuCtxGetCurrent(&former);
    if (result == DRIVER_SUCCESS && former != gpu->context) {
        result = gpu->driver->cuCtxSetCurrent(gpu->context);
    }
    if (result == DRIVER_SUCCESS) {
        *out_former = former;
    }
    return driver_status(result);
}

void gpu_leave(const struct gpu *gpu, struct driver_context *former)
{
    if (former != gpu->context) {
        (void)gpu->driver->cuCtxSetCurrent(former);
    }
}
