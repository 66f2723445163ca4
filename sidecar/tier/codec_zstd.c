/* codec_zstd: see codec_zstd.h. */
#include "sidecar/tier/codec_zstd.h"

#include "shm/status.h"
#include "sidecar/tier/codec_float.h"

#include <assert.h>
#include <string.h>
#include <zstd.h>

/* Finding matches costs time and gains nothing on KV; negative levels do without, but do not code
 * literals either unless told: ZSTD_c_literalCompressionMode, an experimental parameter, at
 * ZSTD_ps_enable. A library without it gets level 1. */
#define LEVEL_FAST (-50)
#define LEVEL_PLAIN 1
#define LITERALS ZSTD_c_experimentalParam5
#define LITERALS_ALWAYS 1

#define SAMPLE 2048u
/* Two bytes of a plane agree once in 256 if all are equally likely, and then there is nothing to
 * code. From once in 150 on it is worth a try; what turns out no smaller is copied. */
#define AGREE_ONCE_IN 150u

/* On the stack. From the heap, with zstd's own memory, it would be more than the C library keeps at
 * hand, and each call would get, and touch, fresh pages: half the speed at 64 KiB a block. */
struct planes {
    uint8_t plane[CODEC_ZSTD_PLANES][CODEC_ZSTD_VALUES];
};

/* Bytes that make a value; what is not known is cut into single ones. */
static uint32_t planes_of(enum codec_type type)
{
    uint32_t bytes = codec_float_bytes(type);
    return bytes > 0 ? bytes : 1;
}

static void split2(const uint8_t *restrict data, uint32_t count, uint8_t *restrict out_high,
    uint8_t *restrict out_low)
{
    for (uint32_t i = 0; i < count; i++) {
        out_low[i] = data[2 * (size_t)i];
        out_high[i] = data[2 * (size_t)i + 1];
    }
}

static void join2(const uint8_t *restrict high, const uint8_t *restrict low, uint32_t count,
    uint8_t *restrict out_data)
{
    for (uint32_t i = 0; i < count; i++) {
        out_data[2 * (size_t)i] = low[i];
        out_data[2 * (size_t)i + 1] = high[i];
    }
}

static void split4(const uint8_t *restrict data, uint32_t count, struct planes *restrict out)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *value = data + 4 * (size_t)i;
        out->plane[3][i] = value[0];
        out->plane[2][i] = value[1];
        out->plane[1][i] = value[2];
        out->plane[0][i] = value[3];
    }
}

static void join4(const uint8_t *const *planes, uint32_t count, uint8_t *restrict out_data)
{
    const uint8_t *restrict a = planes[3];
    const uint8_t *restrict b = planes[2];
    const uint8_t *restrict c = planes[1];
    const uint8_t *restrict d = planes[0];
    for (uint32_t i = 0; i < count; i++) {
        out_data[4 * (size_t)i] = a[i];
        out_data[4 * (size_t)i + 1] = b[i];
        out_data[4 * (size_t)i + 2] = c[i];
        out_data[4 * (size_t)i + 3] = d[i];
    }
}

/* Is a plane worth coding? Looks at a sample, taken from all over it. */
static bool is_worth(const uint8_t *plane, uint32_t count)
{
    uint32_t counts[256] = {0};
    uint64_t agree = 0;
    uint32_t sample = count < SAMPLE ? count : SAMPLE;
    uint32_t step = count / sample;
    for (uint32_t i = 0; i < sample; i++) {
        counts[plane[(size_t)i * step]]++;
    }
    for (uint32_t i = 0; i < 256; i++) {
        agree += (uint64_t)counts[i] * (counts[i] > 0 ? counts[i] - 1 : 0);
    }
    return agree * AGREE_ONCE_IN > (uint64_t)sample * sample;
}

static ZSTD_CCtx *open_coder(void)
{
    ZSTD_CCtx *coder = ZSTD_createCCtx();
    if (coder == NULL) {
        return NULL;
    }
    bool fast = !ZSTD_isError(ZSTD_CCtx_setParameter(coder, LITERALS, LITERALS_ALWAYS));
    int level = fast ? LEVEL_FAST : LEVEL_PLAIN;
    if (ZSTD_isError(ZSTD_CCtx_setParameter(coder, ZSTD_c_compressionLevel, level))) {
        (void)ZSTD_freeCCtx(coder);
        return NULL;
    }
    return coder;
}

/* Code one plane, or copy it. Returns the bytes written, at most `count`. */
static uint32_t encode_plane(ZSTD_CCtx *coder, const uint8_t *plane, uint32_t count, uint8_t *out)
{
    if (count > 1 && is_worth(plane, count)) {
        size_t got = ZSTD_compress2(coder, out, count - 1, plane, count);
        if (!ZSTD_isError(got)) { /* else it would be no smaller */
            return (uint32_t)got;
        }
    }
    memcpy(out, plane, count);
    return count;
}

static uint8_t *encode_chunk(ZSTD_CCtx *coder, uint32_t planes, const uint8_t *data, uint32_t count,
    struct planes *work, uint8_t *out)
{
    uint32_t sizes[CODEC_ZSTD_PLANES];
    uint8_t *at = out + planes * sizeof sizes[0];
    if (planes == 2) {
        split2(data, count, work->plane[0], work->plane[1]);
    } else if (planes == 4) {
        split4(data, count, work);
    }
    for (uint32_t i = 0; i < planes; i++) {
        sizes[i] = encode_plane(coder, planes == 1 ? data : work->plane[i], count, at);
        at += sizes[i];
    }
    memcpy(out, sizes, planes * sizeof sizes[0]);
    return at;
}

uint64_t codec_zstd_bound(uint64_t bytes)
{
    uint64_t chunks = bytes / CODEC_ZSTD_VALUES + 1; /* of one plane; of several there are fewer */
    return bytes + chunks * CODEC_ZSTD_PLANES * sizeof(uint32_t);
}

int codec_zstd_encode(struct codec_shape shape, const void *data, uint64_t bytes, void *out_payload,
    uint64_t *out_bytes)
{
    uint32_t planes = planes_of(shape.type);
    struct planes work;
    ZSTD_CCtx *coder = open_coder();
    if (coder == NULL) {
        return STATUS_INTERNAL;
    }
    const uint8_t *from = data;
    uint8_t *to = out_payload;
    for (uint64_t left = bytes / planes; left > 0;) {
        uint32_t count = left < CODEC_ZSTD_VALUES ? (uint32_t)left : CODEC_ZSTD_VALUES;
        to = encode_chunk(coder, planes, from, count, &work, to);
        from += (uint64_t)count * planes;
        left -= count;
    }
    memcpy(to, from, bytes % planes);
    to += bytes % planes;
    *out_bytes = (uint64_t)(to - (uint8_t *)out_payload);
    assert(*out_bytes <= codec_zstd_bound(bytes));
    (void)ZSTD_freeCCtx(coder);
    return STATUS_OK;
}

/* Decode one chunk; the planes that were copied are read where they lie. Returns what is behind it,
 * or NULL. */
static const uint8_t *decode_chunk(ZSTD_DCtx *decoder, uint32_t planes, const uint8_t *at,
    const uint8_t *end, uint32_t count, struct planes *work, uint8_t *out_data)
{
    uint32_t sizes[CODEC_ZSTD_PLANES];
    const uint8_t *plane[CODEC_ZSTD_PLANES];
    if ((uint64_t)(end - at) < planes * sizeof sizes[0]) {
        return NULL;
    }
    memcpy(sizes, at, planes * sizeof sizes[0]);
    at += planes * sizeof sizes[0];
    for (uint32_t i = 0; i < planes; i++) {
        if (sizes[i] > count || (uint64_t)(end - at) < sizes[i]) {
            return NULL;
        }
        plane[i] = at;
        if (sizes[i] < count) {
            uint8_t *room = planes == 1 ? out_data : work->plane[i];
            if (ZSTD_decompressDCtx(decoder, room, count, at, sizes[i]) != count) {
                return NULL;
            }
            plane[i] = room;
        }
        at += sizes[i];
    }
    if (planes == 2) {
        join2(plane[0], plane[1], count, out_data);
    } else if (planes == 4) {
        join4(plane, count, out_data);
    } else if (plane[0] != out_data) {
        memcpy(out_data, plane[0], count);
    }
    return at;
}

int codec_zstd_decode(struct codec_shape shape, const void *payload, uint64_t bytes, void *out_data,
    uint64_t raw_bytes)
{
    uint32_t planes = planes_of(shape.type);
    struct planes work;
    ZSTD_DCtx *decoder = ZSTD_createDCtx();
    const uint8_t *at = payload;
    const uint8_t *end = at + bytes;
    uint8_t *to = out_data;
    uint64_t left = raw_bytes / planes;
    int status = STATUS_MALFORMED;
    while (decoder != NULL && at != NULL && left > 0) {
        uint32_t count = left < CODEC_ZSTD_VALUES ? (uint32_t)left : CODEC_ZSTD_VALUES;
        at = decode_chunk(decoder, planes, at, end, count, &work, to);
        to += (uint64_t)count * planes;
        left -= count;
    }
    if (left == 0 && at != NULL && (uint64_t)(end - at) == raw_bytes % planes) {
        memcpy(to, at, raw_bytes % planes);
        status = STATUS_OK;
    }
    (void)ZSTD_freeDCtx(decoder);
    return status;
}
