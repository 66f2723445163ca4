/* kv: KV blocks of the kind that models make, from a seed; for tests of codecs and records. */
#ifndef CISTERN_TESTS_UNIT_SIDECAR_TIER_KV_H
#define CISTERN_TESTS_UNIT_SIDECAR_TIER_KV_H

#include "sidecar/tier/codec_float.h"

#include "tests/check.h"

#define KV_PAGE UINT64_C(4096)

/* About normal: the sum of four uniform numbers, of deviation 1. */
static inline float kv_normal(uint64_t *state)
{
    uint64_t word = check_random(state);
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        sum += (float)(word >> 16 * i & 0xffff) / 65536.0f - 0.5f;
    }
    return sum * 1.7320508f;
}

/* Fill `bytes` with values of the type, deviation 0.3; bytes behind the last value are random. */
static inline void kv_fill(uint64_t *state, enum codec_type type, void *out_data, uint64_t bytes)
{
    uint32_t value_bytes = codec_float_bytes(type);
    uint8_t *at = out_data;
    uint64_t done = 0;
    while (value_bytes > 0 && done + value_bytes <= bytes) {
        float value = 0.3f * kv_normal(state);
        codec_float_store(type, &value, 1, at + done);
        done += value_bytes;
    }
    while (done < bytes) {
        uint64_t word = check_random(state);
        /* Opaque and 8-bit ones: small numbers more often than large ones. */
        at[done++] = (uint8_t)(word & word >> 8 & word >> 16);
    }
}

/* Page-aligned memory for `bytes`, zeroed to the end of the page. */
static inline void *kv_memory(uint64_t bytes)
{
    uint64_t rounded = (bytes + KV_PAGE) / KV_PAGE * KV_PAGE;
    uint8_t *memory = aligned_alloc(KV_PAGE, rounded);
    assert_non_null(memory);
    for (uint64_t i = 0; i < rounded; i++) {
        memory[i] = 0;
    }
    return memory;
}

#endif
