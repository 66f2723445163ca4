/* devices: the GPUs whose memory this sidecar shares: chosen, opened, handed on, taken over.
 *
 *   first start   devices_open ─▶ driver, contexts, slabs ─▶ devices_hold ─▶ the keeper
 *   after a death the keeper's table ─▶ devices_adopt ─▶ the same slabs ─▶ devices_refill
 *
 * Called by sidecar/server_devices and main (explain), on the server's thread, at start and at
 * stop; may block (the driver wakes its devices, and clears memory). Nothing of CUDA runs before
 * the server was forked. A device is known by its number, which is that of its tier, and by its
 * UUID. Always: memory that a device has under one pool_id is never another device's, nor made
 * anew, and a device whose memory went is LOST until the blocks that lay there are forgotten.
 */
#ifndef CISTERN_SIDECAR_DEVICE_DEVICES_H
#define CISTERN_SIDECAR_DEVICE_DEVICES_H

#include "cuda/slab.h"
#include "shm/slot.h"
#include "sidecar/config.h"
#include "sidecar/keep.h"
#include "sidecar/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define DEVICES_FAULTS 2u /* so many within DEVICES_FAULT_NS, and the device is left alone */
#define DEVICES_FAULT_NS UINT64_C(60000000000)

/* What the workers of a device are given; constant while the door is open. */
struct device_gift {
    struct driver_uuid uuid;
    const struct slab_pool *slabs;
    uint64_t pool_id; /* of this memory for ever, never 0 */
    bool usable; /* else there is no memory of it now */
};

/* What the keeper holds of a device: the blob of KEEP_DEVICE. Its slabs are KEEP_SLAB, numbered
 * from device * HELLO_SLABS. */
struct devices_record {
    uint64_t pool_id; /* 0: its memory is lost */
    uint64_t slab_bytes;
    uint32_t slabs;
    uint32_t kind; /* enum slab_kind */
    uint64_t fault_ns[DEVICES_FAULTS]; /* when it failed, the last time last; 0: never */
    struct driver_uuid uuid;
    char name[64];
};

struct devices_one {
    struct gpu gpu;
    struct slab_pool slabs;
    struct devices_record record;
};

/* Stays where it was opened: its parts point at each other. */
struct devices {
    struct driver driver;
    uint32_t count;
    uint32_t lost; /* a bit a device: what lay there is gone, and nobody else knows yet */
    struct devices_one one[SLOT_DEVICES];
    struct device_gift gift[SLOT_DEVICES];
};

/* Open what the configuration names, and take the memory. While it is in use elsewhere, or the
 * driver's services are not up, it waits for up to `device_wait`, and says so in the log; a signal
 * that asks for the end ends the wait. With "auto" and "all" and no usable driver there are no
 * devices, with a line of warning.
 * Returns 0; or a status and `why`, and then nothing is held. */
int devices_open(
    struct devices *out, const struct config *config, struct log *log, char *why, size_t why_bytes);

/* How many the server before had. */
uint32_t devices_held(const struct keep *keep);

/* Take over what the keeper holds, under the same numbers. A device that is not here any more, that
 * cannot be opened, or whose memory ended with the server before (cuIpc) is lost: the keeper then
 * forgets its memory. Waits for nobody. */
void devices_adopt(struct devices *out, struct keep *keep, struct log *log);

/* The blocks of lost devices are forgotten, also by the index: take memory anew where it can be had
 * at once, and give it to the keeper. */
void devices_refill(
    struct devices *devices, const struct config *config, struct keep *keep, struct log *log);

/* Give descriptors and numbers to the keeper, before a client hears of them. As keep_hold(). */
int devices_hold(const struct devices *devices, struct keep *keep);

/* For the next server: this device failed, so this one ends. */
void devices_failed(struct devices *devices, uint32_t number, struct keep *keep);

/* Nothing uses it any more. Accepts one that is not open. */
void devices_close(struct devices *devices);

/* Is a signal pending that asks for the end? */
bool devices_told_to_end(void);

/* Lines for observers: "device_0 …". `locked`: the host pool is page-locked. */
void devices_describe(
    const struct devices *devices, bool locked, char *out_text, size_t text_bytes);

/* The lines of --explain: what would be chosen; nothing is taken. */
void devices_explain(const struct config *config, FILE *out);

#endif
