/* fake_clock: what an actor knows to have happened: a vector clock.
 *
 * Actors are the host and each stream. All threads of the host are one actor: how they tell each
 * other that a wait is over cannot be seen here, and a false alarm is worse than a missed one.
 */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_CLOCK_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define FAKE_ACTORS 64
#define FAKE_HOST 0

struct fake_clock {
    uint64_t tick[FAKE_ACTORS];
};

/* All under the lock. An actor for a new stream, and its clock; false: there are too many. A number
 * used again continues the old one's ticks, so what that one did is known to the new one. */
bool fake_clock_take(int *out_actor, struct fake_clock *out_clock);
void fake_clock_drop(int actor, const struct fake_clock *clock);

void fake_clock_join(struct fake_clock *into, const struct fake_clock *from);

#endif
