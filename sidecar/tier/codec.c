/* codec: see codec.h. The table, and what all codecs have in common. */
#include "sidecar/tier/codec.h"

#include "shm/space.h"
#include "shm/status.h"
#include "sidecar/tier/codec_float.h"
#include "sidecar/tier/codec_int8.h"
#include "sidecar/tier/codec_zstd.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#define CHANNELS_MAX 65536u

struct dtype {
    const char *name;
    enum codec_type type;
};

/* As torch, NumPy, vLLM and llama.cpp call them; with or without "torch." before. */
static const struct dtype dtypes[] = {
    {"float32", CODEC_FLOAT32},
    {"float", CODEC_FLOAT32},
    {"fp32", CODEC_FLOAT32},
    {"f32", CODEC_FLOAT32},
    {"float16", CODEC_FLOAT16},
    {"half", CODEC_FLOAT16},
    {"fp16", CODEC_FLOAT16},
    {"f16", CODEC_FLOAT16},
    {"bfloat16", CODEC_BFLOAT16},
    {"bf16", CODEC_BFLOAT16},
    {"fp8", CODEC_FLOAT8},
    {"fp8_e4m3", CODEC_FLOAT8},
    {"fp8_e5m2", CODEC_FLOAT8},
    {"float8_e4m3fn", CODEC_FLOAT8},
    {"float8_e4m3fnuz", CODEC_FLOAT8},
    {"float8_e5m2", CODEC_FLOAT8},
    {"float8_e5m2fnuz", CODEC_FLOAT8},
};

static enum codec_type type_of(const char *dtype)
{
    const char *name = strncasecmp(dtype, "torch.", 6) == 0 ? dtype + 6 : dtype;
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        if (strcasecmp(name, dtypes[i].name) == 0) {
            return dtypes[i].type;
        }
    }
    return CODEC_OPAQUE;
}

static bool ends_with(const char *text, const char *end)
{
    size_t text_length = strlen(text);
    size_t end_length = strlen(end);
    return text_length >= end_length && strcmp(text + text_length - end_length, end) == 0;
}

struct codec_shape codec_shape_of(const struct space *space)
{
    struct codec_shape shape = {.type = type_of(space->dtype), .channels = space->head_size};
    uint64_t all = (uint64_t)space->heads * space->head_size;
    /* Outliers belong to one dimension of one head: heads that lie side by side have their own. */
    if (ends_with(space->layout, "heads,head_size") && all > 0 && all <= CHANNELS_MAX) {
        shape.channels = (uint32_t)all;
    }
    if (shape.channels > CHANNELS_MAX) {
        shape.channels = 0;
    }
    return shape;
}

uint64_t codec_bound(enum codec codec, uint64_t bytes)
{
    return codec == CODEC_ZSTD ? codec_zstd_bound(bytes) : bytes;
}

/* As codec_encode(), but: STATUS_UNSUPPORTED if the block had better stay raw. */
static int encode(enum codec codec, struct codec_shape shape, const void *data, uint64_t bytes,
    void *out_payload, uint64_t *out_bytes, double *out_error)
{
    switch (codec) {
    case CODEC_ZSTD:
        return codec_zstd_encode(shape, data, bytes, out_payload, out_bytes);
    case CODEC_FP16:
        return codec_float_encode(
            CODEC_FLOAT16, shape, data, bytes, out_payload, out_bytes, out_error);
    case CODEC_BF16:
        return codec_float_encode(
            CODEC_BFLOAT16, shape, data, bytes, out_payload, out_bytes, out_error);
    case CODEC_INT8:
        return codec_int8_encode(shape, data, bytes, out_payload, out_bytes, out_error);
    case CODEC_RAW:
        break;
    }
    return STATUS_UNSUPPORTED;
}

int codec_encode(enum codec codec, struct codec_shape shape, const void *data, uint64_t bytes,
    void *out_payload, uint64_t *out_bytes, enum codec *out_codec, double *out_error)
{
    double error = 0;
    uint64_t coded = 0;
    assert(bytes > 0 && bytes <= UINT32_MAX);
    int status = encode(codec, shape, data, bytes, out_payload, &coded, &error);
    if (status != STATUS_OK && status != STATUS_UNSUPPORTED) {
        return status;
    }
    bool worth = status == STATUS_OK && coded * 105 <= bytes * 100;
    assert(!worth || (coded > 0 && coded < bytes));
    *out_bytes = worth ? coded : bytes;
    *out_codec = worth ? codec : CODEC_RAW;
    *out_error = worth ? error : 0;
    return STATUS_OK;
}

int codec_decode(enum codec codec, struct codec_shape shape, const void *payload, uint64_t bytes,
    void *out_data, uint64_t raw_bytes)
{
    switch (codec) {
    case CODEC_RAW:
        if (bytes != raw_bytes) {
            return STATUS_MALFORMED;
        }
        memcpy(out_data, payload, bytes);
        return STATUS_OK;
    case CODEC_ZSTD:
        return codec_zstd_decode(shape, payload, bytes, out_data, raw_bytes);
    case CODEC_FP16:
        return codec_float_decode(CODEC_FLOAT16, shape, payload, bytes, out_data, raw_bytes);
    case CODEC_BF16:
        return codec_float_decode(CODEC_BFLOAT16, shape, payload, bytes, out_data, raw_bytes);
    case CODEC_INT8:
        return codec_int8_decode(shape, payload, bytes, out_data, raw_bytes);
    }
    return STATUS_MALFORMED;
}

const char *codec_name(enum codec codec)
{
    static const char *const names[] = {
        [CODEC_RAW] = "raw",
        [CODEC_ZSTD] = "zstd",
        [CODEC_FP16] = "fp16",
        [CODEC_BF16] = "bf16",
        [CODEC_INT8] = "int8",
    };
    size_t index = (size_t)codec;
    return index < sizeof names / sizeof names[0] ? names[index] : "unknown";
}
