/* kv_sample: see kv_sample.h. */
#include "bench/kv_sample.h"

#include "bench/rng.h"
#include "sidecar/tier/codec_float.h"

#include <math.h>
#include <string.h>

#define TWO_PI 6.283185307179586
#define DEVIATION 0.3
#define FOLLOW 0.9 /* what a token keeps of the one before it */

struct channel {
    double mean;
    double scale;
    double state;
};

/* Box and Muller, 1958. */
static double normal(uint64_t *state)
{
    double radius = sqrt(-2 * log(((double)(rng_next(state) >> 11) + 1) * 0x1p-53));
    return radius * cos(TWO_PI * (double)(rng_next(state) >> 11) * 0x1p-53);
}

/* float8 e4m3: 4 bits of exponent, 3 of mantissa, no infinity; 448 is the largest. */
static uint8_t to_e4m3(float value)
{
    uint32_t bits = codec_float_bits(value);
    uint32_t size = bits & 0x7fffffffu;
    uint8_t sign = (uint8_t)(bits >> 24 & 0x80u);
    if (size < 0x3c800000u) { /* below 2^-6 one unit is 2^-9 */
        return sign | (uint8_t)lrintf(codec_float_of(size) * 512.0f);
    }
    uint32_t rounded = (size + 0x7ffffu + (size >> 20 & 1u)) >> 20;
    uint32_t code = rounded - (120u << 3);
    return sign | (uint8_t)(code > 0x7eu ? 0x7eu : code);
}

static void put(enum codec_type type, float value, uint64_t index, uint8_t *out_data)
{
    if (type == CODEC_FLOAT8) {
        out_data[index] = to_e4m3(value);
        return;
    }
    codec_float_store(type, &value, 1, out_data + index * codec_float_bytes(type));
}

static void choose_channels(uint64_t *state, struct channel *out_channels)
{
    for (uint32_t i = 0; i < KV_SAMPLE_CHANNELS; i++) {
        bool outlier = rng_below(state, 100) < 3;
        out_channels[i] = (struct channel){
            .mean = normal(state) * (outlier ? 8 : 0.5),
            .scale = 0.3 * exp(0.5 * normal(state)),
            .state = normal(state),
        };
    }
}

void kv_sample_fill(uint64_t seed, enum codec_type type, uint64_t bytes, void *out_data)
{
    struct channel channels[KV_SAMPLE_CHANNELS];
    uint64_t state = rng_mix(seed + 1);
    uint64_t count = type == CODEC_FLOAT8 ? bytes : bytes / codec_float_bytes(type);
    choose_channels(&state, channels);
    for (uint64_t i = 0; i < count; i++) {
        struct channel *channel = &channels[i % KV_SAMPLE_CHANNELS];
        double value = DEVIATION * normal(&state);
        if (i < count / 2) {
            channel->state =
                FOLLOW * channel->state + sqrt(1 - FOLLOW * FOLLOW) * value / DEVIATION;
            value = channel->mean + channel->scale * channel->state;
        }
        put(type, (float)value, i, out_data);
    }
}
