/* tokenizer: text to token ids. Called by bench/trace.
 *
 * Four bytes a token: the id is the four bytes, little-endian, the last one filled up with zeros.
 * It is exact, needs no vocabulary, and equal texts give equal tokens, which is all that prefix
 * reuse asks for. About four bytes a token is also what the vocabularies in use reach on English
 * and code.
 */
#ifndef CISTERN_BENCH_TOKENIZER_H
#define CISTERN_BENCH_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#define TOKENIZER_BYTES_PER_TOKEN 4u
#define TOKENIZER_NAME "bytes, 4 a token"

static inline size_t tokenizer_count(size_t text_bytes)
{
    return (text_bytes + TOKENIZER_BYTES_PER_TOKEN - 1) / TOKENIZER_BYTES_PER_TOKEN;
}

/* Write tokenizer_count(text_bytes) ids at `out_tokens`. */
void tokenizer_encode(const char *text, size_t text_bytes, uint32_t *out_tokens);

#endif
