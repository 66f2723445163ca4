/* block: sealing and checking of a slot's bytes; see the header. */
#include "bench/engines/llama/block.h"

static XXH128_hash_t sum_part(const struct blob_shape *shape, uint32_t number, uint32_t tokens,
    const uint8_t *blob, XXH3_state_t *state)
{
    const struct blob_part *part = &shape->parts[number];
    uint32_t cells = blob_cells(part, tokens);
    const uint8_t *at = blob + blob_runs_offset(shape, number, tokens);
    XXH3_128bits_reset(state);
    for (uint32_t run = 0; run < part->run_count && cells > 0; run++) {
        uint64_t bytes = cells * part->runs[run].row_bytes;
        XXH3_128bits_update(state, at + BLOB_RUN_BYTES, bytes);
        at += BLOB_RUN_BYTES + bytes;
    }
    return XXH3_128bits_digest(state);
}

const char *block_seal(
    const struct blob_shape *shape, uint32_t first, uint32_t tokens, uint8_t *data)
{
    const uint8_t *blob = data + sizeof(struct block_header);
    uint64_t bytes = blob_bytes(shape, tokens);
    const char *why = blob_check(shape, first, tokens, blob, bytes);
    if (why != NULL) {
        return why;
    }
    struct block_header header = {
        .magic = BLOCK_MAGIC, .first = first, .tokens = tokens, .blob_bytes = bytes};
    XXH3_state_t *state = XXH3_createState();
    if (state == NULL) {
        return "no memory to sum it";
    }
    for (uint32_t part = 0; part < shape->part_count; part++) {
        XXH128_hash_t sum = sum_part(shape, part, tokens, blob, state);
        header.sums[part][0] = sum.low64;
        header.sums[part][1] = sum.high64;
    }
    XXH3_freeState(state);
    memcpy(data, &header, sizeof header);
    return NULL;
}

const char *block_check(const struct blob_shape *shape, uint32_t first, uint32_t tokens,
    const uint8_t *data, uint64_t bytes, struct block_header *out_header)
{
    struct block_header header;
    if (bytes != block_bytes(shape, tokens)) {
        return "another length";
    }
    memcpy(&header, data, sizeof header);
    if (header.magic != BLOCK_MAGIC || header.reserved != 0) {
        return "no block of this program";
    }
    if (header.first != first || header.tokens != tokens) {
        return "other tokens";
    }
    uint64_t blob = bytes - sizeof header;
    if (header.blob_bytes != blob) {
        return "another length of the engine's part";
    }
    const char *why = blob_check(shape, first, tokens, data + sizeof header, blob);
    if (why == NULL) {
        *out_header = header;
    }
    return why;
}
