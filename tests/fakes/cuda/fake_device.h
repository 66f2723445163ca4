/* fake_device: the GPUs that this process sees. An ordinal is the process's own, a UUID is not. */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_DEVICE_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_DEVICE_H

#include "cuda/driver.h"

#define FAKE_GRANULE (UINT64_C(2) << 20)

/* All under the lock. Returns 0, or NO_DEVICE. */
int fake_device_start(void);

bool fake_device_exists(int device);
const struct driver_uuid *fake_device_uuid(int device);
int fake_device_find(const struct driver_uuid *uuid); /* below 0: not visible here */
int fake_device_attribute(int attribute);

#endif
