/* content: generator and verifier of test blocks. The loops are plain so that the compiler may use
 * vectors: verification must not cost more than the reading that it checks. */
#include "bench/content.h"

#include "bench/rng.h"

#include <string.h>

#define WORD_BYTES sizeof(uint64_t)
#define STRETCH_WORDS 512u /* compared without a branch inside */

static uint64_t seed_of(const struct cistern_key *key)
{
    uint64_t words[4];
    memcpy(words, key->bytes, sizeof words);
    uint64_t seed = 0;
    for (int i = 0; i < 4; i++) {
        seed = rng_mix(seed + RNG_STEP + words[i]);
    }
    return seed;
}

static uint64_t word_of(uint64_t seed, uint64_t index)
{
    return rng_mix(seed + index * RNG_STEP);
}

void content_fill(const struct cistern_key *key, void *out_data, uint64_t bytes)
{
    uint64_t seed = seed_of(key);
    unsigned char *to = out_data;
    uint64_t words = bytes / WORD_BYTES;
    for (uint64_t i = 0; i < words; i++) {
        uint64_t word = word_of(seed, i);
        memcpy(to + i * WORD_BYTES, &word, WORD_BYTES);
    }
    uint64_t last = word_of(seed, words);
    memcpy(to + words * WORD_BYTES, &last, bytes % WORD_BYTES);
}

/* The slow half: count byte by byte where a stretch was found to differ. */
static uint64_t count_wrong(uint64_t expected, const unsigned char *data, uint64_t bytes)
{
    unsigned char wanted[WORD_BYTES];
    memcpy(wanted, &expected, WORD_BYTES);
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < bytes; i++) {
        wrong += data[i] != wanted[i];
    }
    return wrong;
}

uint64_t content_wrong_bytes(const struct cistern_key *key, const void *data, uint64_t bytes)
{
    uint64_t seed = seed_of(key);
    const unsigned char *from = data;
    uint64_t words = bytes / WORD_BYTES;
    uint64_t wrong = 0;
    for (uint64_t start = 0; start < words; start += STRETCH_WORDS) {
        uint64_t end = words - start < STRETCH_WORDS ? words : start + STRETCH_WORDS;
        uint64_t differs = 0;
        for (uint64_t i = start; i < end; i++) {
            uint64_t word;
            memcpy(&word, from + i * WORD_BYTES, WORD_BYTES);
            differs |= word ^ word_of(seed, i);
        }
        for (uint64_t i = start; differs != 0 && i < end; i++) {
            wrong += count_wrong(word_of(seed, i), from + i * WORD_BYTES, WORD_BYTES);
        }
    }
    return wrong + count_wrong(word_of(seed, words), from + words * WORD_BYTES, bytes % WORD_BYTES);
}

struct cistern_key content_key(uint64_t seed, uint64_t number)
{
    struct cistern_key key;
    uint64_t state = rng_mix(seed) ^ rng_mix(number + RNG_STEP);
    for (size_t i = 0; i < sizeof key.bytes; i += WORD_BYTES) {
        uint64_t word = rng_next(&state);
        memcpy(key.bytes + i, &word, WORD_BYTES);
    }
    return key;
}
