/* fake_event: points of a stream's work that the host and other streams can wait for.
 *
 * An event stands for the point of its latest record; who waits holds the point, so an event may be
 * recorded again or destroyed meanwhile. An event that was never recorded is complete.
 */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_EVENT_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_EVENT_H

#include "tests/fakes/cuda/fake_clock.h"

struct fake_point;

/* All under the lock; the first accepts NULL. The stream's clock is read, or learns. */
void fake_event_drop(struct fake_point *point);
void fake_event_reach(struct fake_point *point, const struct fake_clock *clock);
void fake_event_await(const struct fake_point *point, struct fake_clock *clock);

#endif
