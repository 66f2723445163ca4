/* blob: sizes, reading and writing of the engine's format; see the header. */
#include "bench/engines/llama/blob.h"

#include <assert.h>

#define MAGIC 0xaf143cd8u
#define STREAMS 1u /* of an export: the engine's cache is unified */

static uint64_t cells_bytes(uint32_t cells)
{
    return cells == 0 ? 0 : (uint64_t)cells * BLOB_CELL_BYTES + BLOB_RUNS_BYTES;
}

uint64_t blob_part_bytes(const struct blob_part *part, uint32_t cells, uint32_t streams)
{
    assert(part->run_count <= BLOB_RUNS_MAX && cells <= BLOB_TOKENS_MAX);
    uint64_t bytes = BLOB_PART_BYTES + (uint64_t)streams * BLOB_STREAM_BYTES + cells_bytes(cells);
    for (uint32_t run = 0; run < part->run_count && cells > 0; run++) {
        bytes += BLOB_RUN_BYTES + cells * part->runs[run].row_bytes;
    }
    return bytes;
}

uint64_t blob_bytes(const struct blob_shape *shape, uint32_t tokens)
{
    assert(shape->part_count >= 1 && shape->part_count <= BLOB_PARTS_MAX);
    uint64_t bytes = BLOB_START_BYTES;
    for (uint32_t i = 0; i < shape->part_count; i++) {
        const struct blob_part *part = &shape->parts[i];
        bytes += blob_part_bytes(part, blob_cells(part, tokens), STREAMS);
    }
    return bytes;
}

uint64_t blob_runs_offset(const struct blob_shape *shape, uint32_t part, uint32_t tokens)
{
    assert(part < shape->part_count);
    uint64_t offset = BLOB_START_BYTES;
    for (uint32_t i = 0; i < part; i++) {
        offset += blob_part_bytes(&shape->parts[i], blob_cells(&shape->parts[i], tokens), STREAMS);
    }
    return offset + BLOB_PART_BYTES + BLOB_STREAM_BYTES +
           cells_bytes(blob_cells(&shape->parts[part], tokens));
}

/* What is left of bytes that are read once, in order. */
struct cursor {
    const uint8_t *at;
    uint64_t left;
    bool good; /* false for ever after a read behind the end */
};

static const uint8_t *take(struct cursor *cursor, uint64_t bytes)
{
    static const uint8_t nothing[8] = {0};
    cursor->good = cursor->good && bytes <= cursor->left;
    if (!cursor->good) {
        return nothing;
    }
    const uint8_t *at = cursor->at;
    cursor->at += bytes;
    cursor->left -= bytes;
    return at;
}

static uint32_t take32(struct cursor *cursor)
{
    return blob_get32(take(cursor, sizeof(uint32_t)));
}

/* The streams and cells of a part, which must be these. */
static bool take_cells(struct cursor *cursor, uint32_t first, uint32_t cells)
{
    bool good = take32(cursor) == STREAMS && take32(cursor) == cells;
    for (uint32_t i = 0; good && i < cells; i++) {
        const uint8_t *cell = take(cursor, BLOB_CELL_BYTES);
        good = cursor->good && blob_get32(cell) == first + i &&
               blob_get32(cell + sizeof(uint32_t)) == 1;
    }
    return good && cursor->good;
}

/* `count` runs of `tokens` rows each. */
static bool learn_runs(
    struct cursor *cursor, uint32_t tokens, uint32_t count, struct blob_part *part)
{
    for (uint32_t i = 0; i < count; i++) {
        int32_t type = (int32_t)take32(cursor);
        uint64_t row_bytes = blob_get64(take(cursor, sizeof(uint64_t)));
        if (!cursor->good || row_bytes == 0 || row_bytes > BLOB_ROW_BYTES_MAX) {
            return false;
        }
        (void)take(cursor, tokens * row_bytes);
        part->runs[part->run_count + i] = (struct blob_run){type, row_bytes};
    }
    part->run_count += count;
    return cursor->good;
}

/* One part, with or without V. The bytes of the engine do not say which: the caller tries. */
static bool learn_part(struct cursor *cursor, uint32_t tokens, bool with_v, struct blob_part *part)
{
    *part = (struct blob_part){0};
    if (!take_cells(cursor, 0, tokens)) {
        return false;
    }
    uint32_t transposed = take32(cursor);
    part->layers = take32(cursor);
    return transposed == 0 && part->layers > 0 && part->layers <= BLOB_RUNS_MAX / 2 &&
           learn_runs(cursor, tokens, part->layers, part) &&
           (!with_v || learn_runs(cursor, tokens, part->layers, part));
}

bool blob_learn(const uint8_t *data, uint64_t bytes, uint32_t tokens, uint32_t parts,
    uint32_t window, struct blob_shape *out_shape)
{
    assert(parts >= 1 && parts <= BLOB_PARTS_MAX);
    assert(tokens > 0 && tokens <= BLOB_TOKENS_MAX && (window == 0 || tokens <= window));
    for (int with_v = 1; with_v >= 0; with_v--) {
        struct cursor cursor = {.at = data, .left = bytes, .good = true};
        bool good = take32(&cursor) == MAGIC;
        (void)take32(&cursor); /* the sequence */
        for (uint32_t i = 0; i < parts && good; i++) {
            good = learn_part(&cursor, tokens, with_v == 1, &out_shape->parts[i]);
        }
        if (good && cursor.good && cursor.left == 0) {
            out_shape->part_count = parts;
            out_shape->parts[parts - 1].window = window;
            return true;
        }
    }
    return false;
}

static const char *check_part(
    const struct blob_part *part, uint32_t end, uint32_t cells, struct cursor *cursor)
{
    if (!take_cells(cursor, end - cells, cells)) {
        return "other streams, cells or positions";
    }
    if (take32(cursor) != 0) {
        return "V is transposed";
    }
    if (take32(cursor) != part->layers) {
        return "another number of layers";
    }
    for (uint32_t i = 0; i < part->run_count; i++) {
        if ((int32_t)take32(cursor) != part->runs[i].type) {
            return "another type";
        }
        if (blob_get64(take(cursor, sizeof(uint64_t))) != part->runs[i].row_bytes) {
            return "another row size";
        }
        (void)take(cursor, cells * part->runs[i].row_bytes);
    }
    return cursor->good ? NULL : "too short";
}

const char *blob_check(const struct blob_shape *shape, uint32_t first, uint32_t tokens,
    const uint8_t *data, uint64_t bytes)
{
    if (bytes != blob_bytes(shape, tokens)) {
        return "another length";
    }
    struct cursor cursor = {.at = data, .left = bytes, .good = true};
    if (take32(&cursor) != MAGIC) {
        return "another magic number";
    }
    (void)take32(&cursor); /* the sequence: the engine ignores it, and so may we */
    const char *why = NULL;
    for (uint32_t i = 0; i < shape->part_count && why == NULL; i++) {
        const struct blob_part *part = &shape->parts[i];
        why = check_part(part, first + tokens, blob_cells(part, tokens), &cursor);
    }
    assert(why != NULL || cursor.left == 0);
    return why;
}

uint8_t *blob_put_start(uint8_t *out_data)
{
    return blob_put32(blob_put32(out_data, MAGIC), BLOB_SEQUENCE);
}

uint8_t *blob_put_cells(const struct blob_part *part, uint32_t first, uint32_t cells,
    uint32_t streams, uint32_t stream, uint8_t *out_data)
{
    assert(stream < streams);
    uint8_t *at = blob_put32(out_data, streams);
    for (uint32_t i = 0; i < stream; i++) {
        at = blob_put32(at, 0);
    }
    at = blob_put32(at, cells);
    for (uint32_t i = 0; i < cells; i++) {
        at = blob_put32(blob_put32(blob_put32(at, first + i), 1), BLOB_SEQUENCE);
    }
    return cells == 0 ? at : blob_put32(blob_put32(at, 0), part->layers);
}
