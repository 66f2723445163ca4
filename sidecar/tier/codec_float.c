/* codec_float: see codec_float.h. */
#include "sidecar/tier/codec_float.h"

#include "shm/status.h"

#include <assert.h>
#include <math.h>

/* What the columns of a tile were at most, and what was lost of them at most. */
struct loss {
    float most[CODEC_FLOAT_ROW];
    float worst[CODEC_FLOAT_ROW];
};

uint32_t codec_float_bytes(enum codec_type type)
{
    switch (type) {
    case CODEC_FLOAT32:
        return 4;
    case CODEC_FLOAT16:
    case CODEC_BFLOAT16:
        return 2;
    case CODEC_OPAQUE:
    case CODEC_FLOAT8:
        break;
    }
    return 0;
}

static void load_fp16(const uint8_t *data, uint32_t count, float *out_values)
{
    for (uint32_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, data + 2 * (size_t)i, sizeof half);
        out_values[i] = codec_float_from_fp16(half);
    }
}

static void load_bf16(const uint8_t *data, uint32_t count, float *out_values)
{
    for (uint32_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, data + 2 * (size_t)i, sizeof half);
        out_values[i] = codec_float_from_bf16(half);
    }
}

void codec_float_load(enum codec_type type, const void *data, uint32_t count, float *out_values)
{
    assert(count <= CODEC_FLOAT_ROW && codec_float_bytes(type) > 0);
    if (type == CODEC_FLOAT16) {
        load_fp16(data, count, out_values);
    } else if (type == CODEC_BFLOAT16) {
        load_bf16(data, count, out_values);
    } else {
        memcpy(out_values, data, count * sizeof(float));
    }
}

static void store_fp16(const float *values, uint32_t count, uint8_t *out_data)
{
    for (uint32_t i = 0; i < count; i++) {
        uint16_t half = codec_float_to_fp16(values[i]);
        memcpy(out_data + 2 * (size_t)i, &half, sizeof half);
    }
}

static void store_bf16(const float *values, uint32_t count, uint8_t *out_data)
{
    for (uint32_t i = 0; i < count; i++) {
        uint16_t half = codec_float_to_bf16(values[i]);
        memcpy(out_data + 2 * (size_t)i, &half, sizeof half);
    }
}

void codec_float_store(enum codec_type type, const float *values, uint32_t count, void *out_data)
{
    assert(count <= CODEC_FLOAT_ROW && codec_float_bytes(type) > 0);
    if (type == CODEC_FLOAT16) {
        store_fp16(values, count, out_data);
    } else if (type == CODEC_BFLOAT16) {
        store_bf16(values, count, out_data);
    } else {
        memcpy(out_data, values, count * sizeof(float));
    }
}

/* One row of a tile: narrowed, widened again, and what that cost. A number that became infinity
 * costs infinity; what was none to begin with (the difference is NaN) costs nothing. */
static void narrow_row(
    enum codec_type half, const uint8_t *data, uint32_t count, uint8_t *out_data, struct loss *loss)
{
    float values[CODEC_FLOAT_ROW];
    float again[CODEC_FLOAT_ROW];
    codec_float_load(CODEC_FLOAT32, data, count, values);
    codec_float_store(half, values, count, out_data);
    codec_float_load(half, out_data, count, again);
    for (uint32_t i = 0; i < count; i++) {
        float size = fabsf(values[i]);
        float lost = fabsf(values[i] - again[i]);
        size = size < INFINITY ? size : 0;
        loss->most[i] = size > loss->most[i] ? size : loss->most[i];
        loss->worst[i] = lost > loss->worst[i] ? lost : loss->worst[i];
    }
}

/* Channels are not known: the whole block is one. */
static void fold(struct loss *loss)
{
    for (uint32_t i = 1; i < CODEC_FLOAT_ROW; i++) {
        loss->most[0] = loss->most[i] > loss->most[0] ? loss->most[i] : loss->most[0];
        loss->worst[0] = loss->worst[i] > loss->worst[0] ? loss->worst[i] : loss->worst[0];
    }
}

/* Returns false if a number did not fit. */
static bool judge(const struct loss *loss, uint32_t count, double *error)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!(loss->worst[i] < INFINITY)) {
            return false;
        }
        double relative = loss->worst[i] > 0 ? (double)loss->worst[i] / (double)loss->most[i] : 0;
        *error = relative > *error ? relative : *error;
    }
    return true;
}

static bool encode_channels(enum codec_type half, uint32_t channels, uint64_t count,
    const uint8_t *data, uint8_t *out_payload, double *error)
{
    for (uint32_t first = 0; first < channels; first += CODEC_FLOAT_ROW) {
        struct loss loss = {0};
        uint32_t width = channels - first < CODEC_FLOAT_ROW ? channels - first : CODEC_FLOAT_ROW;
        for (uint64_t at = first; at < count; at += channels) {
            narrow_row(half, data + 4 * at, width, out_payload + 2 * at, &loss);
        }
        if (!judge(&loss, width, error)) {
            return false;
        }
    }
    return true;
}

static bool encode_whole(
    enum codec_type half, uint64_t count, const uint8_t *data, uint8_t *out_payload, double *error)
{
    struct loss loss = {0};
    for (uint64_t at = 0; at < count; at += CODEC_FLOAT_ROW) {
        uint64_t left = count - at;
        uint32_t width = left < CODEC_FLOAT_ROW ? (uint32_t)left : CODEC_FLOAT_ROW;
        narrow_row(half, data + 4 * at, width, out_payload + 2 * at, &loss);
    }
    fold(&loss);
    return judge(&loss, 1, error);
}

int codec_float_encode(enum codec_type half, struct codec_shape shape, const void *data,
    uint64_t bytes, void *out_payload, uint64_t *out_bytes, double *out_error)
{
    if (shape.type != CODEC_FLOAT32 || bytes % sizeof(float) != 0) {
        return STATUS_UNSUPPORTED;
    }
    double error = 0;
    uint64_t count = bytes / sizeof(float);
    bool fits = shape.channels != 0 && count % shape.channels == 0
                    ? encode_channels(half, shape.channels, count, data, out_payload, &error)
                    : encode_whole(half, count, data, out_payload, &error);
    if (!fits) {
        return STATUS_UNSUPPORTED;
    }
    *out_bytes = bytes / 2;
    *out_error = error;
    return STATUS_OK;
}

int codec_float_decode(enum codec_type half, struct codec_shape shape, const void *payload,
    uint64_t bytes, void *out_data, uint64_t raw_bytes)
{
    if (shape.type != CODEC_FLOAT32 || raw_bytes % sizeof(float) != 0 || bytes != raw_bytes / 2) {
        return STATUS_MALFORMED;
    }
    const uint8_t *from = payload;
    uint8_t *to = out_data;
    for (uint64_t left = raw_bytes / sizeof(float); left > 0;) {
        float values[CODEC_FLOAT_ROW];
        uint32_t count = left < CODEC_FLOAT_ROW ? (uint32_t)left : CODEC_FLOAT_ROW;
        codec_float_load(half, from, count, values);
        memcpy(to, values, count * sizeof(float));
        from += 2 * (size_t)count;
        to += sizeof(float) * (size_t)count;
        left -= count;
    }
    return STATUS_OK;
}
