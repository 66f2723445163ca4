/* codec_int8: see codec_int8.h. */
#include "sidecar/tier/codec_int8.h"

#include "shm/status.h"
#include "sidecar/tier/codec_float.h"

#include <math.h>
#include <string.h>

/* Between these a scale and its inverse are normal numbers, and 127 scales are finite. */
#define MOST_MIN 1e-30f
#define MOST_MAX 1e38f
#define STEPS 127.0f
#define ROUNDING 12582912.0f /* 1.5 × 2^23: adding it leaves the nearest integer in the low bits */

/* A tile: up to CODEC_FLOAT_ROW channels of one stretch. */
struct tile {
    enum codec_type type;
    uint32_t width; /* channels of the tile */
    uint32_t rows;
    uint64_t row_bytes; /* from one row of the block to the next */
    uint32_t channels; /* from one row of the payload to the next */
};

/* The largest of each channel. Returns false if one cannot be scaled. */
static bool measure(const struct tile *tile, const uint8_t *data, float *out_most)
{
    float values[CODEC_FLOAT_ROW];
    bool finite = true;
    memset(out_most, 0, tile->width * sizeof *out_most);
    for (uint32_t row = 0; row < tile->rows; row++) {
        codec_float_load(tile->type, data + row * tile->row_bytes, tile->width, values);
        for (uint32_t i = 0; i < tile->width; i++) {
            float size = fabsf(values[i]);
            finite &= size <= MOST_MAX; /* false for a NaN too */
            out_most[i] = size > out_most[i] ? size : out_most[i];
        }
    }
    for (uint32_t i = 0; i < tile->width; i++) {
        finite &= out_most[i] == 0 || out_most[i] >= MOST_MIN;
    }
    return finite;
}

static void quantize(const struct tile *tile, const uint8_t *data, const float *most,
    const float *scales, uint8_t *out_steps, float *out_worst)
{
    float values[CODEC_FLOAT_ROW];
    float inverse[CODEC_FLOAT_ROW];
    uint8_t again[CODEC_FLOAT_ROW * sizeof(float)];
    float rounded[CODEC_FLOAT_ROW];
    memset(out_worst, 0, tile->width * sizeof *out_worst);
    for (uint32_t i = 0; i < tile->width; i++) {
        inverse[i] = most[i] > 0 ? STEPS / most[i] : 0;
    }
    for (uint32_t row = 0; row < tile->rows; row++) {
        uint8_t *steps = out_steps + (size_t)row * tile->channels;
        codec_float_load(tile->type, data + row * tile->row_bytes, tile->width, values);
        for (uint32_t i = 0; i < tile->width; i++) {
            float step = values[i] * inverse[i] + ROUNDING;
            steps[i] = (uint8_t)codec_float_bits(step);
            rounded[i] = (step - ROUNDING) * scales[i];
        }
        codec_float_store(tile->type, rounded, tile->width, again); /* as it will be read */
        codec_float_load(tile->type, again, tile->width, rounded);
        for (uint32_t i = 0; i < tile->width; i++) {
            float lost = fabsf(values[i] - rounded[i]);
            out_worst[i] = lost > out_worst[i] ? lost : out_worst[i];
        }
    }
}

static bool encode_tile(const struct tile *tile, const uint8_t *data, uint8_t *out_scales,
    uint8_t *out_steps, double *error)
{
    float most[CODEC_FLOAT_ROW];
    float scales[CODEC_FLOAT_ROW];
    float worst[CODEC_FLOAT_ROW];
    if (!measure(tile, data, most)) {
        return false;
    }
    for (uint32_t i = 0; i < tile->width; i++) {
        scales[i] = most[i] / STEPS;
    }
    memcpy(out_scales, scales, tile->width * sizeof *scales);
    quantize(tile, data, most, scales, out_steps, worst);
    for (uint32_t i = 0; i < tile->width; i++) {
        double relative = worst[i] > 0 ? (double)worst[i] / (double)most[i] : 0;
        *error = relative > *error ? relative : *error;
    }
    return true;
}

static void decode_tile(
    const struct tile *tile, const uint8_t *scales_at, const uint8_t *steps_at, uint8_t *out_data)
{
    float scales[CODEC_FLOAT_ROW];
    float values[CODEC_FLOAT_ROW];
    memcpy(scales, scales_at, tile->width * sizeof *scales);
    for (uint32_t row = 0; row < tile->rows; row++) {
        const uint8_t *steps = steps_at + (size_t)row * tile->channels;
        for (uint32_t i = 0; i < tile->width; i++) {
            values[i] = (float)(int8_t)steps[i] * scales[i];
        }
        codec_float_store(tile->type, values, tile->width, out_data + row * tile->row_bytes);
    }
}

/* Bytes of the payload, or 0 if the shape does not suit. */
static uint64_t payload_bytes(struct codec_shape shape, uint64_t bytes)
{
    uint64_t row = (uint64_t)shape.channels * codec_float_bytes(shape.type);
    if (row == 0 || bytes % row != 0) {
        return 0;
    }
    uint64_t rows = bytes / row;
    uint64_t stretches = (rows + CODEC_INT8_ROWS - 1) / CODEC_INT8_ROWS;
    return stretches * shape.channels * sizeof(float) + rows * shape.channels;
}

static uint32_t rows_of(uint64_t left)
{
    return left < CODEC_INT8_ROWS ? (uint32_t)left : CODEC_INT8_ROWS;
}

int codec_int8_encode(struct codec_shape shape, const void *data, uint64_t bytes, void *out_payload,
    uint64_t *out_bytes, double *out_error)
{
    uint64_t total = payload_bytes(shape, bytes);
    if (total == 0 || total >= bytes) {
        return STATUS_UNSUPPORTED;
    }
    uint32_t value_bytes = codec_float_bytes(shape.type);
    struct tile tile = {.type = shape.type,
        .channels = shape.channels,
        .row_bytes = (uint64_t)shape.channels * value_bytes};
    const uint8_t *from = data;
    uint8_t *to = out_payload;
    double error = 0;
    for (uint64_t left = bytes / tile.row_bytes; left > 0; left -= tile.rows) {
        uint8_t *steps = to + (size_t)shape.channels * sizeof(float);
        tile.rows = rows_of(left);
        for (uint32_t i = 0; i < shape.channels; i += tile.width) {
            uint32_t rest = shape.channels - i;
            tile.width = rest < CODEC_FLOAT_ROW ? rest : CODEC_FLOAT_ROW;
            if (!encode_tile(&tile, from + (size_t)i * value_bytes, to + i * sizeof(float),
                    steps + i, &error)) {
                return STATUS_UNSUPPORTED;
            }
        }
        from += tile.rows * tile.row_bytes;
        to = steps + (size_t)tile.rows * shape.channels;
    }
    *out_bytes = total;
    *out_error = error;
    return STATUS_OK;
}

int codec_int8_decode(struct codec_shape shape, const void *payload, uint64_t bytes, void *out_data,
    uint64_t raw_bytes)
{
    uint64_t total = payload_bytes(shape, raw_bytes);
    if (total == 0 || total != bytes) {
        return STATUS_MALFORMED;
    }
    uint32_t value_bytes = codec_float_bytes(shape.type);
    struct tile tile = {.type = shape.type,
        .channels = shape.channels,
        .row_bytes = (uint64_t)shape.channels * value_bytes};
    const uint8_t *from = payload;
    uint8_t *to = out_data;
    for (uint64_t left = raw_bytes / tile.row_bytes; left > 0; left -= tile.rows) {
        const uint8_t *steps = from + (size_t)shape.channels * sizeof(float);
        tile.rows = rows_of(left);
        for (uint32_t i = 0; i < shape.channels; i += tile.width) {
            uint32_t rest = shape.channels - i;
            tile.width = rest < CODEC_FLOAT_ROW ? rest : CODEC_FLOAT_ROW;
            decode_tile(&tile, from + i * sizeof(float), steps + i, to + (size_t)i * value_bytes);
        }
        from = steps + (size_t)tile.rows * shape.channels;
        to += tile.rows * tile.row_bytes;
    }
    return STATUS_OK;
}
