/* engine_prompt: prompts of a real engine's length, cut from the texts of an agent trace.
 *
 * Called by scenario_engine. Always: no two prompts begin alike, so what is cold is cold.
 */
#ifndef CISTERN_BENCH_ENGINE_PROMPT_H
#define CISTERN_BENCH_ENGINE_PROMPT_H

#include "bench/trace.h"

#include <cjson/cJSON.h>
#include <stdint.h>

/* The request for prompt `number` with `tokens` tokens and an answer of `generate`. Owned by the
 * caller. NULL after a line on stderr if the trace has no text so long. */
cJSON *engine_prompt_make(
    const struct trace *trace, uint64_t seed, uint32_t number, uint32_t tokens, uint32_t generate);

#endif
