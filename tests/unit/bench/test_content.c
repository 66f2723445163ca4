/* test_content: a block's bytes follow from its key, and any other byte is found. */
#include "bench/content.h"

#include "tests/check.h"

#include <stdlib.h>
#include <string.h>

#define BYTES 4099u /* no multiple of a word or of a stretch */

static void filled_bytes_are_right(void **state)
{
    (void)state;
    static unsigned char block[BYTES];
    struct cistern_key key = content_key(1, 2);
    for (uint64_t bytes = 0; bytes < 40; bytes++) {
        content_fill(&key, block, bytes);
        assert_int_equal(content_wrong_bytes(&key, block, bytes), 0);
    }
    content_fill(&key, block, BYTES);
    assert_int_equal(content_wrong_bytes(&key, block, BYTES), 0);
}

static void every_flipped_byte_is_found(void **state)
{
    (void)state;
    static unsigned char block[BYTES];
    struct cistern_key key = content_key(1, 2);
    content_fill(&key, block, BYTES);
    for (size_t i = 0; i < BYTES; i++) {
        block[i] ^= 0x40;
        assert_int_equal(content_wrong_bytes(&key, block, BYTES), 1);
        block[i] ^= 0x40;
    }
    block[0] ^= 1;
    block[BYTES - 1] ^= 1;
    assert_int_equal(content_wrong_bytes(&key, block, BYTES), 2);
}

static void nothing_is_written_behind_the_end(void **state)
{
    (void)state;
    unsigned char block[24];
    struct cistern_key key = content_key(3, 4);
    memset(block, 0xee, sizeof block);
    content_fill(&key, block, 13);
    for (size_t i = 13; i < sizeof block; i++) {
        assert_int_equal(block[i], 0xee);
    }
}

static void the_block_of_another_key_is_wrong(void **state)
{
    (void)state;
    static unsigned char block[BYTES];
    struct cistern_key key = content_key(1, 2);
    content_fill(&key, block, BYTES);
    for (size_t i = 0; i < sizeof key.bytes; i++) {
        struct cistern_key other = key;
        other.bytes[i] ^= 1; /* each byte of the key counts */
        assert_true(content_wrong_bytes(&other, block, BYTES) > BYTES / 10 * 9);
    }
}

static void keys_differ_by_seed_and_number(void **state)
{
    (void)state;
    struct cistern_key one = content_key(1, 2);
    struct cistern_key same = content_key(1, 2);
    struct cistern_key next = content_key(1, 3);
    struct cistern_key other = content_key(2, 2);
    assert_memory_equal(&one, &same, sizeof one);
    assert_memory_not_equal(&one, &next, sizeof one);
    assert_memory_not_equal(&one, &other, sizeof one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filled_bytes_are_right),
        cmocka_unit_test(every_flipped_byte_is_found),
        cmocka_unit_test(nothing_is_written_behind_the_end),
        cmocka_unit_test(the_block_of_another_key_is_wrong),
        cmocka_unit_test(keys_differ_by_seed_and_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
