/* rng: a small seeded generator (splitmix64). Same seed, same run. */
#ifndef CISTERN_BENCH_RNG_H
#define CISTERN_BENCH_RNG_H

#include <stdint.h>

#define RNG_STEP UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t rng_mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static inline uint64_t rng_next(uint64_t *state)
{
    *state += RNG_STEP;
    return rng_mix(*state);
}

/* A number below `limit`, which is not 0. The bias is below limit / 2^64. */
static inline uint64_t rng_below(uint64_t *state, uint64_t limit)
{
    return (uint64_t)(((unsigned __int128)rng_next(state) * limit) >> 64);
}

#endif
