/* target: what a fuzz target gives, and what it takes its input apart with.
 *
 * A target is one file with the two functions below. driver.c calls them with seeded random inputs,
 * libFuzzer with its own. Always: what a target does depends on the input alone, and a broken
 * promise ends the process.
 */
#ifndef CISTERN_TESTS_FUZZ_TARGET_H
#define CISTERN_TESTS_FUZZ_TARGET_H

#include "tests/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TARGET_INPUT_MAX 16384u

/* The part of an input that was not looked at yet. Behind its end all is zero. */
struct target_input {
    const uint8_t *at;
    size_t left;
};

/* libFuzzer's name for it. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* A valid input, made from `state`: a start for mutations. Returns its bytes, at most `room`. */
size_t target_seed(uint64_t *state, uint8_t *out_data, size_t room);

/* The next `bytes` of the input. */
void target_take(struct target_input *input, void *out_data, size_t bytes);
uint8_t target_take8(struct target_input *input);
uint32_t target_take32(struct target_input *input);
uint64_t target_take64(struct target_input *input);

/* End the process, loudly, unless `holds`. */
void target_must(bool holds, const char *what);

#endif
