/* engine_prompt: see the header. */
#include "bench/engine_prompt.h"

#include "bench/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES_PER_TOKEN 8u /* more than vocabularies need: the worker cuts by tokens */
#define HEAD_BYTES 64u

/* The number-th run that has a request long enough, in turn; NULL if none has. */
static const struct trace_request *choose(
    const struct trace *trace, uint32_t number, uint64_t tokens)
{
    uint32_t found = 0;
    for (size_t pass = 0; pass < 2; pass++) {
        uint32_t runs = 0;
        for (uint32_t run = 0; run < trace->run_count; run++) {
            for (size_t i = 0; i < trace->request_count; i++) {
                const struct trace_request *request = &trace->requests[i];
                if (request->run == run && request->input_tokens >= tokens) {
                    if (pass == 1 && runs == number % found) {
                        return request;
                    }
                    runs++;
                    break;
                }
            }
        }
        found = runs;
        if (found == 0) {
            break;
        }
    }
    return NULL;
}

/* The trace's tokens are the bytes of its text: see tokenizer.h. */
static void copy_text(
    const struct trace *trace, const struct trace_request *request, size_t bytes, char *out_text)
{
    for (size_t i = 0; i < bytes; i++) {
        uint32_t token = trace->tokens[request->first + i / TOKENIZER_BYTES_PER_TOKEN];
        out_text[i] = (char)(token >> (8 * (i % TOKENIZER_BYTES_PER_TOKEN)) & 0xff);
    }
    while (bytes > 0 && (out_text[bytes - 1] & 0x80) != 0) {
        bytes--; /* not in the middle of a letter */
    }
    out_text[bytes] = '\0';
}

cJSON *engine_prompt_make(
    const struct trace *trace, uint64_t seed, uint32_t number, uint32_t tokens, uint32_t generate)
{
    size_t bytes = (size_t)tokens * TEXT_BYTES_PER_TOKEN;
    const struct trace_request *request =
        trace->format == TRACE_TEXT ? choose(trace, number, tokenizer_count(bytes)) : NULL;
    char *text = malloc(HEAD_BYTES + bytes + 1);
    if (request == NULL || text == NULL) {
        fprintf(
            stderr, "cistern-bench: the trace has no text of %u tokens; give --trace\n", tokens);
        free(text);
        return NULL;
    }
    int head = snprintf(text, HEAD_BYTES, "Session %llu, part %u of %u.\n",
        (unsigned long long)seed, number, tokens);
    copy_text(trace, request, bytes, text + head);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "text", text);
    cJSON_AddNumberToObject(object, "limit", tokens);
    cJSON_AddNumberToObject(object, "generate", generate);
    free(text);
    return object;
}
