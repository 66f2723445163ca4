/* fake_legacy: memory of cuMemAlloc, and the cuIpc handles of it. */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_LEGACY_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_LEGACY_H

#include "cuda/driver.h"

/* A context ends: what was allocated or opened in it goes. Under the lock. */
void fake_legacy_end(struct driver_context *context);

#endif
