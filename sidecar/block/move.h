/* move: copies between host memory and a device, as the block layer asks for them.
 *
 * Implemented by device/movers; the block layer knows numbers alone. All calls come from the
 * server's thread.
 */
#ifndef CISTERN_SIDECAR_BLOCK_MOVE_H
#define CISTERN_SIDECAR_BLOCK_MOVE_H

#include <stdbool.h>
#include <stdint.h>

struct move_copy {
    uint64_t cookie;
    uint32_t device;
    bool to_device;
    uint64_t host_offset;
    uint64_t device_offset;
    uint64_t bytes;
};

struct move_done {
    uint64_t cookie;
    int status; /* 0; or STATUS_IO, STATUS_DEVICE_LOST: nothing can be said of the destination's
                   bytes, but nothing writes it any more */
};

struct mover {
    bool (*start)(void *context, const struct move_copy *copy); /* false: no room now, or the device
                                            is lost; ask again after a done */
    uint32_t (*poll)(void *context, struct move_done *out_done, uint32_t room); /* never waits */
    void *context;
};

#endif
