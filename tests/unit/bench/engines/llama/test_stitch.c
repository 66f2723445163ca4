/* test_stitch: blocks of a prefix become the blob that the engine itself would have exported, and
 * no damaged row gets through. */
#include "tests/unit/bench/engines/llama/made.h"

#include "bench/engines/llama/stitch.h"

#define COUNT 5u

static struct blob_shape shape;
static const struct stitch_target unified = {.streams = 1, .stream = 0};

struct prefix {
    uint8_t *blocks[COUNT];
    struct stitch_view views[COUNT];
};

static void make_prefix(uint32_t block_tokens, struct prefix *out_prefix)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        out_prefix->blocks[i] = made_block(&shape, i, block_tokens, &out_prefix->views[i].bytes);
        out_prefix->views[i].data = out_prefix->blocks[i];
    }
}

static void drop_prefix(struct prefix *prefix)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        free(prefix->blocks[i]);
    }
}

/* Room of exactly the bytes that are promised, so that a sanitizer sees one too many. */
static uint8_t *stitch(const struct prefix *prefix, uint32_t block_tokens,
    const struct stitch_target *target, uint32_t *out_good, uint64_t *out_bytes)
{
    const char *why;
    *out_bytes = stitch_bytes(&shape, COUNT, block_tokens, target);
    uint8_t *data = malloc(*out_bytes);
    assert_non_null(data);
    *out_good = stitch_blocks(&shape, prefix->views, COUNT, block_tokens, target, data, &why);
    assert_true((why == NULL) == (*out_good == COUNT));
    return data;
}

static void blocks_become_the_blob_of_the_whole_prefix(void **state)
{
    (void)state;
    static uint8_t whole[1 << 18];
    for (uint32_t parts = 1; parts <= 2; parts++) {
        struct prefix prefix;
        uint32_t good;
        uint64_t bytes;
        made_shape(parts, 0, &shape);
        make_prefix(MADE_BLOCK, &prefix);
        uint8_t *data = stitch(&prefix, MADE_BLOCK, &unified, &good, &bytes);
        assert_int_equal(good, COUNT);
        assert_int_equal(bytes, made_blob(&shape, 0, COUNT * MADE_BLOCK, whole));
        assert_memory_equal(data, whole, bytes);
        free(data);
        drop_prefix(&prefix);
    }
}

/* What the next token can see of a windowed part, from the start of a block on. */
static void of_a_window_its_last_blocks_are_taken(void **state)
{
    (void)state;
    struct prefix prefix;
    uint32_t good;
    uint64_t bytes;
    made_shape(2, MADE_WINDOW, &shape);
    make_prefix(MADE_BLOCK, &prefix);
    /* Of the first blocks' windowed rows nobody looks at any: damage there does no harm. */
    uint64_t rows = blob_runs_offset(&shape, 1, MADE_BLOCK) + BLOB_RUN_BYTES;
    prefix.blocks[0][sizeof(struct block_header) + rows] ^= 1;
    uint8_t *data = stitch(&prefix, MADE_BLOCK, &unified, &good, &bytes);
    assert_int_equal(good, COUNT);
    uint32_t first = 3 * MADE_BLOCK; /* 320 tokens, 95 before the next: from 225 on; block 3 */
    uint64_t base = BLOB_START_BYTES + blob_part_bytes(&shape.parts[0], COUNT * MADE_BLOCK, 1);
    assert_int_equal(blob_get32(data + base + 4), COUNT * MADE_BLOCK - first);
    assert_int_equal(blob_get32(data + base + 8), first);
    uint64_t runs = base + 8 + (uint64_t)BLOB_CELL_BYTES * 2 * MADE_BLOCK + BLOB_RUNS_BYTES;
    uint64_t row = shape.parts[1].runs[0].row_bytes;
    for (uint32_t position = first; position < COUNT * MADE_BLOCK; position++) {
        for (uint64_t i = 0; i < row; i++) {
            assert_int_equal(data[runs + BLOB_RUN_BYTES + (position - first) * row + i],
                made_byte(1, 0, position, i));
        }
    }
    free(data);
    drop_prefix(&prefix);
}

static void blocks_longer_than_the_window_give_all_that_is_seen(void **state)
{
    (void)state;
    struct prefix prefix;
    uint32_t good;
    uint64_t bytes;
    made_shape(2, 48, &shape);
    make_prefix(MADE_BLOCK, &prefix);
    uint8_t *data = stitch(&prefix, MADE_BLOCK, &unified, &good, &bytes);
    assert_int_equal(good, COUNT);
    uint64_t base = BLOB_START_BYTES + blob_part_bytes(&shape.parts[0], COUNT * MADE_BLOCK, 1);
    assert_int_equal(blob_get32(data + base + 4), 47);
    assert_int_equal(blob_get32(data + base + 8), COUNT * MADE_BLOCK - 47);
    free(data);
    drop_prefix(&prefix);
}

static void the_cells_go_to_the_stream_of_their_sequence(void **state)
{
    (void)state;
    static uint8_t whole[1 << 18];
    const struct stitch_target third = {.streams = 4, .stream = 2};
    struct prefix prefix;
    uint32_t good;
    uint64_t bytes;
    made_shape(1, 0, &shape);
    make_prefix(MADE_BLOCK, &prefix);
    uint8_t *data = stitch(&prefix, MADE_BLOCK, &third, &good, &bytes);
    uint64_t plain = made_blob(&shape, 0, COUNT * MADE_BLOCK, whole);
    assert_int_equal(good, COUNT);
    assert_int_equal(bytes, plain + 12);
    assert_int_equal(blob_get32(data + 8), 4);
    assert_int_equal(blob_get32(data + 12), 0);
    assert_int_equal(blob_get32(data + 16), 0);
    assert_memory_equal(data + 20, whole + 12, plain - 12); /* cells and rows */
    assert_int_equal(blob_get32(data + bytes - 4), 0); /* the stream behind it */
    free(data);
    drop_prefix(&prefix);
}

static void any_damaged_byte_ends_the_prefix_there(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    struct prefix prefix;
    made_shape(2, 0, &shape);
    make_prefix(MADE_BLOCK, &prefix);
    uint64_t spared = 0;
    for (int i = 0; i < 4000; i++) {
        uint32_t good;
        uint64_t bytes;
        uint32_t index = (uint32_t)(check_random(&seed) % COUNT);
        uint64_t at = check_random(&seed) % prefix.views[index].bytes;
        prefix.blocks[index][at] ^= (uint8_t)(1 + check_random(&seed) % 255);
        uint8_t *data = stitch(&prefix, MADE_BLOCK, &unified, &good, &bytes);
        spared += good == COUNT ? 1 : 0; /* the sequence numbers, which nobody reads */
        assert_true(good == index || good == COUNT);
        free(data);
        free(prefix.blocks[index]);
        prefix.blocks[index] = made_block(&shape, index, MADE_BLOCK, &prefix.views[index].bytes);
        prefix.views[index].data = prefix.blocks[index];
    }
    assert_true(spared < 800); /* 4 of each 12 bytes of a cell: about a tenth of these blocks */
    drop_prefix(&prefix);
}

static void blocks_in_another_order_are_refused(void **state)
{
    (void)state;
    struct prefix prefix;
    uint32_t good;
    uint64_t bytes;
    made_shape(1, 0, &shape);
    make_prefix(MADE_BLOCK, &prefix);
    struct stitch_view second = prefix.views[1];
    prefix.views[1] = prefix.views[2];
    prefix.views[2] = second;
    uint8_t *data = stitch(&prefix, MADE_BLOCK, &unified, &good, &bytes);
    assert_int_equal(good, 1);
    free(data);
    drop_prefix(&prefix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_become_the_blob_of_the_whole_prefix),
        cmocka_unit_test(of_a_window_its_last_blocks_are_taken),
        cmocka_unit_test(blocks_longer_than_the_window_give_all_that_is_seen),
        cmocka_unit_test(the_cells_go_to_the_stream_of_their_sequence),
        cmocka_unit_test(any_damaged_byte_ends_the_prefix_there),
        cmocka_unit_test(blocks_in_another_order_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
