/* pattern: what the bytes of a test's block are: the block's number decides every one.
 *
 * One definition for the host (tests/e2e/worker), for the kernels of tests/gpu-double/kernels_ptx,
 * and for what the double of the driver runs in their place.
 */
#ifndef CISTERN_TESTS_PATTERN_H
#define CISTERN_TESTS_PATTERN_H

#include <stdint.h>

static inline uint64_t pattern_mix(uint64_t word)
{
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

/* The 8 bytes at offset `at`, a multiple of 8 below 1 MiB, of block `number`. */
static inline uint64_t pattern_word(uint64_t number, uint64_t at)
{
    return pattern_mix(number << 20 | at);
}

#endif
