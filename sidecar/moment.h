/* moment: what time it is. Used all over the sidecar; a deadline is always monotonic. */
#ifndef CISTERN_SIDECAR_MOMENT_H
#define CISTERN_SIDECAR_MOMENT_H

#include <stdint.h>
#include <time.h>

static inline uint64_t moment_of(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Nanoseconds since boot; never goes back. */
static inline uint64_t moment_ns(void)
{
    return moment_of(CLOCK_MONOTONIC);
}

/* Nanoseconds since 1970, for what must differ between two starts. */
static inline uint64_t moment_wall_ns(void)
{
    return moment_of(CLOCK_REALTIME);
}

#endif
