/* kv_sample: synthetic KV blocks, for scenario_codec. Same seed, same bytes.
 *
 * A block is [tokens][8 heads][128]: its first half keys, its second half values. Values are
 * normal, deviation 0.3. Keys have a mean and a scale for each channel, 3 % of them outliers, and
 * follow one another along the tokens (AR(1), 0.9). Real KV differs: measure with yours before you
 * believe a ratio.
 */
#ifndef CISTERN_BENCH_KV_SAMPLE_H
#define CISTERN_BENCH_KV_SAMPLE_H

#include "sidecar/tier/codec.h"

#include <stdint.h>

#define KV_SAMPLE_CHANNELS 1024u /* 8 heads of 128 */

/* Fill `bytes` with a block of the type: float32, float16, bfloat16, or float8 (e4m3). */
void kv_sample_fill(uint64_t seed, enum codec_type type, uint64_t bytes, void *out_data);

#endif
