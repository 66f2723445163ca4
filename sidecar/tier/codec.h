/* codec: what the payload of a block at rest looks like: raw, entropy-coded, or of less precision.
 *
 * Called by record, on whatever thread writes or reads a record. Pure: no I/O, no state but the
 * scratch memory that the caller gives.
 *
 *   raw     the bytes as they are
 *   zstd    byte planes split; those that are worth it coded by entropy alone, the others as they
 * are
 *   fp16    float32 to float16, round to nearest even: lossy, half the bytes
 *   bf16    float32 to bfloat16, likewise
 *   int8    a scale a channel, then signed bytes: lossy, opt-in
 *
 * A lossy codec makes no infinity of a number, and nothing of a NaN: a block that holds a number
 * beyond what it can say stays raw. fp16 and bf16 keep NaN and infinity; int8 leaves such a block
 * raw.
 */
#ifndef CISTERN_SIDECAR_TIER_CODEC_H
#define CISTERN_SIDECAR_TIER_CODEC_H

#include <stdbool.h>
#include <stdint.h>

struct space;

/* Numbers are on disk: a released one never changes. */
enum codec { CODEC_RAW = 0, CODEC_ZSTD = 1, CODEC_FP16 = 2, CODEC_BF16 = 3, CODEC_INT8 = 4 };

enum codec_type {
    CODEC_OPAQUE = 0, /* not known: bytes */
    CODEC_FLOAT32 = 1,
    CODEC_FLOAT16 = 2,
    CODEC_BFLOAT16 = 3,
    CODEC_FLOAT8 = 4 /* any 8-bit float */
};

/* What the bytes of a block are. */
struct codec_shape {
    enum codec_type type;
    /* Elements of the fastest dimension: element i belongs to channel i % channels. 0: not
     * known. */
    uint32_t channels;
};

/* From a checked namespace: its dtype ("float16", "torch.bfloat16", "fp8_e4m3", …), head size. */
struct codec_shape codec_shape_of(const struct space *space);

/* The most bytes that encoding `bytes` may take. */
uint64_t codec_bound(enum codec codec, uint64_t bytes);

/* Encode `bytes` at `data` into `out_payload` of at least codec_bound(). Falls back to CODEC_RAW,
 * and then writes nothing there (the payload is the data itself), if the shape does not suit the
 * codec, or if it saves less than 5 %; `*out_codec` says what was done. `*out_error` is the largest
 * relative error of a channel: 0 but for lossy codecs.
 * Returns 0 or STATUS_INTERNAL (the library refused). */
int codec_encode(enum codec codec, struct codec_shape shape, const void *data, uint64_t bytes,
    void *out_payload, uint64_t *out_bytes, enum codec *out_codec, double *out_error);

/* Decode a verified payload into exactly `raw_bytes` at `out_data`, which does not overlap it.
 * Payloads that pass a checksum may still be nonsense: lengths are checked.
 * Returns 0 or STATUS_MALFORMED. */
int codec_decode(enum codec codec, struct codec_shape shape, const void *payload, uint64_t bytes,
    void *out_data, uint64_t raw_bytes);

/* "raw", "zstd", … */
const char *codec_name(enum codec codec);

#endif
