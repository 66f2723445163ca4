/* test_tokenizer: four bytes a token, little-endian, the last one filled up with zeros. */
#include "bench/tokenizer.h"

#include "tests/check.h"

static void four_bytes_make_a_token(void **state)
{
    (void)state;
    uint32_t tokens[2];
    assert_int_equal(tokenizer_count(8), 2);
    tokenizer_encode("abcdefgh", 8, tokens);
    assert_int_equal(tokens[0], 0x64636261);
    assert_int_equal(tokens[1], 0x68676665);
}

static void the_last_token_is_filled_up(void **state)
{
    (void)state;
    uint32_t tokens[3] = {0, 0, 77};
    assert_int_equal(tokenizer_count(0), 0);
    assert_int_equal(tokenizer_count(1), 1);
    assert_int_equal(tokenizer_count(5), 2);
    tokenizer_encode("abcd\xff", 5, tokens);
    assert_int_equal(tokens[1], 0xff);
    assert_int_equal(tokens[2], 77);
}

static void a_longer_text_begins_with_the_same_tokens(void **state)
{
    (void)state;
    uint32_t shorter[3];
    uint32_t longer[5];
    tokenizer_encode("the same words", 12, shorter);
    tokenizer_encode("the same words go", 17, longer);
    assert_memory_equal(shorter, longer, sizeof shorter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_bytes_make_a_token),
        cmocka_unit_test(the_last_token_is_filled_up),
        cmocka_unit_test(a_longer_text_begins_with_the_same_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
