/* test_blob: the engine's format is learnt from an export, and everything else is refused. */
#include "tests/unit/bench/engines/llama/made.h"

static struct blob_shape shape;
static struct blob_shape learnt;
static uint8_t data[1 << 18];

static void a_shape_is_learnt_from_an_export(void **state)
{
    (void)state;
    for (uint32_t parts = 1; parts <= 2; parts++) {
        made_shape(parts, 0, &shape);
        uint64_t bytes = made_blob(&shape, 0, 2, data);
        assert_true(blob_learn(data, bytes, 2, parts, 0, &learnt));
        assert_int_equal(learnt.part_count, parts);
        for (uint32_t i = 0; i < parts; i++) {
            assert_memory_equal(&learnt.parts[i], &shape.parts[i], sizeof learnt.parts[i]);
        }
    }
}

static void the_window_belongs_to_the_last_cache(void **state)
{
    (void)state;
    made_shape(2, MADE_WINDOW, &shape);
    uint64_t bytes = made_blob(&shape, 0, 2, data);
    assert_true(blob_learn(data, bytes, 2, 2, MADE_WINDOW, &learnt));
    assert_int_equal(learnt.parts[0].window, 0);
    assert_int_equal(learnt.parts[1].window, MADE_WINDOW);
}

static void an_engine_without_v_has_half_the_runs(void **state)
{
    (void)state;
    made_shape(1, 0, &shape);
    shape.parts[0].run_count = MADE_LAYERS;
    uint64_t bytes = made_blob(&shape, 0, 2, data);
    assert_true(blob_learn(data, bytes, 2, 1, 0, &learnt));
    assert_int_equal(learnt.parts[0].run_count, MADE_LAYERS);
}

static void an_export_that_cannot_be_cut_teaches_nothing(void **state)
{
    (void)state;
    made_shape(1, 0, &shape);
    uint64_t bytes = made_blob(&shape, 0, 2, data);
    uint64_t runs = blob_runs_offset(&shape, 0, 2);
    assert_false(blob_learn(data, bytes, 2, 2, 0, &learnt)); /* a second cache is missing */
    assert_false(blob_learn(data, bytes + 1, 2, 1, 0, &learnt)); /* something is behind it */
    assert_false(blob_learn(data, bytes - 1, 2, 1, 0, &learnt));
    assert_false(blob_learn(data, 0, 2, 1, 0, &learnt));
    blob_put32(data + runs - BLOB_RUNS_BYTES, 1); /* V is transposed */
    assert_false(blob_learn(data, bytes, 2, 1, 0, &learnt));
    blob_put32(data + runs - BLOB_RUNS_BYTES, 0);
    blob_put32(data + BLOB_START_BYTES, 4); /* one stream a sequence */
    assert_false(blob_learn(data, bytes, 2, 1, 0, &learnt));
}

static void a_block_of_a_prompt_passes(void **state)
{
    (void)state;
    static const uint32_t windows[] = {0, MADE_WINDOW, 48};
    for (size_t i = 0; i < CHECK_COUNT(windows); i++) {
        made_shape(2, windows[i], &shape);
        uint64_t bytes = made_blob(&shape, 640, 640 + MADE_BLOCK, data);
        assert_int_equal(bytes, blob_bytes(&shape, MADE_BLOCK));
        assert_null(blob_check(&shape, 640, MADE_BLOCK, data, bytes));
    }
}

static void other_positions_and_lengths_are_refused(void **state)
{
    (void)state;
    made_shape(2, MADE_WINDOW, &shape);
    uint64_t bytes = made_blob(&shape, 640, 640 + MADE_BLOCK, data);
    assert_non_null(blob_check(&shape, 576, MADE_BLOCK, data, bytes));
    assert_non_null(blob_check(&shape, 640, MADE_BLOCK - 1, data, bytes));
    assert_non_null(blob_check(&shape, 640, MADE_BLOCK, data, bytes - 1));
    assert_non_null(blob_check(&shape, 640, MADE_BLOCK, data, bytes + 1));
    assert_non_null(blob_check(&shape, 640, MADE_BLOCK, data, 0));
}

/* Of everything but the rows and the sequence numbers, each single bit matters. */
static void every_changed_bit_outside_the_rows_is_seen(void **state)
{
    (void)state;
    made_shape(2, 48, &shape);
    uint64_t bytes = made_blob(&shape, 640, 640 + MADE_BLOCK, data);
    uint64_t seen = 0;
    uint64_t cells[2] = {MADE_BLOCK, 48};
    for (uint64_t bit = 0; bit < 8 * bytes; bit++) {
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        seen += blob_check(&shape, 640, MADE_BLOCK, data, bytes) != NULL ? 1 : 0;
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    uint64_t expected = 4; /* the magic */
    for (uint32_t part = 0; part < 2; part++) {
        expected += 8 + 8 * cells[part] + 8 + 12 * (uint64_t)shape.parts[part].run_count;
    }
    assert_int_equal(seen, 8 * expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shape_is_learnt_from_an_export),
        cmocka_unit_test(the_window_belongs_to_the_last_cache),
        cmocka_unit_test(an_engine_without_v_has_half_the_runs),
        cmocka_unit_test(an_export_that_cannot_be_cut_teaches_nothing),
        cmocka_unit_test(a_block_of_a_prompt_passes),
        cmocka_unit_test(other_positions_and_lengths_are_refused),
        cmocka_unit_test(every_changed_bit_outside_the_rows_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
