/* stitch: copies rows block by block, and sums what it copied; see the header. */
#include "bench/engines/llama/stitch.h"

#include "bench/engines/llama/block.h"

#include <assert.h>

/* One stitching. */
struct work {
    const struct blob_shape *shape;
    uint32_t block_tokens;
    uint32_t tokens;
    XXH3_state_t *state; /* owned */
    uint32_t kept[BLOB_PARTS_MAX]; /* cells of a part: its last ones */
    uint8_t *runs[BLOB_PARTS_MAX]; /* where the runs of a part begin */
};

/* The cells that the token behind `tokens` others can see, from the start of a block on: attention
 * adds up in tiles, and tiles that begin elsewhere give other roundings. */
static uint32_t kept_cells(const struct blob_part *part, uint32_t tokens, uint32_t block_tokens)
{
    if (part->window == 0 || tokens < part->window) {
        return tokens;
    }
    uint32_t first = tokens - (part->window - 1);
    return tokens - (block_tokens <= part->window ? first - first % block_tokens : first);
}

uint64_t stitch_bytes(const struct blob_shape *shape, uint32_t count, uint32_t block_tokens,
    const struct stitch_target *target)
{
    uint32_t tokens = count * block_tokens;
    uint64_t bytes = BLOB_START_BYTES;
    for (uint32_t i = 0; i < shape->part_count; i++) {
        const struct blob_part *part = &shape->parts[i];
        bytes += blob_part_bytes(part, kept_cells(part, tokens, block_tokens), target->streams);
    }
    return bytes;
}

/* Everything but the rows. */
static void put_frame(
    struct work *work, const struct stitch_target *target, uint8_t *out_data, const uint8_t *end)
{
    uint8_t *at = blob_put_start(out_data);
    for (uint32_t i = 0; i < work->shape->part_count; i++) {
        const struct blob_part *part = &work->shape->parts[i];
        uint32_t kept = kept_cells(part, work->tokens, work->block_tokens);
        at = blob_put_cells(part, work->tokens - kept, kept, target->streams, target->stream, at);
        work->kept[i] = kept;
        work->runs[i] = at;
        for (uint32_t run = 0; run < part->run_count && kept > 0; run++) {
            at = blob_put32(at, (uint32_t)part->runs[run].type);
            at = blob_put64(at, part->runs[run].row_bytes);
            at += kept * part->runs[run].row_bytes;
        }
        for (uint32_t stream = target->stream + 1; stream < target->streams; stream++) {
            at = blob_put32(at, 0);
        }
    }
    assert(at == end);
}

/* Copy those rows of a part of block `index` that are kept, and sum all of them. */
static bool copy_part(const struct work *work, uint32_t number, uint32_t index, const uint8_t *blob,
    const struct block_header *header)
{
    const struct blob_part *part = &work->shape->parts[number];
    uint32_t kept_first = work->tokens - work->kept[number];
    uint32_t end = (index + 1) * work->block_tokens;
    uint32_t cells = blob_cells(part, work->block_tokens);
    uint32_t first = end - cells;
    uint32_t from = first > kept_first ? first : kept_first;
    if (from >= end) {
        return true; /* behind the window: nobody will look at it */
    }
    const uint8_t *source = blob + blob_runs_offset(work->shape, number, work->block_tokens);
    uint8_t *target = work->runs[number];
    XXH3_128bits_reset(work->state);
    for (uint32_t run = 0; run < part->run_count; run++) {
        uint64_t row = part->runs[run].row_bytes;
        const uint8_t *rows = source + BLOB_RUN_BYTES;
        uint8_t *copy = target + BLOB_RUN_BYTES + (from - kept_first) * row;
        memcpy(copy, rows + (from - first) * row, (end - from) * row);
        /* The sum is over the copy, which nobody else can write. */
        XXH3_128bits_update(work->state, rows, (from - first) * row);
        XXH3_128bits_update(work->state, copy, (end - from) * row);
        source += BLOB_RUN_BYTES + cells * row;
        target += BLOB_RUN_BYTES + work->kept[number] * row;
    }
    return block_sum_is(header, number, XXH3_128bits_digest(work->state));
}

uint32_t stitch_blocks(const struct blob_shape *shape, const struct stitch_view *views,
    uint32_t count, uint32_t block_tokens, const struct stitch_target *target, uint8_t *out_data,
    const char **out_why)
{
    assert(count > 0 && block_tokens > 0 && count <= BLOB_TOKENS_MAX / block_tokens);
    struct work work = {.shape = shape,
        .block_tokens = block_tokens,
        .tokens = count * block_tokens,
        .state = XXH3_createState()};
    *out_why = NULL;
    if (work.state == NULL) {
        *out_why = "no memory to sum it";
        return 0;
    }
    put_frame(&work, target, out_data, out_data + stitch_bytes(shape, count, block_tokens, target));
    uint32_t index = 0;
    for (; index < count; index++) {
        struct block_header header;
        const struct stitch_view *view = &views[index];
        *out_why = block_check(
            shape, index * block_tokens, block_tokens, view->data, view->bytes, &header);
        for (uint32_t part = 0; part < shape->part_count && *out_why == NULL; part++) {
            if (!copy_part(&work, part, index, view->data + sizeof header, &header)) {
                *out_why = "another sum";
            }
        }
        if (*out_why != NULL) {
            break;
        }
    }
    XXH3_freeState(work.state);
    return index;
}
