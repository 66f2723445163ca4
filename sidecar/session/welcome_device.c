/* welcome_device: see welcome_device.h. */
#include "sidecar/session/welcome_device.h"

#include "shm/counter.h"
#include "shm/status.h"
#include "sidecar/block/pool_class.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define TRUSTED_PART 2u /* of a device's pool one client may pin: its quota guards against bugs */

static_assert((int)HELLO_SLABS == (int)SLAB_MOST, "all slabs of a pool fit into a welcome");
static_assert(sizeof(struct driver_uuid) == HELLO_UUID, "a UUID is a UUID");
static_assert(sizeof(struct driver_ipc_handle) == HELLO_IPC, "a handle is a handle");
static_assert((int)SLAB_VMM == (int)HELLO_SLABS_FD && (int)SLAB_LEGACY == (int)HELLO_SLABS_IPC,
    "kinds are the same on the wire");

/* The number of the device, or SESSION_NO_DEVICE. */
static uint32_t find(const struct welcome_gifts *gifts, const uint8_t uuid[HELLO_UUID])
{
    for (uint32_t i = 0; i < gifts->device_count; i++) {
        if (memcmp(gifts->devices[i].uuid.byte, uuid, HELLO_UUID) == 0) {
            return i;
        }
    }
    return SESSION_NO_DEVICE;
}

/* Why nothing can be given of the device; 0 if it can. */
static int refusal(const struct session *session, const struct welcome_gifts *gifts,
    uint32_t device, char *why, size_t why_bytes)
{
    if (gifts->device_count == 0) {
        (void)snprintf(why, why_bytes,
            "the sidecar has no GPU memory; remedy: give it some with device_pool (its log and "
            "cisternd --explain say what it found)");
        return STATUS_UNSUPPORTED;
    }
    if (session->isolated) {
        (void)snprintf(why, why_bytes,
            "whoever has a GPU's memory can write it, so it is for trusted users alone; remedy: "
            "trusted_users of the sidecar, and no CISTERN_ISOLATED");
        return STATUS_DENIED;
    }
    if (device == SESSION_NO_DEVICE) {
        (void)snprintf(why, why_bytes,
            "the sidecar has no memory on this worker's GPU; remedy: name it in 'device' of the "
            "sidecar, or write device = all");
        return STATUS_UNSUPPORTED;
    }
    if (!gifts->devices[device].usable) {
        (void)snprintf(why, why_bytes, "the sidecar lost this GPU; remedy: see its log");
        return STATUS_DEVICE_LOST;
    }
    return STATUS_OK;
}

int welcome_device_choose(struct session *session, const struct hello *hello,
    const struct welcome_gifts *gifts, char *why, size_t why_bytes)
{
    struct session_table *table = session->table;
    uint32_t device = find(gifts, hello->device);
    int status = refusal(session, gifts, device, why, why_bytes);
    if (status == STATUS_OK) {
        status = pool_class_take(&table->blocks->pool, hello->space.block_bytes,
            slot_tier_of_device(device), &session->device_class);
        if (status != STATUS_OK) {
            (void)snprintf(why, why_bytes, "blocks of %llu bytes find no place on the GPU: %s",
                (unsigned long long)hello->space.block_bytes, status_meaning(status));
        }
    }
    if (status != STATUS_OK) {
        counter_add(table->blocks->counters, COUNTER_devices_refused, 1);
        log_line(table->log, LOG_INFO, "welcome", "pid %d, uid %u gets host memory alone: %s",
            session->pid, session->uid, why);
        return status;
    }
    session->device = device;
    /* Who died with a kernel or a copy under way leaves a late writer behind. */
    session->late_writes = true;
    return STATUS_OK;
}

static uint64_t bytes_of(const struct slab_pool *slabs)
{
    return slabs->count * slabs->slab_bytes;
}

uint64_t welcome_device_quotas(struct session *session, const struct welcome_gifts *gifts,
    uint32_t seats, uint32_t grants_asked)
{
    const struct session_table *table = session->table;
    if (session->device == SESSION_NO_DEVICE) {
        return UINT64_MAX;
    }
    uint64_t bytes = bytes_of(gifts->devices[session->device].slabs);
    uint64_t slot_bytes = pool_slot_bytes(&table->blocks->pool, session->device_class);
    uint64_t grants = bytes / 100 * (uint64_t)table->config->grants_share / slot_bytes;
    grants = grants > grants_asked ? grants_asked : grants;
    session->device_grants_max = grants == 0 ? 1 : (uint32_t)grants;
    return bytes / TRUSTED_PART / slot_bytes / seats;
}

void welcome_device_fill(const struct session *session, const struct welcome_gifts *gifts,
    struct welcome *welcome, int *fds)
{
    if (session->device == SESSION_NO_DEVICE) {
        return;
    }
    const struct device_gift *gift = &gifts->devices[session->device];
    const struct slab_pool *slabs = gift->slabs;
    const struct pool *pool = &session->table->blocks->pool;
    welcome->device_slots =
        pool_tier_slots(pool, slot_tier_of_device(session->device), &welcome->device_first);
    welcome->device_slabs = slabs->count;
    welcome->device_kind = slabs->kind == SLAB_VMM ? HELLO_SLABS_FD : HELLO_SLABS_IPC;
    welcome->device_grants = session->device_grants_max;
    welcome->device_bytes = bytes_of(slabs);
    welcome->device_slab_bytes = slabs->slab_bytes;
    welcome->device_pool = gift->pool_id;
    for (uint32_t i = 0; i < slabs->count; i++) {
        if (slabs->kind == SLAB_VMM) {
            fds[welcome->fds++] = slabs->slab[i].fd;
        } else {
            memcpy(welcome->device_ipc[i], slabs->slab[i].ipc.byte, HELLO_IPC);
        }
    }
}
