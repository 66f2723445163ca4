/* fake_context: the primary context of each device, and which one a thread works in. */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_CONTEXT_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_CONTEXT_H

#include "cuda/driver.h"

struct driver_context {
    int device;
    unsigned held; /* retained so often; 0: there is no context */
    int sticky; /* what every call returns since a fault, until the process ends */
    struct driver_stream *null_stream; /* made when it is first used */
};

/* All under the lock. The current one, or NULL; also once it was released. */
struct driver_context *fake_context_current(void);

/* Break one, or all if it is NULL. */
void fake_context_break(struct driver_context *context, int result);

#endif
