/* devices: opens what is chosen, waits for memory, gives it to the keeper. See devices.h. */
#include "sidecar/device/devices.h"

#include "shm/hello.h"
#include "shm/status.h"
#include "sidecar/device/devices_choose.h"
#include "sidecar/moment.h"

#include <assert.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define AGAIN_NS 100000000 /* between two tries for memory */
#define SAY_NS UINT64_C(5000000000) /* between two lines about it */

static_assert(SLAB_MOST == HELLO_SLABS, "a welcome and the keeper number all slabs of a pool");
static_assert(sizeof(struct devices_record) <= KEEP_TABLE_BYTES, "one item describes a device");

/* How long a start goes on trying. */
struct patience {
    struct log *log;
    uint64_t until_ns;
    uint64_t say_ns;
};

bool devices_told_to_end(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

/* Something was refused: wait a little. Returns false if another try would be no use, or too
 * late. */
static bool wait_a_little(struct patience *patience, int status, const char *why)
{
    uint64_t now = moment_ns();
    if ((status != STATUS_NO_MEMORY && status != STATUS_BUSY) || now >= patience->until_ns ||
        devices_told_to_end()) {
        return false;
    }
    if (now >= patience->say_ns) {
        log_line(patience->log, LOG_WARN, "device", "waiting for up to %llu s: %s",
            (unsigned long long)((patience->until_ns - now) / 1000000000u), why);
        patience->say_ns = now + SAY_NS;
    }
    (void)nanosleep(&(struct timespec){.tv_nsec = AGAIN_NS}, NULL);
    return true;
}

/* A number that no other memory has. */
static uint64_t new_id(void)
{
    uint64_t id = 0;
    if (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id || id == 0) {
        id = (uint64_t)moment_wall_ns() | 1;
    }
    return id;
}

int devices_make(struct devices_one *one, const struct config *config, char *why, size_t why_bytes)
{
    struct driver_context *former = NULL;
    uint64_t slab_bytes = 0;
    enum slab_kind kind = config->device_handles == CONFIG_HANDLES_LEGACY ? SLAB_LEGACY : SLAB_VMM;
    int status = devices_choose_slabs(config, &one->gpu, &slab_bytes, why, why_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    status = gpu_enter(&one->gpu, &former);
    if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes, "%s cannot be used any more", one->gpu.name);
        return status;
    }
    uint32_t slabs = (uint32_t)(config->device_pool_bytes / slab_bytes);
    status = slab_make(&one->gpu, kind, slabs, slab_bytes, &one->slabs, why, why_bytes);
    gpu_leave(&one->gpu, former);
    if (status == STATUS_OK) {
        one->record.pool_id = new_id();
        one->record.kind = (uint32_t)kind;
        one->record.slabs = slabs;
        one->record.slab_bytes = slab_bytes;
    }
    return status;
}

void devices_give(struct devices *devices, uint32_t number)
{
    const struct devices_one *one = &devices->one[number];
    devices->gift[number] = (struct device_gift){.uuid = one->record.uuid,
        .slabs = &one->slabs,
        .pool_id = one->record.pool_id,
        .usable = one->slabs.gpu != NULL};
}

static int open_one(struct devices *devices, const struct gpu *gpu, const struct config *config,
    struct patience *patience, char *why, size_t why_bytes)
{
    uint32_t number = devices->count++;
    struct devices_one *one = &devices->one[number];
    one->gpu = *gpu;
    one->record.uuid = gpu->uuid;
    (void)snprintf(one->record.name, sizeof one->record.name, "%s", gpu->name);
    int status;
    do {
        status = gpu_open(&one->gpu, why, why_bytes);
    } while (wait_a_little(patience, status, why));
    if (status != STATUS_OK) {
        return status;
    }
    do {
        status = devices_make(one, config, why, why_bytes);
    } while (wait_a_little(patience, status, why));
    if (status == STATUS_OK) {
        devices_give(devices, number);
        log_line(patience->log, LOG_INFO, "device", "device %u: %s", number, why);
    }
    return status;
}

/* The driver and the devices that are meant. */
static int find(struct devices *devices, const struct config *config, struct patience *patience,
    struct gpu *out_gpu, uint32_t *out_count, char *why, size_t why_bytes)
{
    int status;
    do {
        status = driver_open(&devices->driver, why, why_bytes);
    } while (wait_a_little(patience, status, why));
    if (status == STATUS_OK) {
        log_line(patience->log, LOG_INFO, "device", "%s", why);
        status = devices_choose(config, &devices->driver, out_gpu, out_count, why, why_bytes);
    }
    return status;
}

int devices_open(
    struct devices *out, const struct config *config, struct log *log, char *why, size_t why_bytes)
{
    struct patience patience = {.log = log, .until_ns = moment_ns() + config->device_wait_ns};
    struct gpu gpu[SLOT_DEVICES];
    uint32_t count = 0;
    memset(out, 0, sizeof *out);
    if (config_devices(config) == 0) {
        return STATUS_OK;
    }
    int status = find(out, config, &patience, gpu, &count, why, why_bytes);
    if (status != STATUS_OK && devices_choose_freely(config) && !devices_told_to_end()) {
        log_line(log, LOG_WARN, "device", "going on with host memory alone: %s", why);
        devices_close(out);
        return STATUS_OK;
    }
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = open_one(out, &gpu[i], config, &patience, why, why_bytes);
    }
    if (status != STATUS_OK) {
        devices_close(out);
    }
    return status;
}

int devices_hold_one(const struct devices_one *one, uint32_t number, struct keep *keep)
{
    int status = STATUS_OK;
    bool travels = one->slabs.gpu != NULL && one->slabs.kind == SLAB_VMM;
    for (uint32_t i = 0; travels && i < one->slabs.count && status == STATUS_OK; i++) {
        status = keep_hold(
            keep, KEEP_SLAB, number * HELLO_SLABS + i, NULL, 0, &one->slabs.slab[i].fd, 1);
    }
    return status == STATUS_OK
               ? keep_hold(keep, KEEP_DEVICE, number, &one->record, sizeof one->record, NULL, 0)
               : status;
}

int devices_hold(const struct devices *devices, struct keep *keep)
{
    int status = STATUS_OK;
    for (uint32_t i = 0; i < devices->count && status == STATUS_OK; i++) {
        status = devices_hold_one(&devices->one[i], i, keep);
    }
    return status;
}

void devices_failed(struct devices *devices, uint32_t number, struct keep *keep)
{
    struct devices_record *record = &devices->one[number].record;
    memmove(record->fault_ns, record->fault_ns + 1,
        sizeof record->fault_ns - sizeof record->fault_ns[0]);
    record->fault_ns[DEVICES_FAULTS - 1] = moment_ns();
    (void)keep_hold(keep, KEEP_DEVICE, number, record, sizeof *record, NULL, 0);
}

void devices_close(struct devices *devices)
{
    for (uint32_t i = 0; i < devices->count; i++) {
        struct devices_one *one = &devices->one[i];
        struct driver_context *former = NULL;
        bool inside = one->gpu.context != NULL && gpu_enter(&one->gpu, &former) == STATUS_OK;
        slab_close(&one->slabs);
        if (inside) {
            gpu_leave(&one->gpu, former);
        }
        gpu_close(&one->gpu);
    }
    if (devices->driver.library != NULL) {
        driver_close(&devices->driver);
    }
    devices->count = 0;
}

void devices_describe(const struct devices *devices, bool locked, char *out_text, size_t text_bytes)
{
    bool brief = devices->count > 3; /* an observer's page is small */
    size_t used = 0;
    for (uint32_t i = 0; i < devices->count && used < text_bytes; i++) {
        const struct devices_one *one = &devices->one[i];
        char uuid[GPU_UUID_TEXT];
        int length;
        gpu_uuid_text(&one->record.uuid, uuid);
        if (one->slabs.gpu == NULL) {
            length = snprintf(out_text + used, text_bytes - used, "device_%u %s, lost\n", i, uuid);
        } else if (brief) {
            length = snprintf(out_text + used, text_bytes - used, "device_%u %.12s, %llu MiB\n", i,
                uuid, (unsigned long long)(one->slabs.count * one->slabs.slab_bytes >> 20));
        } else {
            length = snprintf(out_text + used, text_bytes - used,
                "device_%u %s, %s, %llu MiB in %u slabs shared as %s, pool %s\n", i, uuid,
                one->record.name,
                (unsigned long long)(one->slabs.count * one->slabs.slab_bytes >> 20),
                one->slabs.count, one->slabs.kind == SLAB_VMM ? "descriptors" : "cuIpc handles",
                locked ? "page-locked" : "not page-locked");
        }
        used += length > 0 ? (size_t)length : 0;
    }
}
