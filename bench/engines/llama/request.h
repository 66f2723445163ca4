/* request: the lines that a worker reads and writes: one JSON object each.
 *
 *     in    {"tokens": [2, 17, …]} or {"text": "…"}; "limit": use the first so many tokens alone;
 *           "generate": answer with so many tokens at most (default 16)
 *     out   {"prompt_tokens": …, "reused_tokens": …, "tokens": [...], "logits": "…", "first_ms": …}
 *           or {"error": "…"}
 *
 * What stands in a line is foreign: each value is checked before it is used.
 */
#ifndef CISTERN_BENCH_ENGINES_LLAMA_REQUEST_H
#define CISTERN_BENCH_ENGINES_LLAMA_REQUEST_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#define REQUEST_GENERATE 16u

struct request {
    cJSON *root; /* owned */
    const char *text; /* inside root; NULL: tokens are given */
    const cJSON *tokens; /* inside root: an array of numbers from 0 to vocabulary - 1 */
    uint32_t limit; /* 0: all */
    uint32_t generate;
};

/* Parse a line. Returns NULL; or what is wrong with it, and then nothing is owned. */
const char *request_parse(const char *line, uint32_t vocabulary, struct request *out_request);

/* Copy the given tokens: up to `room`, and up to the limit. Returns how many. */
uint32_t request_tokens(const struct request *request, int32_t *out_tokens, uint32_t room);

void request_drop(struct request *request);

#endif
