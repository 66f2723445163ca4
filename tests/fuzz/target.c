/* target: see target.h. */
#include "tests/fuzz/target.h"

#include <stdlib.h>
#include <string.h>

void target_take(struct target_input *input, void *out_data, size_t bytes)
{
    size_t have = input->left < bytes ? input->left : bytes;
    memset(out_data, 0, bytes);
    if (have > 0) {
        memcpy(out_data, input->at, have);
        input->at += have;
        input->left -= have;
    }
}

uint8_t target_take8(struct target_input *input)
{
    uint8_t value;
    target_take(input, &value, sizeof value);
    return value;
}

uint32_t target_take32(struct target_input *input)
{
    uint32_t value;
    target_take(input, &value, sizeof value);
    return value;
}

uint64_t target_take64(struct target_input *input)
{
    uint64_t value;
    target_take(input, &value, sizeof value);
    return value;
}

void target_must(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "broken promise: %s\n", what);
        abort();
    }
}
