/* moment: the monotonic clock, in nanoseconds. Called wherever the library waits; never by a
 * hit. */
#ifndef CISTERN_LIBCLIENT_MOMENT_H
#define CISTERN_LIBCLIENT_MOMENT_H

#include <stdint.h>
#include <time.h>

#define MOMENT_MS UINT64_C(1000000)
#define MOMENT_NEVER UINT64_MAX

static inline uint64_t moment_of(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 * MOMENT_MS + (uint64_t)now.tv_nsec;
}

static inline uint64_t moment_now_ns(void)
{
    return moment_of(CLOCK_MONOTONIC);
}

/* A few milliseconds coarse, and cheaper than a cache miss: for "was that long ago?". */
static inline uint64_t moment_coarse_ns(void)
{
    return moment_of(CLOCK_MONOTONIC_COARSE);
}

/* The deadline `timeout_ns` (not negative) from now. */
static inline uint64_t moment_after_ns(int64_t timeout_ns)
{
    uint64_t now = moment_now_ns();
    return (uint64_t)timeout_ns > MOMENT_NEVER - now ? MOMENT_NEVER : now + (uint64_t)timeout_ns;
}

#endif
