/* test_kv_sample: the same seed makes the same block; keys have outliers, values are narrow. */
#include "bench/kv_sample.h"

#include "sidecar/tier/codec_float.h"
#include "tests/check.h"

#include <math.h>
#include <string.h>

#define COUNT (64u * KV_SAMPLE_CHANNELS)

static void same_seed_same_block(void **state)
{
    (void)state;
    static float a[COUNT];
    static float b[COUNT];
    kv_sample_fill(5, CODEC_FLOAT32, sizeof a, a);
    kv_sample_fill(5, CODEC_FLOAT32, sizeof b, b);
    assert_memory_equal(a, b, sizeof a);
    kv_sample_fill(6, CODEC_FLOAT32, sizeof b, b);
    assert_memory_not_equal(a, b, sizeof a);
}

static void keys_have_outliers_and_values_have_none(void **state)
{
    (void)state;
    static float block[COUNT];
    float keys = 0;
    float values = 0;
    double square = 0;
    kv_sample_fill(7, CODEC_FLOAT32, sizeof block, block);
    for (uint32_t i = 0; i < COUNT / 2; i++) {
        float value = block[COUNT / 2 + i];
        keys = fmaxf(keys, fabsf(block[i]));
        values = fmaxf(values, fabsf(value));
        square += (double)value * (double)value;
    }
    assert_true(keys > 5 && values < 2);
    assert_float_equal(sqrt(square / (COUNT / 2)), 0.3, 0.01);
}

/* The 8-bit code stands within half a step of the float32 that it was made from. */
static void float8_is_near(void **state)
{
    (void)state;
    static float wide[COUNT];
    static uint8_t narrow[COUNT];
    kv_sample_fill(8, CODEC_FLOAT32, sizeof wide, wide);
    kv_sample_fill(8, CODEC_FLOAT8, sizeof narrow, narrow);
    for (uint32_t i = 0; i < COUNT; i++) {
        int exponent = narrow[i] >> 3 & 15;
        int mantissa = narrow[i] & 7;
        double size = exponent == 0 ? mantissa * 0x1p-9 : ldexp(8 + mantissa, exponent - 10);
        double step = ldexp(1, (exponent == 0 ? 1 : exponent) - 10);
        assert_true(fabs(fabs((double)wide[i]) - size) <= step / 2);
        assert_true(size == 0 || (narrow[i] >> 7 != 0) == (wide[i] < 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_same_block),
        cmocka_unit_test(keys_have_outliers_and_values_have_none),
        cmocka_unit_test(float8_is_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
