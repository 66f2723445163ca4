/* test_codec_int8: each channel has its own scale in each stretch; what cannot be scaled stays
 * raw. */
#include "sidecar/tier/codec_int8.h"

#include "shm/status.h"
#include "tests/unit/sidecar/tier/kv.h"

#include <math.h>

#define CHANNELS 300u /* more than one tile */
#define ROWS (2u * CODEC_INT8_ROWS + 5)

static uint64_t seed;

struct block {
    float data[ROWS * CHANNELS];
    float back[ROWS * CHANNELS];
    uint8_t payload[ROWS * CHANNELS * sizeof(float)];
    uint64_t bytes;
    double error;
};

static int encode(struct block *block)
{
    struct codec_shape shape = {CODEC_FLOAT32, CHANNELS};
    return codec_int8_encode(
        shape, block->data, sizeof block->data, block->payload, &block->bytes, &block->error);
}

static void fill(struct block *block, uint64_t *random)
{
    for (uint32_t i = 0; i < ROWS * CHANNELS; i++) {
        block->data[i] = kv_normal(random);
    }
}

static void test_large_channels_and_stretches_cost_the_others_nothing(void **state)
{
    (void)state;
    static struct block block;
    uint64_t random = seed;
    struct codec_shape shape = {CODEC_FLOAT32, CHANNELS};
    fill(&block, &random);
    for (uint32_t row = 0; row < ROWS; row++) {
        block.data[row * CHANNELS + 7] *= 1e6f; /* an outlier channel */
        for (uint32_t i = 0; row >= 2 * CODEC_INT8_ROWS && i < CHANNELS; i++) {
            block.data[row * CHANNELS + i] *= 1e-6f; /* a quiet layer */
        }
    }
    assert_int_equal(encode(&block), STATUS_OK);
    assert_true(block.error <= 0.5 / 127 * 1.001);
    assert_int_equal(
        codec_int8_decode(shape, block.payload, block.bytes, block.back, sizeof block.back),
        STATUS_OK);
    for (uint32_t i = 0; i < ROWS * CHANNELS; i++) {
        uint32_t stretch = i / CHANNELS / CODEC_INT8_ROWS * CODEC_INT8_ROWS;
        float most = 0;
        for (uint32_t row = stretch; row < ROWS && row < stretch + CODEC_INT8_ROWS; row++) {
            most = fmaxf(most, fabsf(block.data[row * CHANNELS + i % CHANNELS]));
        }
        assert_true(fabsf(block.data[i] - block.back[i]) <= most * (0.5f / 127 * 1.001f));
    }
}

static void test_zero_stays_zero(void **state)
{
    (void)state;
    static struct block block;
    struct codec_shape shape = {CODEC_FLOAT32, CHANNELS};
    for (uint32_t i = 0; i < ROWS * CHANNELS; i++) {
        block.data[i] = 0;
        block.back[i] = 1;
    }
    assert_int_equal(encode(&block), STATUS_OK);
    assert_true(block.error == 0);
    assert_int_equal(
        codec_int8_decode(shape, block.payload, block.bytes, block.back, sizeof block.back),
        STATUS_OK);
    assert_memory_equal(block.back, block.data, sizeof block.data);
}

static void test_what_cannot_be_scaled_stays_raw(void **state)
{
    (void)state;
    static struct block block;
    static const float bad[] = {NAN, INFINITY, -INFINITY, 2e38f};
    uint64_t random = seed;
    for (size_t i = 0; i < CHECK_COUNT(bad); i++) {
        fill(&block, &random);
        assert_int_equal(encode(&block), STATUS_OK);
        block.data[check_random(&random) % (ROWS * CHANNELS)] = bad[i];
        assert_int_equal(encode(&block), STATUS_UNSUPPORTED);
    }
    fill(&block, &random);
    for (uint32_t row = 0; row < CODEC_INT8_ROWS; row++) {
        block.data[row * CHANNELS + 9] = 1e-39f; /* its inverse is infinite */
    }
    assert_int_equal(encode(&block), STATUS_UNSUPPORTED);
}

static void test_largest_half_does_not_become_infinity(void **state)
{
    (void)state;
    uint16_t data[128 * 64];
    uint16_t back[128 * 64];
    uint8_t payload[sizeof data];
    uint64_t bytes = 0;
    double error = 0;
    for (size_t i = 0; i < CHECK_COUNT(data); i++) {
        data[i] = i % 2 == 0 ? 0x7bff : 0xfbff;
    }
    struct codec_shape shape = {CODEC_FLOAT16, 128};
    assert_int_equal(
        codec_int8_encode(shape, data, sizeof data, payload, &bytes, &error), STATUS_OK);
    assert_int_equal(codec_int8_decode(shape, payload, bytes, back, sizeof back), STATUS_OK);
    assert_memory_equal(back, data, sizeof data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_channels_and_stretches_cost_the_others_nothing),
        cmocka_unit_test(test_zero_stays_zero),
        cmocka_unit_test(test_what_cannot_be_scaled_stays_raw),
        cmocka_unit_test(test_largest_half_does_not_become_infinity),
    };
    seed = check_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
