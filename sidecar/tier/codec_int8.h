/* codec_int8: a scale a channel, then signed bytes. Called by codec alone. Pure.
 *
 * The rows of a block, `channels` values each, are cut into stretches of CODEC_INT8_ROWS: a block
 * holds several layers, keys and values, and none shall pay for another's large numbers.
 *
 *   payload:  stretch 0 [ scales: channels × float32 ][ rows × channels × int8 ], stretch 1, …
 *
 * Always: a value comes back within 1/254 of the largest of its channel in its stretch, and the
 * rounding of its own type.
 */
#ifndef CISTERN_SIDECAR_TIER_CODEC_INT8_H
#define CISTERN_SIDECAR_TIER_CODEC_INT8_H

#include "sidecar/tier/codec.h"

#define CODEC_INT8_ROWS 64u

/* As codec_encode() and codec_decode(); STATUS_UNSUPPORTED: the block stays raw. */
int codec_int8_encode(struct codec_shape shape, const void *data, uint64_t bytes, void *out_payload,
    uint64_t *out_bytes, double *out_error);
int codec_int8_decode(struct codec_shape shape, const void *payload, uint64_t bytes, void *out_data,
    uint64_t raw_bytes);

#endif
