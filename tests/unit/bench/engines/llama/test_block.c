/* test_block: a slot's header is written for whole blobs alone, and read with suspicion. */
#include "tests/unit/bench/engines/llama/made.h"

static struct blob_shape shape;

static void a_sealed_block_passes(void **state)
{
    (void)state;
    uint64_t bytes;
    struct block_header header;
    made_shape(2, 0, &shape);
    uint8_t *data = made_block(&shape, 3, MADE_BLOCK, &bytes);
    assert_null(block_check(&shape, 3 * MADE_BLOCK, MADE_BLOCK, data, bytes, &header));
    assert_int_equal(header.first, 3 * MADE_BLOCK);
    assert_true(header.sums[0][0] != header.sums[1][0]);
    free(data);
}

static void a_block_with_lost_rows_is_not_sealed(void **state)
{
    (void)state;
    made_shape(2, 0, &shape);
    uint64_t bytes = block_bytes(&shape, MADE_BLOCK);
    uint8_t *data = malloc(bytes);
    assert_non_null(data);
    memset(data, 0, bytes);
    /* The engine exports what its window still has: another length, and other cells. */
    made_shape(2, 48, &shape);
    (void)made_blob(&shape, 0, MADE_BLOCK, data + sizeof(struct block_header));
    made_shape(2, 0, &shape);
    assert_non_null(block_seal(&shape, 0, MADE_BLOCK, data));
    free(data);
}

static void another_header_is_refused(void **state)
{
    (void)state;
    uint64_t bytes;
    struct block_header header;
    made_shape(1, 0, &shape);
    uint8_t *data = made_block(&shape, 3, MADE_BLOCK, &bytes);
    for (size_t i = 0; i < offsetof(struct block_header, sums); i++) {
        data[i] ^= 0x40;
        assert_non_null(block_check(&shape, 3 * MADE_BLOCK, MADE_BLOCK, data, bytes, &header));
        data[i] ^= 0x40;
    }
    assert_non_null(block_check(&shape, 2 * MADE_BLOCK, MADE_BLOCK, data, bytes, &header));
    assert_non_null(block_check(&shape, 3 * MADE_BLOCK, MADE_BLOCK, data, bytes - 1, &header));
    assert_non_null(block_check(&shape, 3 * MADE_BLOCK, MADE_BLOCK, data, 3, &header));
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sealed_block_passes),
        cmocka_unit_test(a_block_with_lost_rows_is_not_sealed),
        cmocka_unit_test(another_header_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
