/* fuzz_llama: any bytes as a block of K and V from another worker, and as an engine's export:
 * refused, or joined to a blob of which everything but the rows is what we would have written.
 *
 * An input is a byte that says what to do, and the bytes.
 */
#include "tests/fuzz/target.h"

#include "bench/engines/llama/block.h"
#include "bench/engines/llama/stitch.h"

#define TOKENS 8u /* of a block */
#define ROW 5u
#define LAYERS 2u
#define FLAG_LEARN 1u
#define FLAG_WINDOW 2u
#define FLAG_MEND 4u /* make the sums right again: whoever forges a block would */

/* Two caches; with a window, the second one keeps less than a block. */
static void make_shape(uint8_t flags, struct blob_shape *out_shape)
{
    memset(out_shape, 0, sizeof *out_shape);
    out_shape->part_count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        struct blob_part *part = &out_shape->parts[i];
        part->layers = LAYERS;
        part->run_count = 2 * LAYERS;
        for (uint32_t run = 0; run < part->run_count; run++) {
            part->runs[run] = (struct blob_run){.type = 1, .row_bytes = ROW + run};
        }
    }
    out_shape->parts[1].window = (flags & FLAG_WINDOW) != 0 ? TOKENS / 2 : 0;
}

/* The engine's export of the block's tokens, all rows zero. */
static void put_blob(const struct blob_shape *shape, uint8_t *out_data)
{
    uint8_t *at = blob_put_start(out_data);
    for (uint32_t i = 0; i < shape->part_count; i++) {
        const struct blob_part *part = &shape->parts[i];
        uint32_t cells = blob_cells(part, TOKENS);
        at = blob_put_cells(part, TOKENS - cells, cells, 1, 0, at);
        for (uint32_t run = 0; run < part->run_count; run++) {
            at = blob_put64(
                blob_put32(at, (uint32_t)part->runs[run].type), part->runs[run].row_bytes);
            memset(at, 0, cells * part->runs[run].row_bytes);
            at += cells * part->runs[run].row_bytes;
        }
    }
}

size_t target_seed(uint64_t *state, uint8_t *out_data, size_t room)
{
    static struct blob_shape shape;
    uint8_t flags = (uint8_t)(check_random(state) & (FLAG_LEARN | FLAG_WINDOW | FLAG_MEND));
    bool learn = (flags & FLAG_LEARN) != 0;
    make_shape(flags, &shape);
    size_t bytes = learn ? blob_bytes(&shape, TOKENS) : block_bytes(&shape, TOKENS);
    target_must(1 + bytes <= room, "room for a seed");
    out_data[0] = flags;
    if (learn) {
        put_blob(&shape, out_data + 1);
    } else {
        put_blob(&shape, out_data + 1 + sizeof(struct block_header));
        target_must(block_seal(&shape, 0, TOKENS, out_data + 1) == NULL, "a block");
    }
    return 1 + bytes;
}

/* What is learnt from bytes is a shape that they have. */
static void learn(const uint8_t *data, size_t bytes)
{
    static struct blob_shape shape;
    for (uint32_t parts = 1; parts <= BLOB_PARTS_MAX; parts++) {
        if (blob_learn(data, bytes, TOKENS, parts, 0, &shape)) {
            target_must(blob_bytes(&shape, TOKENS) == bytes, "the length that it has");
            target_must(blob_check(&shape, 0, TOKENS, data, bytes) == NULL, "a blob of its shape");
        }
    }
}

/* The frame of a stitched blob: is it one that we would write? */
static bool is_framed(const struct blob_shape *shape, const uint8_t *data, uint64_t bytes)
{
    static struct blob_shape whole;
    whole = *shape;
    if (whole.parts[1].window != 0) {
        whole.parts[1].window--; /* what the next token sees of it */
    }
    return blob_check(&whole, 0, TOKENS, data, bytes) == NULL;
}

static void join(uint8_t flags, uint8_t *data, size_t bytes)
{
    static struct blob_shape shape;
    static const struct stitch_target target = {.streams = 1, .stream = 0};
    make_shape(flags, &shape);
    if ((flags & FLAG_MEND) != 0 && bytes == block_bytes(&shape, TOKENS)) {
        (void)block_seal(&shape, 0, TOKENS, data);
    }
    struct stitch_view view = {.data = data, .bytes = bytes};
    uint64_t room = stitch_bytes(&shape, 1, TOKENS, &target);
    uint8_t *out[2];
    uint32_t good[2];
    for (int i = 0; i < 2; i++) {
        const char *why;
        out[i] = malloc(room);
        target_must(out[i] != NULL, "memory");
        memset(out[i], i == 0 ? 0x00 : 0xff, room);
        good[i] = stitch_blocks(&shape, &view, 1, TOKENS, &target, out[i], &why);
        target_must((why == NULL) == (good[i] == 1), "a reason for a refusal");
    }
    target_must(good[0] == good[1], "the same answer");
    if (good[0] == 1) {
        target_must(memcmp(out[0], out[1], room) == 0, "every byte was set");
        target_must(is_framed(&shape, out[0], room), "the frame is ours");
    }
    free(out[0]);
    free(out[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes == 0) {
        return 0;
    }
    /* Memory of exactly so many bytes, so that a sanitizer sees one too many. */
    uint8_t *copy = malloc(bytes == 1 ? 1 : bytes - 1);
    target_must(copy != NULL, "memory");
    memcpy(copy, data + 1, bytes - 1);
    if ((data[0] & FLAG_LEARN) != 0) {
        learn(copy, bytes - 1);
    } else {
        join(data[0], copy, bytes - 1);
    }
    free(copy);
    return 0;
}
