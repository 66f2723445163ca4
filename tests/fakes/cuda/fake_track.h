/* fake_track: which operation touched which bytes, and whether the next one may.
 *
 * Two accesses to a byte, at least one a write, must be ordered: by a stream, an event, a wait of
 * the host, or a word of the timeline. Checked when the second one runs, whichever that is; so
 * the answer does not depend on luck, only on both having run. Bounded: the latest accesses that
 * the host does not know to be over.
 */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_TRACK_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_TRACK_H

#include "tests/fakes/cuda/fake_clock.h"

/* Who does it, and what that one knows. */
struct fake_doer {
    const char *what;
    int actor;
    const struct fake_clock *clock;
};

/* All under the lock. */
void fake_track_access(const struct fake_doer *doer, uint64_t address, uint64_t bytes, bool writes);

/* The host takes these addresses away: no operation may be waiting to use them, or have used them
 * without the host's knowing that it is over. */
void fake_track_end(const char *what, uint64_t address, uint64_t bytes);

/* The host waited for something. And what it knows by now. */
void fake_track_learn(const struct fake_clock *clock);
const struct fake_clock *fake_track_host(void);

#endif
