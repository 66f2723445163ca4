/* smith: a worker with a device that makes and checks blocks, by kernels, where they lie in the
 * sidecar's memory of it. In a child, as bed is; all calls end the process on failure. */
#ifndef CISTERN_TESTS_GPU_DOUBLE_SMITH_H
#define CISTERN_TESTS_GPU_DOUBLE_SMITH_H

#include "tests/e2e/worker.h"
#include "tests/gpu-double/desk.h"
#include "tests/gpu-double/kernels.h"

#define SMITH_ANY UINT32_MAX /* of a tier */

struct smith {
    struct desk desk;
    struct kernels kernels;
};

void smith_open(struct smith *smith, struct child_page *page, const struct daemon *daemon);
void smith_close(struct smith *smith);

/* Blocks `first` to `first` + `count` - 1, each the child of the one before: made, and committed
 * when the stream got there; at most 64. Waits for slots, not for the stream. */
void smith_put(struct smith *smith, uint64_t first, size_t count);

/* smith_put(), and all of it has been read by the sidecar. */
void smith_make(struct smith *smith, uint64_t first, size_t count);

/* Wait for the streams, and for the sidecar. */
void smith_settle(struct smith *smith);

/* Is every word of what a view shows block `number`'s? Looks by a kernel, in a copy if it has to,
 * and releases the view. */
void smith_check(struct smith *smith, struct cistern_view *view, uint64_t number);

/* Acquire a block, and check it. Returns the status of the acquire, and the view's tier. */
int smith_look(struct smith *smith, uint64_t number, uint32_t *out_tier);

/* smith_look() until it is there, in `tier`. */
void smith_find(struct smith *smith, uint64_t number, uint32_t tier);

#endif
