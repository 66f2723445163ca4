/* ways: to write and read blocks where they lie in the sidecar's memory of a device, for load. */
#ifndef CISTERN_TESTS_GPU_DOUBLE_WAYS_H
#define CISTERN_TESTS_GPU_DOUBLE_WAYS_H

#include "tests/gpu-double/load.h"

/* Commit slots that kernels fill, and release views that kernels read, when the stream got there.
 * What host memory alone has is copied first. */
extern const struct load_way ways_in_place;

/* Wrong: others see a block as soon as its kernel was asked for. */
extern const struct load_way ways_committed_too_early;

/* Wrong: a slot may be written again while a kernel has yet to read it. */
extern const struct load_way ways_released_too_early;

#endif
