/* attach_device: the device's part of a welcome: checked, then mapped. See attach.h. */
#include "libclient/attach.h"
#include "shm/slot.h"
#include "shm/status.h"

#include <stdio.h>
#include <string.h>

const char *attach_device_fault(const struct hello *hello, const struct welcome *welcome)
{
    uint64_t slab_bytes = welcome->device_slab_bytes;
    uint32_t slots = welcome->device_slots;
    if (welcome->device_slabs == 0) {
        return NULL;
    }
    if ((hello->flags & HELLO_DEVICE) == 0 || (welcome->flags & WELCOME_ISOLATED) != 0) {
        return "device: none was asked for";
    }
    if (welcome->device_slabs > HELLO_SLABS ||
        (welcome->device_kind != HELLO_SLABS_FD && welcome->device_kind != HELLO_SLABS_IPC)) {
        return "number, or kind, of a device's slabs";
    }
    if (slab_bytes == 0 || (slab_bytes & (slab_bytes - 1)) != 0 ||
        slab_bytes > SLOT_OFFSET_MAX / HELLO_SLABS ||
        welcome->device_bytes != slab_bytes * welcome->device_slabs) {
        return "size of a device's memory";
    }
    /* All devices have as many slots, one behind the other: so the first one says which it is. */
    if (slots == 0 || welcome->device_first < welcome->host_slots ||
        (welcome->device_first - welcome->host_slots) % slots != 0 ||
        (welcome->device_first - welcome->host_slots) / slots >= SLOT_DEVICES) {
        return "range of a device's slots";
    }
    if (welcome->device_grants == 0 || welcome->device_grants > hello->grants) {
        return "device grants";
    }
    return welcome->device_pool == 0 ? "device pool" : NULL;
}

uint32_t attach_device_fds(const struct welcome *welcome)
{
    return welcome->device_slabs > 0 && welcome->device_kind == HELLO_SLABS_FD
               ? welcome->device_slabs
               : 0;
}

/* There is none; `why` may be the sidecar's. */
static void go_without(struct attach *attach, int status, const char *why)
{
    attach->device_status = status < 0 ? status : STATUS_UNSUPPORTED;
    (void)snprintf(attach->device_why, sizeof attach->device_why, "%s",
        why[0] != '\0' ? why : "the sidecar has no memory of this device");
}

void attach_device_map(struct attach *attach, const struct hello *hello,
    const struct welcome *welcome, const int *fds, const struct attach_known *known)
{
    if (welcome->device_slabs == 0) {
        bool asked = (hello->flags & HELLO_DEVICE) != 0;
        go_without(attach, welcome->device_status,
            asked ? welcome->why : "the sidecar was not asked for a device");
        return;
    }
    if (slabs_is(known->slabs, welcome)) {
        attach->slabs = known->slabs;
    } else {
        char why[HELLO_WHY] = "no device is open";
        int status = known->gpu == NULL ? STATUS_UNSUPPORTED
                                        : slabs_open(known->gpu, welcome, fds, known->writable,
                                              &attach->slabs, why, sizeof why);
        if (status != STATUS_OK) {
            go_without(attach, status, why);
            return;
        }
    }
    attach->device_first = welcome->device_first;
    attach->device_end = welcome->device_first + welcome->device_slots;
    attach->device_tier = (uint8_t)slot_tier_of_device(
        (welcome->device_first - welcome->host_slots) / welcome->device_slots);
}
