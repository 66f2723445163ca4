/* made: blobs as an engine would export them, written by hand, byte by byte, for the tests of the
 * code that reads them. Each row's bytes say which part, run and position they belong to. */
#ifndef CISTERN_TESTS_UNIT_BENCH_ENGINES_LLAMA_MADE_H
#define CISTERN_TESTS_UNIT_BENCH_ENGINES_LLAMA_MADE_H

#include "tests/check.h"

#include "bench/engines/llama/block.h"

#define MADE_LAYERS 3u
#define MADE_WINDOW 96u
#define MADE_BLOCK 64u

/* One byte of a row. */
static inline uint8_t made_byte(uint32_t part, uint32_t run, uint32_t position, uint64_t at)
{
    return (uint8_t)(part * 151 + run * 31 + position * 7 + at * 3 + 1);
}

/* A model of 3 layers in each of `parts` caches; the last one of two has a window, or none. */
static inline void made_shape(uint32_t parts, uint32_t window, struct blob_shape *out_shape)
{
    memset(out_shape, 0, sizeof *out_shape);
    out_shape->part_count = parts;
    for (uint32_t i = 0; i < parts; i++) {
        struct blob_part *part = &out_shape->parts[i];
        part->window = i == 1 ? window : 0;
        part->layers = MADE_LAYERS;
        part->run_count = 2 * MADE_LAYERS;
        for (uint32_t run = 0; run < part->run_count; run++) {
            part->runs[run] = (struct blob_run){
                .type = run < MADE_LAYERS ? 1 : 8, .row_bytes = 6 + 2 * run + 10 * (uint64_t)i};
        }
    }
}

/* The export of the positions `first` to `end` - 1; a windowed part has the last ones of them. */
static inline uint64_t made_blob(
    const struct blob_shape *shape, uint32_t first, uint32_t end, uint8_t *out_data)
{
    uint8_t *at = blob_put32(blob_put32(out_data, 0xaf143cd8u), 1);
    for (uint32_t i = 0; i < shape->part_count; i++) {
        const struct blob_part *part = &shape->parts[i];
        uint32_t from = first;
        if (part->window != 0 && end - first > part->window) {
            from = end - part->window;
        }
        at = blob_put32(blob_put32(at, 1), end - from);
        for (uint32_t position = from; position < end; position++) {
            at = blob_put32(blob_put32(blob_put32(at, position), 1), 1);
        }
        at = blob_put32(blob_put32(at, 0), part->layers);
        for (uint32_t run = 0; run < part->run_count; run++) {
            uint64_t row = part->runs[run].row_bytes;
            at = blob_put64(blob_put32(at, (uint32_t)part->runs[run].type), row);
            for (uint32_t position = from; position < end; position++) {
                for (uint64_t byte = 0; byte < row; byte++) {
                    *at++ = made_byte(i, run, position, byte);
                }
            }
        }
    }
    return (uint64_t)(at - out_data);
}

/* Block `index` of a prompt, sealed; the caller frees it. */
static inline uint8_t *made_block(
    const struct blob_shape *shape, uint32_t index, uint32_t block_tokens, uint64_t *out_bytes)
{
    uint64_t bytes = block_bytes(shape, block_tokens);
    uint32_t first = index * block_tokens;
    uint8_t *data = malloc(bytes);
    assert_non_null(data);
    uint8_t *blob = data + sizeof(struct block_header);
    assert_int_equal(
        made_blob(shape, first, first + block_tokens, blob), blob_bytes(shape, block_tokens));
    assert_null(block_seal(shape, first, block_tokens, data));
    *out_bytes = bytes;
    return data;
}

#endif
