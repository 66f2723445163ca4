/* codec_float: float32 to float16 and bfloat16, and back, a value or a row at a time.
 *
 * Called by codec_int8, whose channels are of any of the three, and by codec: fp16 and bf16 are two
 * rows of its table. Pure. Always: round to nearest even; NaN stays NaN, infinity and both zeros
 * stay what they are, numbers below the normal range are exact or rounded like others.
 *
 * Without branches, so that the compiler makes vectors of the loops.
 */
#ifndef CISTERN_SIDECAR_TIER_CODEC_FLOAT_H
#define CISTERN_SIDECAR_TIER_CODEC_FLOAT_H

#include "sidecar/tier/codec.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define CODEC_FLOAT_ROW 256u /* values that are worked on at one time: a row of a tile */

static inline uint32_t codec_float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float codec_float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* `yes` or `no`, both computed: with ?: the compiler makes a branch around a float operation, and
 * then no vector of the loop (measured: reading float16 takes more than twice as long). */
static inline uint32_t codec_float_pick(bool which, uint32_t yes, uint32_t no)
{
    uint32_t mask = 0u - (uint32_t)which;
    return (yes & mask) | (no & ~mask);
}

static inline uint16_t codec_float_to_bf16(float value)
{
    uint32_t bits = codec_float_bits(value);
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    uint32_t quiet = bits >> 16 | 0x40u; /* the payload of a NaN may lie in the bits that go */
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

static inline float codec_float_from_bf16(uint16_t half)
{
    return codec_float_of((uint32_t)half << 16);
}

static inline uint16_t codec_float_to_fp16(float value)
{
    uint32_t bits = codec_float_bits(value);
    uint32_t size = bits & 0x7fffffffu;
    /* Below 2^-14 one unit is 2^-24, that of a float32 at 0.5: the addition rounds as we need. */
    uint32_t small = codec_float_bits(codec_float_of(size) + 0.5f) - 0x3f000000u;
    uint32_t normal = (size + 0xfffu + (size >> 13 & 1u) - 0x38000000u) >> 13;
    uint32_t quiet = 0x7e00u | (size >> 13 & 0x1ffu);
    uint32_t half = codec_float_pick(size < 0x38800000u, small, normal);
    half = codec_float_pick(size >= 0x477ff000u, 0x7c00u, half); /* 65520 and more */
    half = codec_float_pick(size > 0x7f800000u, quiet, half);
    return (uint16_t)(half | (bits >> 16 & 0x8000u));
}

static inline float codec_float_from_fp16(uint16_t half)
{
    uint32_t size = (uint32_t)(half & 0x7fffu) << 13;
    uint32_t small = codec_float_bits(codec_float_of(size + 0x38800000u) - 0x1p-14f);
    uint32_t normal = size + 0x38000000u;
    uint32_t bits = codec_float_pick(size < 0x00800000u, small, normal);
    bits = codec_float_pick(size >= 0x0f800000u, size + 0x70000000u, bits); /* infinity, NaN */
    return codec_float_of(bits | (uint32_t)(half & 0x8000u) << 16);
}

/* Bytes of a value of the type; 0: the type is no float that can be computed with. */
uint32_t codec_float_bytes(enum codec_type type);

/* `count` values of the type, up to CODEC_FLOAT_ROW, as float32; and the reverse. */
void codec_float_load(enum codec_type type, const void *data, uint32_t count, float *out_values);
void codec_float_store(enum codec_type type, const float *values, uint32_t count, void *out_data);

/* Float32 to the half type and back; as codec_encode() and codec_decode() say. */
int codec_float_encode(enum codec_type half, struct codec_shape shape, const void *data,
    uint64_t bytes, void *out_payload, uint64_t *out_bytes, double *out_error);
int codec_float_decode(enum codec_type half, struct codec_shape shape, const void *payload,
    uint64_t bytes, void *out_data, uint64_t raw_bytes);

#endif
