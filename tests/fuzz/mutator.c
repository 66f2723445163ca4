/* mutator: gives libFuzzer, which begins with nothing, a target's valid inputs among its own.
 *
 * Built in driver.c's place where libFuzzer brings its main, which calls this for each new input.
 */
#include "tests/fuzz/target.h"

#define SEED_ONE_IN 64u

/* libFuzzer's names for both. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t bytes, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t room, unsigned int seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t room, unsigned int seed)
{
    static uint8_t valid[TARGET_INPUT_MAX];
    if (seed % SEED_ONE_IN != 0) {
        return LLVMFuzzerMutate(data, bytes, room);
    }
    uint64_t state = seed;
    size_t made = target_seed(&state, valid, sizeof valid);
    made = made < room ? made : room;
    for (size_t i = 0; i < made; i++) {
        data[i] = valid[i];
    }
    return made;
}
