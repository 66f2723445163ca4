/* fuzz_space: two namespace descriptors of any bytes: checked, compared, and never read past. */
#include "tests/fuzz/target.h"

#include "shm/space.h"

#include <string.h>

size_t target_seed(uint64_t *state, uint8_t *out_data, size_t room)
{
    struct space pair[2];
    memset(pair, 0, sizeof pair);
    for (size_t i = 0; i < 2; i++) {
        struct space *space = &pair[i];
        (void)snprintf(space->name, sizeof space->name, "n%u", (unsigned)(check_random(state) % 3));
        (void)snprintf(space->model, sizeof space->model, "a model");
        (void)snprintf(space->dtype, sizeof space->dtype, "bfloat16");
        space->block_bytes = 1 + check_random(state) % 65536;
        space->block_tokens = 16;
        space->tp_size = 1 + (uint32_t)(check_random(state) % 8);
        space->tp_rank = (uint32_t)(check_random(state) % space->tp_size);
        space->pp_size = 1;
    }
    if (check_random(state) % 2 == 0) {
        pair[1] = pair[0];
    }
    if (check_random(state) % 4 == 0) { /* a text that does not end */
        char *const texts[] = {pair[0].name, pair[0].dtype, pair[0].engine, pair[0].tenant};
        memset(texts[check_random(state) % CHECK_COUNT(texts)], 'x', SPACE_TEXT);
    }
    target_must(room >= sizeof pair, "room for a seed");
    memcpy(out_data, pair, sizeof pair);
    return sizeof pair;
}

static void check_one(const struct space *space)
{
    if (space_check(space) != NULL) {
        return;
    }
    target_must(space->name[0] != '\0', "a checked namespace has a name");
    const char *const texts[] = {space->name, space->dtype, space->layout, space->rope, space->lora,
        space->engine, space->tenant};
    for (size_t i = 0; i < CHECK_COUNT(texts); i++) {
        target_must(memchr(texts[i], '\0', SPACE_TEXT) != NULL, "a text ends");
    }
    target_must(memchr(space->model, '\0', sizeof space->model) != NULL, "the model ends");
    target_must(space->block_bytes > 0 && space->block_bytes <= UINT32_MAX, "a block's size");
    target_must(space->tp_rank < space->tp_size && space->pp_rank < space->pp_size, "the ranks");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct target_input input = {.at = data, .left = bytes};
    struct space a;
    struct space b;
    target_take(&input, &a, sizeof a);
    target_take(&input, &b, sizeof b);
    check_one(&a);
    check_one(&b);
    bool equal = memcmp(&a, &b, sizeof a) == 0;
    target_must((space_difference(&a, &b) == NULL) == equal, "a difference is found, or none is");
    target_must(space_difference(&a, &a) == NULL, "a namespace is equal to itself");
    target_must(!equal || space_same_name(&a, &b), "equal ones have the same name");
    return 0;
}
