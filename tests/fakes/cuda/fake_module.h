/* fake_module: modules that a test has loaded, and what can be launched of them. */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_MODULE_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_MODULE_H

#include "tests/fakes/cuda/fake_context.h"

/* A context ends: its modules go. Under the lock. */
void fake_module_end(const struct driver_context *context);

#endif
