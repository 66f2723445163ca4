/* test_codec: what comes back is what went in, or nearly; nonsense is refused. */
#include "sidecar/tier/codec.h"

#include "shm/space.h"
#include "shm/status.h"
#include "tests/unit/sidecar/tier/kv.h"

#include <math.h>
#include <string.h>

static const enum codec codecs[] = {CODEC_RAW, CODEC_ZSTD, CODEC_FP16, CODEC_BF16, CODEC_INT8};
static const enum codec_type types[] = {
    CODEC_OPAQUE, CODEC_FLOAT32, CODEC_FLOAT16, CODEC_BFLOAT16, CODEC_FLOAT8};
static const uint64_t sizes[] = {
    1, 2, 3, 4, 7, 4095, 4096, 4097, 65535, 65536, 65537, 131072 + 6, (1 << 20) + 5, 2 << 20};

static uint64_t seed;

struct coded {
    uint8_t *data;
    uint8_t *payload;
    uint8_t *back;
    uint64_t bytes;
    enum codec codec;
    double error;
};

static void open_coded(struct coded *coded, uint64_t raw_bytes)
{
    coded->data = kv_memory(raw_bytes);
    coded->payload = kv_memory(codec_bound(CODEC_ZSTD, raw_bytes));
    coded->back = kv_memory(raw_bytes);
}

static void close_coded(struct coded *coded)
{
    free(coded->data);
    free(coded->payload);
    free(coded->back);
}

static void encode(struct coded *coded, enum codec codec, struct codec_shape shape, uint64_t bytes)
{
    assert_int_equal(codec_encode(codec, shape, coded->data, bytes, coded->payload, &coded->bytes,
                         &coded->codec, &coded->error),
        STATUS_OK);
    if (coded->codec == CODEC_RAW) {
        assert_int_equal(coded->bytes, bytes);
        memcpy(coded->payload, coded->data, bytes);
    } else {
        assert_int_equal(coded->codec, codec);
        assert_true(coded->bytes * 105 <= bytes * 100);
    }
}

/* The largest relative error of a channel, computed the slow way. */
static double measure_error(const struct coded *coded, struct codec_shape shape, uint64_t bytes)
{
    uint32_t value_bytes = codec_float_bytes(shape.type);
    double worst = 0;
    for (uint32_t channel = 0; channel < shape.channels; channel++) {
        double most = 0;
        double lost = 0;
        for (uint64_t i = channel; i < bytes / value_bytes; i += shape.channels) {
            float before;
            float after;
            codec_float_load(shape.type, coded->data + i * value_bytes, 1, &before);
            codec_float_load(shape.type, coded->back + i * value_bytes, 1, &after);
            most = fmax(most, fabs((double)before));
            lost = fmax(lost, fabs((double)before - (double)after));
        }
        worst = most > 0 ? fmax(worst, lost / most) : worst;
    }
    return worst;
}

static void test_every_codec_type_and_size_comes_back(void **state)
{
    (void)state;
    uint64_t random = seed;
    for (size_t s = 0; s < CHECK_COUNT(sizes); s++) {
        struct coded coded;
        open_coded(&coded, sizes[s]);
        for (size_t i = 0; i < CHECK_COUNT(codecs) * CHECK_COUNT(types); i++) {
            enum codec codec = codecs[i % CHECK_COUNT(codecs)];
            struct codec_shape shape = {types[i / CHECK_COUNT(codecs)], 128};
            kv_fill(&random, shape.type, coded.data, sizes[s]);
            encode(&coded, codec, shape, sizes[s]);
            memset(coded.back, 0xa5, sizes[s]);
            assert_int_equal(
                codec_decode(coded.codec, shape, coded.payload, coded.bytes, coded.back, sizes[s]),
                STATUS_OK);
            if (coded.codec == CODEC_RAW || coded.codec == CODEC_ZSTD) {
                assert_memory_equal(coded.back, coded.data, sizes[s]);
                assert_true(coded.error == 0);
            } else if (sizes[s] % (128 * codec_float_bytes(shape.type)) == 0) {
                double error = measure_error(&coded, shape, sizes[s]);
                assert_true(error > 0 && error <= coded.error * 1.0000001);
            }
        }
        close_coded(&coded);
    }
}

/* What each codec is worth on the data that it is for. */
static void test_codecs_save_what_they_should(void **state)
{
    (void)state;
    static const struct {
        enum codec codec;
        enum codec_type type;
        double least;
        double most_error;
    } rows[] = {
        {CODEC_ZSTD, CODEC_BFLOAT16, 1.40, 0},
        {CODEC_ZSTD, CODEC_FLOAT16, 1.12, 0},
        {CODEC_ZSTD, CODEC_FLOAT32, 1.15, 0},
        {CODEC_FP16, CODEC_FLOAT32, 2.0, 0x1p-11},
        {CODEC_BF16, CODEC_FLOAT32, 2.0, 0x1p-8},
        {CODEC_INT8, CODEC_FLOAT32, 3.7, 0.5 / 127 * 1.001},
        {CODEC_INT8, CODEC_FLOAT16, 1.85, 0.5 / 127 + 0x1p-11},
        {CODEC_INT8, CODEC_BFLOAT16, 1.85, 0.5 / 127 + 0x1p-8},
    };
    uint64_t bytes = UINT64_C(1) << 20;
    uint64_t random = seed;
    struct coded coded;
    open_coded(&coded, bytes);
    for (size_t i = 0; i < CHECK_COUNT(rows); i++) {
        struct codec_shape shape = {rows[i].type, 1024};
        kv_fill(&random, shape.type, coded.data, bytes);
        encode(&coded, rows[i].codec, shape, bytes);
        double ratio = (double)bytes / (double)coded.bytes;
        printf("%s of type %d: ratio %.3f, error %.5f\n", codec_name(rows[i].codec),
            (int)shape.type, ratio, coded.error);
        assert_true(ratio >= rows[i].least);
        assert_true(coded.error <= rows[i].most_error);
    }
    close_coded(&coded);
}

static void test_what_is_not_worth_it_stays_raw(void **state)
{
    (void)state;
    uint64_t bytes = 65536;
    uint64_t random = seed;
    struct coded coded;
    open_coded(&coded, bytes);
    for (uint64_t i = 0; i < bytes; i++) {
        coded.data[i] = (uint8_t)check_random(&random);
    }
    for (size_t i = 0; i < CHECK_COUNT(types); i++) {
        encode(&coded, CODEC_ZSTD, (struct codec_shape){types[i], 128}, bytes);
        assert_int_equal(coded.codec, CODEC_RAW);
    }
    encode(&coded, CODEC_FP16, (struct codec_shape){CODEC_FLOAT16, 128}, bytes);
    assert_int_equal(coded.codec, CODEC_RAW);
    kv_fill(&random, CODEC_FLOAT16, coded.data, bytes);
    encode(&coded, CODEC_INT8, (struct codec_shape){CODEC_FLOAT16, 0}, bytes);
    assert_int_equal(coded.codec, CODEC_RAW);
    encode(&coded, CODEC_INT8, (struct codec_shape){CODEC_FLOAT16, 100}, bytes);
    assert_int_equal(coded.codec, CODEC_RAW);
    close_coded(&coded);
}

static void test_lengths_of_a_payload_are_checked(void **state)
{
    (void)state;
    uint64_t bytes = 65536;
    uint64_t random = seed;
    struct coded coded;
    open_coded(&coded, bytes);
    for (size_t i = 0; i < CHECK_COUNT(codecs); i++) {
        struct codec_shape shape = {CODEC_FLOAT32, 128};
        kv_fill(&random, shape.type, coded.data, bytes);
        encode(&coded, codecs[i], shape, bytes);
        for (uint64_t cut = 1; cut < coded.bytes; cut = cut * 2 + 1) {
            assert_int_equal(codec_decode(coded.codec, shape, coded.payload, coded.bytes - cut,
                                 coded.back, bytes),
                STATUS_MALFORMED);
        }
        assert_int_equal(
            codec_decode(coded.codec, shape, coded.payload, coded.bytes + 1, coded.back, bytes),
            STATUS_MALFORMED);
        assert_int_equal(
            codec_decode(coded.codec, shape, coded.payload, coded.bytes, coded.back, bytes - 4),
            STATUS_MALFORMED);
    }
    assert_int_equal(codec_decode((enum codec)9, (struct codec_shape){CODEC_FLOAT32, 128},
                         coded.payload, bytes, coded.back, bytes),
        STATUS_MALFORMED);
    close_coded(&coded);
}

static void test_shape_from_namespace(void **state)
{
    (void)state;
    static const struct {
        const char *dtype;
        const char *layout;
        enum codec_type type;
        uint32_t channels;
    } rows[] = {
        {"torch.bfloat16", "layers,kv,tokens,heads,head_size", CODEC_BFLOAT16, 1024},
        {"bf16", "layers,kv,heads,tokens,head_size", CODEC_BFLOAT16, 128},
        {"float16", "", CODEC_FLOAT16, 128},
        {"Half", "", CODEC_FLOAT16, 128},
        {"torch.float32", "tokens,heads,head_size", CODEC_FLOAT32, 1024},
        {"f32", "", CODEC_FLOAT32, 128},
        {"fp8_e4m3", "", CODEC_FLOAT8, 128},
        {"torch.float8_e4m3fn", "", CODEC_FLOAT8, 128},
        {"q8_0", "", CODEC_OPAQUE, 128},
        {"", "", CODEC_OPAQUE, 128},
    };
    for (size_t i = 0; i < CHECK_COUNT(rows); i++) {
        struct space space = {.heads = 8, .head_size = 128};
        (void)snprintf(space.dtype, sizeof space.dtype, "%s", rows[i].dtype);
        (void)snprintf(space.layout, sizeof space.layout, "%s", rows[i].layout);
        struct codec_shape shape = codec_shape_of(&space);
        assert_int_equal(shape.type, rows[i].type);
        assert_int_equal(shape.channels, rows[i].channels);
    }
    struct space large = {.heads = UINT32_MAX, .head_size = UINT32_MAX};
    (void)snprintf(large.layout, sizeof large.layout, "heads,head_size");
    assert_int_equal(codec_shape_of(&large).channels, 0);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(codec_name(CODEC_RAW), "raw");
    assert_string_equal(codec_name(CODEC_INT8), "int8");
    assert_string_equal(codec_name((enum codec)77), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_codec_type_and_size_comes_back),
        cmocka_unit_test(test_codecs_save_what_they_should),
        cmocka_unit_test(test_what_is_not_worth_it_stays_raw),
        cmocka_unit_test(test_lengths_of_a_payload_are_checked),
        cmocka_unit_test(test_shape_from_namespace),
        cmocka_unit_test(test_names),
    };
    seed = check_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
