/* test_codec_float: every float16 and bfloat16, every rounding, and what must not become
 * infinity. */
#include "sidecar/tier/codec_float.h"

#include "shm/status.h"
#include "tests/check.h"

#include <math.h>

static uint64_t seed;

/* The slow way: the nearest of two neighbours, even at a tie. `of` is the reverse conversion. */
static uint16_t nearest(float value, uint16_t first, float (*of)(uint16_t))
{
    double wanted = fabs((double)value);
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    uint16_t low = first;
    uint16_t high = (uint16_t)(first + 1);
    double to_low = wanted - (double)of(low);
    double to_high = (double)of(high) - wanted;
    bool up = to_high < to_low || (to_high == to_low && (low & 1) != 0);
    return (uint16_t)(sign | (up ? high : low));
}

static void test_all_halves_survive(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t half = (uint16_t)i;
        float wide = codec_float_from_fp16(half);
        if (isnan(wide)) {
            assert_true((half & 0x7fff) > 0x7c00);
            assert_true(isnan(codec_float_from_fp16(codec_float_to_fp16(wide))));
        } else {
            assert_int_equal(codec_float_to_fp16(wide), half);
        }
        wide = codec_float_from_bf16(half);
        if (isnan(wide)) {
            assert_true(isnan(codec_float_from_bf16(codec_float_to_bf16(wide))));
        } else {
            assert_int_equal(codec_float_to_bf16(wide), half);
        }
    }
}

/* Between each two neighbours: just above the lower, the middle, just below the upper. */
static void test_rounding_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 0x7bff; i++) {
        double low = (double)codec_float_from_fp16((uint16_t)i);
        double high = (double)codec_float_from_fp16((uint16_t)(i + 1));
        float middle = (float)((low + high) / 2);
        const float values[] = {
            nextafterf((float)low, 1e9f), nextafterf(middle, 0), middle, nextafterf(middle, 1e9f)};
        for (size_t j = 0; j < CHECK_COUNT(values); j++) {
            uint16_t expected = nearest(values[j], (uint16_t)i, codec_float_from_fp16);
            assert_int_equal(codec_float_to_fp16(values[j]), expected);
            assert_int_equal(codec_float_to_fp16(-values[j]), expected | 0x8000);
        }
    }
    for (uint32_t i = 0; i < 0x7f7f; i++) {
        for (uint32_t rest = 0; rest < 4; rest++) {
            static const uint32_t tails[] = {1, 0x7fff, 0x8000, 0x8001};
            float value = codec_float_of(i << 16 | tails[rest]);
            assert_int_equal(
                codec_float_to_bf16(value), nearest(value, (uint16_t)i, codec_float_from_bf16));
        }
    }
}

static void test_ends_of_the_range(void **state)
{
    (void)state;
    assert_int_equal(codec_float_to_fp16(65504.0f), 0x7bff);
    assert_int_equal(codec_float_to_fp16(65519.99f), 0x7bff);
    assert_int_equal(codec_float_to_fp16(65520.0f), 0x7c00);
    assert_int_equal(codec_float_to_fp16(-INFINITY), 0xfc00);
    assert_int_equal(codec_float_to_fp16(0x1p-24f), 1);
    assert_int_equal(codec_float_to_fp16(0x1p-25f), 0);
    assert_int_equal(codec_float_to_fp16(0x1.8p-25f), 1);
    assert_int_equal(codec_float_to_fp16(-0.0f), 0x8000);
    assert_int_equal(codec_float_to_bf16(INFINITY), 0x7f80);
    assert_int_equal(codec_float_to_bf16(3.4e38f), 0x7f80);
    /* A NaN whose payload lies in the low bits alone. */
    assert_true(isnan(codec_float_from_bf16(codec_float_to_bf16(codec_float_of(0x7f800001)))));
    assert_true(isnan(codec_float_from_fp16(codec_float_to_fp16(codec_float_of(0xff800001)))));
}

static int encode(enum codec_type half, const float *values, uint64_t count, uint32_t channels,
    uint16_t *out_halves, double *out_error)
{
    uint64_t bytes = 0;
    struct codec_shape shape = {CODEC_FLOAT32, channels};
    int status = codec_float_encode(
        half, shape, values, count * sizeof *values, out_halves, &bytes, out_error);
    if (status == STATUS_OK) {
        assert_int_equal(bytes, count * sizeof *out_halves);
    }
    return status;
}

static void test_a_number_that_does_not_fit_is_no_infinity(void **state)
{
    (void)state;
    uint64_t random = seed;
    float values[1000];
    uint16_t halves[1000];
    double error = 0;
    for (size_t i = 0; i < 1000; i++) {
        values[i] = (float)(check_random(&random) % 1000) / 100.0f;
    }
    values[3] = INFINITY; /* these were none of our making */
    values[4] = NAN;
    values[5] = -INFINITY;
    for (uint32_t channels = 0; channels <= 500; channels += 250) {
        assert_int_equal(encode(CODEC_FLOAT16, values, 1000, channels, halves, &error), STATUS_OK);
        assert_int_equal(halves[3], 0x7c00);
        assert_true(isnan(codec_float_from_fp16(halves[4])));
        assert_true(error > 0 && error <= 0x1p-11);
        size_t at = check_random(&random) % 994 + 6;
        float kept = values[at];
        values[at] = -70000.0f;
        assert_int_equal(
            encode(CODEC_FLOAT16, values, 1000, channels, halves, &error), STATUS_UNSUPPORTED);
        assert_int_equal(encode(CODEC_BFLOAT16, values, 1000, channels, halves, &error), STATUS_OK);
        values[at] = 3.4e38f;
        assert_int_equal(
            encode(CODEC_BFLOAT16, values, 1000, channels, halves, &error), STATUS_UNSUPPORTED);
        values[at] = kept;
    }
}

static void test_error_is_that_of_the_worst_channel(void **state)
{
    (void)state;
    /* Channel 0 is exact; channel 1 loses 1 of 2049. */
    const float values[] = {1.0f, 2048.0f, 2.0f, 2049.0f, 4.0f, 100.0f};
    uint16_t halves[6];
    double error = 0;
    assert_int_equal(encode(CODEC_FLOAT16, values, 6, 2, halves, &error), STATUS_OK);
    assert_float_equal(error, 1.0 / 2049, 1e-9);
    assert_int_equal(encode(CODEC_FLOAT16, values, 6, 0, halves, &error), STATUS_OK);
    assert_float_equal(error, 1.0 / 2049, 1e-9);
    /* Numbers too small for float16 are lost whole, and it says so. */
    const float tiny[] = {1e-9f, 1e-9f};
    assert_int_equal(encode(CODEC_FLOAT16, tiny, 2, 1, halves, &error), STATUS_OK);
    assert_float_equal(error, 1.0, 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_halves_survive),
        cmocka_unit_test(test_rounding_to_nearest_even),
        cmocka_unit_test(test_ends_of_the_range),
        cmocka_unit_test(test_a_number_that_does_not_fit_is_no_infinity),
        cmocka_unit_test(test_error_is_that_of_the_worst_channel),
    };
    seed = check_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
