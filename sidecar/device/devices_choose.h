/* devices_choose: from names to devices, and the size of slabs; and what the parts of devices need
 * of each other. For devices.c and devices_*.c alone. */
#ifndef CISTERN_SIDECAR_DEVICE_DEVICES_CHOOSE_H
#define CISTERN_SIDECAR_DEVICE_DEVICES_CHOOSE_H

#include "sidecar/device/devices.h"

/* Does the configuration leave it to us, so that no device is an answer as well? */
bool devices_choose_freely(const struct config *config);

/* The devices that are meant, in their order, not opened. Returns 0; STATUS_INVALID and `why`: one
 * is not here, or is named twice. */
int devices_choose(const struct config *config, const struct driver *driver,
    struct gpu out_gpu[SLOT_DEVICES], uint32_t *out_count, char *why, size_t why_bytes);

/* How large the slabs of a pool are: an extent lies in one. Returns 0, or STATUS_INVALID and `why`:
 * the pool is no whole number of them. */
int devices_choose_slabs(const struct config *config, const struct gpu *gpu, uint64_t *out_bytes,
    char *why, size_t why_bytes);

/* Memory on an open device. As slab_make(). */
int devices_make(struct devices_one *one, const struct config *config, char *why, size_t why_bytes);

/* Fill the gift of a device by what it has now. */
void devices_give(struct devices *devices, uint32_t number);

/* Give one device to the keeper: slabs first. As keep_hold(). */
int devices_hold_one(const struct devices_one *one, uint32_t number, struct keep *keep);

#endif
