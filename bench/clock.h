/* clock: the monotonic clock in nanoseconds, and ways to let it pass. Used by every measurement. */
#ifndef CISTERN_BENCH_CLOCK_H
#define CISTERN_BENCH_CLOCK_H

#include <errno.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_NS_PER_S INT64_C(1000000000)
#define CLOCK_NS_PER_MS INT64_C(1000000)
#define CLOCK_NS_PER_US INT64_C(1000)

static inline int64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * CLOCK_NS_PER_S + now.tv_nsec;
}

/* CPU time of the calling process, all threads. */
static inline int64_t clock_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * CLOCK_NS_PER_S + now.tv_nsec;
}

/* Sleep until the monotonic clock shows `until_ns`; at once if it is past. */
static inline void clock_sleep_until(int64_t until_ns)
{
    struct timespec until = {
        .tv_sec = (time_t)(until_ns / CLOCK_NS_PER_S),
        .tv_nsec = (long)(until_ns % CLOCK_NS_PER_S),
    };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}

/* Keep the core busy until the clock shows `until_ns`: a sleeping core would answer later. */
static inline void clock_spin_until(int64_t until_ns)
{
    while (clock_now_ns() < until_ns) {
    }
}

#endif
