/* devices_choose: see devices_choose.h; and what --explain says of it. */
#include "sidecar/device/devices_choose.h"

#include "shm/status.h"

#include <string.h>

#define WHY 512

bool devices_choose_freely(const struct config *config)
{
    return strcmp(config->device, "auto") == 0 || strcmp(config->device, "all") == 0;
}

static int choose_all(const struct driver *driver, struct gpu *out_gpu, uint32_t *out_count,
    char *why, size_t why_bytes)
{
    uint32_t there = gpu_count(driver);
    uint32_t count = 0;
    for (uint32_t i = 0; i < there && count < SLOT_DEVICES; i++) {
        count += gpu_at(driver, i, &out_gpu[count]) == STATUS_OK ? 1 : 0;
    }
    *out_count = count;
    if (count == 0) {
        (void)snprintf(why, why_bytes, "no GPU answers; remedy: nvidia-smi says more");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

int devices_choose(const struct config *config, const struct driver *driver,
    struct gpu out_gpu[SLOT_DEVICES], uint32_t *out_count, char *why, size_t why_bytes)
{
    char names[CONFIG_DEVICES_BYTES];
    char *rest = names;
    char *name;
    uint32_t count = 0;
    (void)snprintf(names, sizeof names, "%s", config->device);
    if (strcmp(names, "all") == 0) {
        return choose_all(driver, out_gpu, out_count, why, why_bytes);
    }
    while ((name = strsep(&rest, ",")) != NULL && count < SLOT_DEVICES) {
        int status = gpu_choose(driver, name, &out_gpu[count], why, why_bytes);
        if (status != STATUS_OK) {
            return status;
        }
        for (uint32_t i = 0; i < count; i++) {
            if (memcmp(&out_gpu[i].uuid, &out_gpu[count].uuid, sizeof out_gpu[i].uuid) == 0) {
                (void)snprintf(why, why_bytes,
                    "device: %s is named twice; remedy: name each device once", name);
                return STATUS_INVALID;
            }
        }
        count++;
    }
    *out_count = count;
    return STATUS_OK;
}

int devices_choose_slabs(const struct config *config, const struct gpu *gpu, uint64_t *out_bytes,
    char *why, size_t why_bytes)
{
    uint64_t pool = config->device_pool_bytes;
    uint64_t least =
        gpu->granularity > config->extent_bytes ? gpu->granularity : config->extent_bytes;
    uint64_t bytes = slab_choose_bytes(pool, least);
    if (pool % bytes != 0) {
        (void)snprintf(why, why_bytes,
            "device_pool (%llu MiB) is no whole number of slabs of %llu MiB, as %s has them; "
            "remedy: device_pool = %lluMiB",
            (unsigned long long)(pool >> 20), (unsigned long long)(bytes >> 20), gpu->name,
            (unsigned long long)((pool < bytes ? bytes : pool - pool % bytes) >> 20));
        return STATUS_INVALID;
    }
    *out_bytes = bytes;
    return STATUS_OK;
}

static void explain_one(
    const struct config *config, const struct gpu *gpu, uint32_t number, FILE *out)
{
    char uuid[GPU_UUID_TEXT];
    char why[WHY];
    uint64_t slab = 0;
    bool legacy = config->device_handles == CONFIG_HANDLES_LEGACY;
    gpu_uuid_text(&gpu->uuid, uuid);
    (void)fprintf(out, "device: %u is %s, %s, %llu MiB; ", number, uuid, gpu->name,
        (unsigned long long)(gpu->bytes >> 20));
    if (config->device_pool_bytes == 0) {
        (void)fprintf(out, "nothing is taken of it: device_pool is 0\n");
    } else if (config->device_pool_bytes > gpu->bytes) {
        (void)fprintf(out, "device_pool is more than that: the start would fail\n");
    } else if (!(legacy ? gpu->has_legacy : gpu->granularity > 0)) {
        (void)fprintf(out, "it has no %s; remedy: device_handles = %s\n",
            legacy ? "cuIpc handles" : "memory that travels as a descriptor",
            legacy ? "vmm" : "legacy");
    } else if (devices_choose_slabs(config, gpu, &slab, why, sizeof why) != STATUS_OK) {
        (void)fprintf(out, "%s\n", why);
    } else {
        (void)fprintf(out, "%llu MiB are taken in slabs of %llu MiB, shared as %s\n",
            (unsigned long long)(config->device_pool_bytes >> 20), (unsigned long long)(slab >> 20),
            legacy ? "cuIpc handles" : "descriptors");
    }
}

void devices_explain(const struct config *config, FILE *out)
{
    struct driver driver;
    struct gpu gpu[SLOT_DEVICES];
    uint32_t count = 0;
    char why[WHY];
    if (strcmp(config->device, "none") == 0) {
        (void)fprintf(out, "device: host memory alone, as asked\n");
        return;
    }
    int status = driver_open(&driver, why, sizeof why);
    if (status == STATUS_OK) {
        (void)fprintf(out, "device: %s\n", why);
        status = devices_choose(config, &driver, gpu, &count, why, sizeof why);
    }
    if (status != STATUS_OK) {
        (void)fprintf(out, "device: %s%s\n",
            config->device_pool_bytes == 0 || devices_choose_freely(config)
                ? "host memory alone: "
                : "the start would fail: ",
            why);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        explain_one(config, &gpu[i], i, out);
    }
    driver_close(&driver);
}
