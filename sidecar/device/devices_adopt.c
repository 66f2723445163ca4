/* devices_adopt: a dead server's device memory becomes this one's. See devices.h.
 *
 * Order matters where memory is lost: the keeper forgets it, then the blocks that lay there are
 * forgotten, and only then may other memory have the number. Whoever dies in between leaves a
 * record without memory, and the next server does it again.
 */
#include "sidecar/device/devices.h"

#include "shm/hello.h"
#include "shm/status.h"
#include "sidecar/device/devices_choose.h"
#include "sidecar/moment.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#define WHY 512

uint32_t devices_held(const struct keep *keep)
{
    uint32_t count = 0;
    uint32_t at = 0;
    const struct keep_item *item;
    while (keep != NULL && (item = keep_table_next(&keep->held, KEEP_DEVICE, &at)) != NULL) {
        count = item->id < SLOT_DEVICES && item->id >= count ? item->id + 1 : count;
    }
    return count;
}

/* Did it fail so often that it is better left alone? */
static bool is_broken(const struct devices_record *record)
{
    return record->fault_ns[0] != 0 && moment_ns() - record->fault_ns[0] < DEVICES_FAULT_NS;
}

/* Returns false if what is held is not understood, or holds no memory that can be opened again. */
static bool read_record(
    struct devices_one *one, uint32_t number, struct keep *keep, char *why, size_t why_bytes)
{
    const struct keep_item *item = keep_table_find(&keep->held, KEEP_DEVICE, number);
    struct devices_record *record = &one->record;
    if (item == NULL || item->bytes != sizeof *record) {
        (void)snprintf(why, why_bytes, "what the keeper holds of it is not understood");
        return false;
    }
    memcpy(record, item->blob, sizeof *record);
    record->name[sizeof record->name - 1] = '\0';
    if (is_broken(record)) {
        (void)snprintf(why, why_bytes,
            "it failed %u times within a minute and is left alone until the next start; remedy: "
            "nvidia-smi and the kernel's log say more",
            DEVICES_FAULTS);
    } else if (record->pool_id == 0) {
        (void)snprintf(why, why_bytes, "its memory was lost before");
    } else if (record->kind != SLAB_VMM) {
        (void)snprintf(why, why_bytes, "cuIpc memory ends with the server that made it");
    } else if (record->slabs == 0 || record->slabs > SLAB_MOST) {
        (void)snprintf(why, why_bytes, "what the keeper holds of it contradicts itself");
    } else {
        return true;
    }
    return false;
}

/* The descriptors of a record; what is missing is -1. They are the caller's. */
static void take_fds(
    const struct devices_one *one, uint32_t number, struct keep *keep, struct slab_pool *out_shared)
{
    for (uint32_t i = 0; i < one->record.slabs; i++) {
        struct keep_item *item = keep_table_find(&keep->held, KEEP_SLAB, number * HELLO_SLABS + i);
        out_shared->slab[i].fd = -1;
        if (item != NULL && item->fd_count == 1) {
            out_shared->slab[i].fd = item->fds[0];
            item->fds[0] = -1;
        }
    }
}

/* Open the device of a record. Returns 0, or a status and `why`. */
static int open_gpu(struct devices *devices, struct devices_one *one, char *why, size_t why_bytes)
{
    if (devices->driver.library == NULL) {
        int status = driver_open(&devices->driver, why, why_bytes);
        if (status != STATUS_OK) {
            return status;
        }
    }
    int status = gpu_find(&devices->driver, &one->record.uuid, &one->gpu);
    if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes, "it is not here any more");
        return status;
    }
    return gpu_open(&one->gpu, why, why_bytes);
}

static bool adopt_one(
    struct devices *devices, uint32_t number, struct keep *keep, char *why, size_t why_bytes)
{
    struct devices_one *one = &devices->one[number];
    struct driver_context *former = NULL;
    if (!read_record(one, number, keep, why, why_bytes) ||
        open_gpu(devices, one, why, why_bytes) != STATUS_OK) {
        return false;
    }
    struct slab_pool shared = {
        .kind = SLAB_VMM, .count = one->record.slabs, .slab_bytes = one->record.slab_bytes};
    take_fds(one, number, keep, &shared);
    int status = gpu_enter(&one->gpu, &former);
    if (status == STATUS_OK) {
        status = slab_import(&one->gpu, &shared, true, &one->slabs, why, why_bytes);
        gpu_leave(&one->gpu, former);
    }
    for (uint32_t i = 0; i < shared.count; i++) {
        if (status == STATUS_OK) {
            one->slabs.slab[i].fd = shared.slab[i].fd; /* for new clients; closed with the pool */
        } else if (shared.slab[i].fd >= 0) {
            (void)close(shared.slab[i].fd);
        }
    }
    return status == STATUS_OK;
}

/* The keeper forgets the memory, and remembers that it is lost. */
static void lose(struct devices *devices, uint32_t number, struct keep *keep)
{
    struct devices_one *one = &devices->one[number];
    for (uint32_t i = 0; i < HELLO_SLABS; i++) {
        uint32_t id = number * HELLO_SLABS + i;
        if (keep_table_find(&keep->held, KEEP_SLAB, id) != NULL) {
            keep_table_drop(&keep->held, KEEP_SLAB, id);
            keep_drop(keep, KEEP_SLAB, id);
        }
    }
    one->record.pool_id = 0;
    one->record.slabs = 0;
    devices->lost |= UINT32_C(1) << number;
    (void)keep_hold(keep, KEEP_DEVICE, number, &one->record, sizeof one->record, NULL, 0);
}

void devices_adopt(struct devices *out, struct keep *keep, struct log *log)
{
    char why[WHY];
    char uuid[GPU_UUID_TEXT];
    memset(out, 0, sizeof *out);
    out->count = devices_held(keep);
    for (uint32_t i = 0; i < out->count; i++) {
        struct devices_one *one = &out->one[i];
        bool adopted = adopt_one(out, i, keep, why, sizeof why);
        gpu_uuid_text(&one->record.uuid, uuid);
        if (adopted) {
            log_line(log, LOG_INFO, "device", "device %u: %s, %s: took over %llu MiB in %u slabs",
                i, uuid, one->gpu.name,
                (unsigned long long)(one->slabs.count * one->slabs.slab_bytes >> 20),
                one->slabs.count);
        } else {
            log_line(log, LOG_ERROR, "device", "device %u: %s: what lay there is lost: %s", i, uuid,
                why);
            lose(out, i, keep);
        }
        devices_give(out, i);
    }
}

static int refill_one(struct devices *devices, uint32_t number, const struct config *config,
    struct keep *keep, char *why, size_t why_bytes)
{
    struct devices_one *one = &devices->one[number];
    int status = one->gpu.context != NULL ? STATUS_OK : open_gpu(devices, one, why, why_bytes);
    if (status == STATUS_OK) {
        status = devices_make(one, config, why, why_bytes);
    }
    if (status == STATUS_OK) {
        status = devices_hold_one(one, number, keep);
        if (status != STATUS_OK) {
            (void)snprintf(why, why_bytes, "the keeper does not answer");
        }
    }
    return status;
}

void devices_refill(
    struct devices *devices, const struct config *config, struct keep *keep, struct log *log)
{
    char why[WHY];
    for (uint32_t i = 0; i < devices->count; i++) {
        bool lost = (devices->lost >> i & 1) != 0;
        if (lost && !is_broken(&devices->one[i].record)) {
            int status = refill_one(devices, i, config, keep, why, sizeof why);
            log_line(log, status == STATUS_OK ? LOG_INFO : LOG_ERROR, "device", "device %u: %s%s",
                i, why, status == STATUS_OK ? "" : "; going on without it until the next start");
            devices_give(devices, i);
        }
    }
    devices->lost = 0;
}
