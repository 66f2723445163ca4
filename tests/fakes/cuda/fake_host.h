/* fake_host: host memory that was registered, and may be used by the device. */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_HOST_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_HOST_H

#include <stdbool.h>
#include <stdint.h>

/* Whether a device may use these bytes of host memory. Under the lock. */
bool fake_host_is_mapped(uint64_t address, uint64_t bytes);

#endif
