/* check: what every test program needs: cmocka, whose header wants others first, and a seed.
 *
 * A random test prints its seed before anything can fail, and does the same again with it
 * (`tests/run --seed 0x2a`, which sets CISTERN_SEED).
 */
#ifndef CISTERN_TESTS_CHECK_H
#define CISTERN_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include <cmocka.h>

#define CHECK_SKIP 77 /* the exit status of a test that cannot run here */
#define CHECK_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The seed of this run, printed. */
static inline uint64_t check_seed(void)
{
    const char *text = getenv("CISTERN_SEED");
    uint64_t seed = 0;
    if (text != NULL && text[0] != '\0') {
        seed = strtoull(text, NULL, 0);
    } else if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
        seed = 42;
    }
    printf("seed 0x%llx\n", (unsigned long long)seed);
    (void)fflush(stdout);
    return seed;
}

/* The next number of the sequence that `state`, at first a seed, stands for (SplitMix64). */
static inline uint64_t check_random(uint64_t *state)
{
    uint64_t word = *state += UINT64_C(0x9e3779b97f4a7c15);
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

#endif
