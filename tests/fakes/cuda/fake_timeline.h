/* fake_timeline: words of 64 bits that a stream writes, and others await, in any process.
 *
 * A wait looks at its word when it begins, and then only after some stream of some process has
 * written a word: a plain store changes the memory and wakes nobody, as on real drivers.
 */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_TIMELINE_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_TIMELINE_H

#include "tests/fakes/cuda/fake_operation.h"

/* The worker, under the lock, which a wait lets go of. */
void fake_timeline_write(struct driver_stream *stream, const struct fake_operation *operation);
void fake_timeline_wait(struct driver_stream *stream, const struct fake_operation *operation);

#endif
