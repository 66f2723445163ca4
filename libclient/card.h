/* card: the GPU that a handle works with: the driver, the device's primary context, and why there
 * is none.
 *
 * Chosen by cistern_open(), once; cistern_device_open() has a card of its own for another GPU. Used
 * by libclient/attach_device to map the sidecar's memory of it, by libclient/get to copy out of it,
 * by libclient/transfer. Always: a thread of the driver never calls the driver (thread.h), no lock
 * of ours is held around a call of it, and a forked child leaves it alone.
 */
#ifndef CISTERN_LIBCLIENT_CARD_H
#define CISTERN_LIBCLIENT_CARD_H

#include "cuda/copy.h"

#define CARD_WHY 512u

struct cistern;

/* Does not move: `gpu` points to `driver`. */
struct card {
    struct driver driver;
    struct gpu gpu; /* its context is NULL: not open */
};

static inline bool card_is_open(const struct card *card)
{
    return card->gpu.context != NULL;
}

/* Load the driver, find the device that `which` names (gpu_choose()) and retain its context. `why`
 * says which it is, or what is missing. Returns 0; STATUS_UNSUPPORTED: no driver; STATUS_INVALID:
 * no such device; or as gpu_open(). On failure nothing is held. */
int card_open(struct card *card, const char *which, char *why, size_t why_bytes);

/* Give it back. Accepts one that is not open, and leaves it so. */
void card_close(struct card *card);

/* At cistern_open(), before the first attach: take the device that the options name, and ask for
 * its part of the pool in every hello. Returns 0, also without a device if `which` does not insist
 * on one; else as card_open(). */
int card_choose(struct cistern *handle, const char *which);

/* At cistern_close(), when nothing of the device is mapped any more. `forked`: in a child, which
 * only forgets it. */
void card_end(struct cistern *handle, bool forked);

/* The driver says that the device is lost to this process: the handle goes on with host memory.
 * Safe to call twice, on any thread. */
void card_give_up(struct cistern *handle);

/* Unmap the device memory that nothing of the handle uses any more, unless this is a thread of the
 * driver; then the next call does. Under no lock. */
void card_sweep(struct cistern *handle);

/* Copy `bytes` from an address of the device to host memory, and wait for it. Returns 0 or as
 * driver_status(). */
int card_copy_out(struct cistern *handle, const void *from, void *out_data, uint64_t bytes);

#endif
