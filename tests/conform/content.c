/* content: names and bytes of blocks, by their number; declared in conform.h. */
#include "tests/conform/conform.h"

#include <string.h>

static uint64_t mix(uint64_t word)
{
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

struct tier_id conform_id(uint64_t number)
{
    struct tier_id id = {.key.word = {number, mix(number + 1), mix(number + 2), mix(number + 3)}};
    memset(id.space, 's', sizeof id.space);
    return id;
}

/* As a bfloat16 of a narrow range looks, so that a codec has something to save. */
void conform_fill(uint64_t number, void *out_data, uint64_t bytes)
{
    uint8_t *out = out_data;
    uint64_t state = mix(number + 77);
    for (uint64_t at = 0; at < bytes; at += sizeof state) {
        uint64_t word =
            (check_random(&state) & UINT64_C(0x03ff03ff03ff03ff)) | UINT64_C(0x3c003c003c003c00);
        memcpy(out + at, &word, bytes - at < sizeof word ? bytes - at : sizeof word);
    }
}
