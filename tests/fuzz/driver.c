/* driver: runs a target on seeded inputs where there is no libFuzzer: random ones, valid ones, and
 * valid ones with a few bytes changed. With a file as argument it runs that input alone.
 *
 * A crash, or a promise that does not hold, leaves its input in `crash-TARGET`, to be run again by
 * name; the seed does it all again.
 */
#include "tests/fuzz/target.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#ifndef FUZZ_ROUNDS
#define FUZZ_ROUNDS 2000u
#endif

static uint8_t input[TARGET_INPUT_MAX];
static size_t input_bytes;
static char crash_path[256];

static void save(int number)
{
    int file = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file >= 0) {
        (void)!write(file, input, input_bytes);
        (void)close(file);
    }
    (void)!write(STDERR_FILENO, "the input is in ", 16);
    (void)!write(STDERR_FILENO, crash_path, strlen(crash_path));
    (void)!write(STDERR_FILENO, "\n", 1);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void fill_random(uint64_t *state)
{
    uint64_t most = (check_random(state) & 1) != 0 ? 64 : sizeof input;
    input_bytes = check_random(state) % (most + 1);
    for (size_t i = 0; i < input_bytes; i++) {
        input[i] = (uint8_t)check_random(state);
    }
}

/* One to eight changes: a byte, a bit, a run of one value, the end. */
static void mutate(uint64_t *state)
{
    uint64_t changes = 1 + check_random(state) % 8;
    for (uint64_t i = 0; i < changes && input_bytes > 0; i++) {
        uint64_t word = check_random(state);
        size_t at = check_random(state) % input_bytes;
        size_t run = 1 + word % 16;
        switch (word >> 32 & 3) {
        case 0:
            input[at] = (uint8_t)(word >> 8);
            break;
        case 1:
            input[at] ^= (uint8_t)(1u << (word & 7));
            break;
        case 2:
            run = run < input_bytes - at ? run : input_bytes - at;
            memset(input + at, (word & 64) != 0 ? 0xff : 0, run);
            break;
        default:
            input_bytes = (word & 0xf00) == 0 ? at + 1 : input_bytes;
            break;
        }
    }
}

static int run_file(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? -1 : read(file, input, sizeof input);
    if (file >= 0) {
        (void)close(file);
    }
    if (got < 0) {
        (void)fprintf(stderr, "cannot read %s\n", path);
        return 2;
    }
    input_bytes = (size_t)got;
    (void)LLVMFuzzerTestOneInput(input, input_bytes);
    return 0;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    const char *name = slash == NULL ? argv[0] : slash + 1;
    (void)snprintf(crash_path, sizeof crash_path, "crash-%s", name);
    (void)setenv("CMOCKA_TEST_ABORT", "1", 1); /* an assertion of a helper is a crash here */
    if (argc > 1) {
        return run_file(argv[1]);
    }
    (void)signal(SIGABRT, save);
#ifndef __SANITIZE_ADDRESS__ /* it says more of these itself, and then aborts */
    (void)signal(SIGSEGV, save);
    (void)signal(SIGBUS, save);
#endif
    uint64_t state = check_seed();
    for (uint32_t i = 0; i < FUZZ_ROUNDS; i++) {
        if (i % 4 == 0) {
            fill_random(&state);
        } else {
            input_bytes = target_seed(&state, input, sizeof input);
        }
        if (i % 4 > 1) {
            mutate(&state);
        }
        (void)LLVMFuzzerTestOneInput(input, input_bytes);
    }
    printf("%u inputs\n", FUZZ_ROUNDS);
    return 0;
}
