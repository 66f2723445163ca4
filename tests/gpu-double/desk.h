/* desk: a worker with a device, tensors in it, and a handle on a sidecar. In a child, as bed is. */
#ifndef CISTERN_TESTS_GPU_DOUBLE_DESK_H
#define CISTERN_TESTS_GPU_DOUBLE_DESK_H

#include "cuda/copy.h"
#include "libclient/include/cistern_device.h"
#include "tests/e2e/daemon.h"
#include "tests/gpu-double/bed.h"

struct desk {
    struct bed bed;
    struct slab_pool tensors; /* BED_SLAB_BYTES */
    struct copy_stream stream;
    cistern_t *handle; /* with two seats, in the tests' namespace */
    cistern_device_t *device;
};

/* Open all of it, on the first device; no operation is late. `flags` are those of the handle. Ends
 * the process on failure. */
void desk_open(
    struct desk *desk, struct child_page *page, const struct daemon *daemon, uint32_t flags);

/* The same, with a handle that reads and writes the sidecar's memory of that device in place. */
void desk_open_in_place(struct desk *desk, struct child_page *page, const struct daemon *daemon);

void desk_close(struct desk *desk);

#endif
