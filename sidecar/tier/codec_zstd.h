/* codec_zstd: byte planes, each coded by entropy alone where that is worth it. Called by codec
 * alone.
 *
 * A block is cut into chunks of CODEC_ZSTD_VALUES values. The bytes of a chunk are split into
 * planes, first the one with sign and exponent; a plane whose bytes repeat each other becomes a
 * zstd frame, the others are copied. Bytes behind the last whole value are copied behind the last
 * chunk.
 *
 *   payload:  chunk 0 [ sizes: planes × uint32 ][ plane 0 ][ plane 1 ] …, chunk 1, …, the rest
 *             a size equal to the chunk's values: the plane as it is
 */
#ifndef CISTERN_SIDECAR_TIER_CODEC_ZSTD_H
#define CISTERN_SIDECAR_TIER_CODEC_ZSTD_H

#include "sidecar/tier/codec.h"

#define CODEC_ZSTD_VALUES 32768u
#define CODEC_ZSTD_PLANES 4u

uint64_t codec_zstd_bound(uint64_t bytes);

/* As codec_encode() and codec_decode(). The payload may be larger than the block. */
int codec_zstd_encode(struct codec_shape shape, const void *data, uint64_t bytes, void *out_payload,
    uint64_t *out_bytes);
int codec_zstd_decode(struct codec_shape shape, const void *payload, uint64_t bytes, void *out_data,
    uint64_t raw_bytes);

#endif
