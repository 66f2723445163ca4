/* test_codec_zstd: planes of every kind come back; sizes that lie are refused. */
#include "sidecar/tier/codec_zstd.h"

#include "shm/status.h"
#include "tests/unit/sidecar/tier/kv.h"

#include <string.h>

#define BYTES (3u * CODEC_ZSTD_VALUES + 1001)

static uint64_t seed;

static const enum codec_type types[] = {
    CODEC_OPAQUE, CODEC_FLOAT32, CODEC_FLOAT16, CODEC_BFLOAT16, CODEC_FLOAT8};

/* Chunks alternate between constant, random and few values, so each plane changes its way. */
static void test_each_chunk_is_coded_as_suits_it(void **state)
{
    (void)state;
    uint64_t random = seed;
    uint8_t *data = kv_memory(BYTES);
    uint8_t *back = kv_memory(BYTES);
    uint8_t *payload = kv_memory(codec_zstd_bound(BYTES));
    for (uint32_t i = 0; i < BYTES; i++) {
        uint8_t byte = (uint8_t)check_random(&random);
        uint32_t chunk = i / CODEC_ZSTD_VALUES;
        data[i] = chunk == 0 ? byte : chunk == 1 ? 7 : (uint8_t)(byte & 3);
    }
    for (size_t i = 0; i < CHECK_COUNT(types); i++) {
        struct codec_shape shape = {types[i], 0};
        uint64_t bytes = 0;
        assert_int_equal(codec_zstd_encode(shape, data, BYTES, payload, &bytes), STATUS_OK);
        assert_true(bytes < BYTES / 10 * 7);
        memset(back, 1, BYTES);
        assert_int_equal(codec_zstd_decode(shape, payload, bytes, back, BYTES), STATUS_OK);
        assert_memory_equal(back, data, BYTES);
    }
    free(data);
    free(back);
    free(payload);
}

static void test_bound_holds_for_what_cannot_be_coded(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 3, 65535, 65536, 65537, 4 * 65536 + 3};
    uint64_t random = seed;
    for (size_t s = 0; s < CHECK_COUNT(sizes); s++) {
        uint8_t *data = kv_memory(sizes[s]);
        uint8_t *payload = kv_memory(codec_zstd_bound(sizes[s]));
        for (uint64_t i = 0; i < sizes[s]; i++) {
            data[i] = (uint8_t)check_random(&random);
        }
        for (size_t i = 0; i < CHECK_COUNT(types); i++) {
            uint64_t bytes = 0;
            assert_int_equal(codec_zstd_encode((struct codec_shape){types[i], 0}, data, sizes[s],
                                 payload, &bytes),
                STATUS_OK);
            assert_true(bytes >= sizes[s] && bytes <= codec_zstd_bound(sizes[s]));
        }
        free(data);
        free(payload);
    }
}

static void test_sizes_that_lie_are_refused(void **state)
{
    (void)state;
    uint64_t random = seed;
    uint64_t raw = 65536;
    struct codec_shape shape = {CODEC_BFLOAT16, 0};
    uint8_t *data = kv_memory(raw);
    uint8_t *payload = kv_memory(codec_zstd_bound(raw));
    uint8_t *bad = kv_memory(codec_zstd_bound(raw));
    uint64_t bytes = 0;
    kv_fill(&random, shape.type, data, raw);
    assert_int_equal(codec_zstd_encode(shape, data, raw, payload, &bytes), STATUS_OK);
    uint32_t size;
    memcpy(&size, payload, sizeof size);
    assert_true(size < raw / 2);
    const uint32_t lies[] = {
        0, 1, size - 1, size + 1, (uint32_t)raw / 2, (uint32_t)raw, UINT32_MAX, UINT32_MAX - 7};
    for (size_t i = 0; i < CHECK_COUNT(lies); i++) {
        memcpy(bad, payload, bytes);
        memcpy(bad, &lies[i], sizeof lies[i]);
        assert_int_equal(codec_zstd_decode(shape, bad, bytes, data, raw), STATUS_MALFORMED);
    }
    /* A frame that holds less than its chunk: 65,534 bytes where 65,536 are due. */
    assert_int_equal(codec_zstd_decode(shape, payload, bytes, data, raw + 4), STATUS_MALFORMED);
    free(data);
    free(payload);
    free(bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_chunk_is_coded_as_suits_it),
        cmocka_unit_test(test_bound_holds_for_what_cannot_be_coded),
        cmocka_unit_test(test_sizes_that_lie_are_refused),
    };
    seed = check_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
