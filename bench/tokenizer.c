/* tokenizer: see the header; byte order is spelled out so that ids are equal on every machine. */
#include "bench/tokenizer.h"

void tokenizer_encode(const char *text, size_t text_bytes, uint32_t *out_tokens)
{
    size_t count = tokenizer_count(text_bytes);
    for (size_t token = 0; token < count; token++) {
        uint32_t id = 0;
        for (size_t i = 0; i < TOKENIZER_BYTES_PER_TOKEN; i++) {
            size_t at = token * TOKENIZER_BYTES_PER_TOKEN + i;
            uint32_t byte = at < text_bytes ? (unsigned char)text[at] : 0;
            id |= byte << (8 * i);
        }
        out_tokens[token] = id;
    }
}
