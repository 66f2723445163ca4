/* test_keys: names of blocks: the chain, its parts, its secret, and an engine's hashes. */
#include "tests/unit/libclient/bed.h"

static uint32_t tokens[BED_KEYS * BED_TOKENS];

static void make_tokens(void)
{
    for (uint32_t i = 0; i < BED_KEYS * BED_TOKENS; i++) {
        tokens[i] = i * 7 + 3; /* as bed_open() does */
    }
}

static void a_chain_continues_at_any_block(void **state)
{
    struct bed *bed = *state;
    struct cistern_key keys[BED_KEYS];
    size_t count = 0;
    make_tokens();
    for (size_t cut = 1; cut < BED_KEYS; cut += 33) {
        size_t rest = (BED_KEYS - cut) * BED_TOKENS;
        assert_int_equal(cistern_keys(bed->handle, &bed->keys[cut - 1], tokens + cut * BED_TOKENS,
                             rest, keys, &count),
            CISTERN_OK);
        assert_int_equal(count, BED_KEYS - cut);
        assert_memory_equal(keys, &bed->keys[cut], count * sizeof keys[0]);
    }
}

static void a_partial_block_gets_no_key(void **state)
{
    struct bed *bed = *state;
    struct cistern_key keys[2];
    size_t count = 99;
    make_tokens();
    assert_int_equal(
        cistern_keys(bed->handle, NULL, tokens, 2 * BED_TOKENS - 1, keys, &count), CISTERN_OK);
    assert_int_equal(count, 1);
    assert_memory_equal(&keys[0], &bed->keys[0], sizeof keys[0]);
    assert_int_equal(cistern_keys(bed->handle, NULL, NULL, 0, NULL, &count), CISTERN_OK);
    assert_int_equal(count, 0);
    assert_int_equal(
        cistern_keys(bed->handle, NULL, NULL, BED_TOKENS, keys, &count), CISTERN_INVALID);
    assert_int_equal(cistern_keys(NULL, NULL, tokens, BED_TOKENS, keys, &count), CISTERN_INVALID);
}

/* Another namespace, or another secret, shares no key. */
static void every_part_of_the_namespace_counts(void **state)
{
    struct bed *bed = *state;
    const struct cistern_key first = bed->keys[0];
    struct cistern_key last = first;
    for (int i = 0; i < 3; i++) {
        cistern_close(&bed->handle);
        bed->space.lora = i == 0 ? "adapter" : NULL;
        bed->space.secret = i == 0 ? NULL : i == 1 ? "secret one" : "secret two";
        bed->space.secret_bytes = i == 0 ? 0 : 10;
        bed_open(bed);
        assert_memory_not_equal(&bed->keys[0], &first, sizeof first);
        assert_memory_not_equal(&bed->keys[0], &last, sizeof first);
        last = bed->keys[0];
    }
}

static void hashes_are_folded_with_their_group(void **state)
{
    struct bed *bed = *state;
    uint8_t hashes[3 * 16];
    for (uint8_t i = 0; i < sizeof hashes; i++) {
        hashes[i] = i;
    }
    struct cistern_key all[3];
    struct cistern_key one;
    assert_int_equal(cistern_keys_from_hashes(bed->handle, hashes, 16, 3, 0, all), CISTERN_OK);
    assert_int_equal(
        cistern_keys_from_hashes(bed->handle, hashes + 16, 16, 1, 0, &one), CISTERN_OK);
    assert_memory_equal(&one, &all[1], sizeof one);
    assert_int_equal(
        cistern_keys_from_hashes(bed->handle, hashes + 16, 16, 1, 1, &one), CISTERN_OK);
    assert_memory_not_equal(&one, &all[1], sizeof one);
    assert_int_equal(
        cistern_keys_from_hashes(bed->handle, hashes, 65, 1, 0, &one), CISTERN_INVALID);
    assert_int_equal(cistern_keys_from_hashes(bed->handle, hashes, 0, 1, 0, &one), CISTERN_INVALID);
    assert_int_equal(cistern_keys_from_hashes(bed->handle, NULL, 16, 1, 0, &one), CISTERN_INVALID);
}

static void keys_need_no_sidecar(void **state)
{
    struct bed *bed = *state;
    struct cistern_match match = {.size = sizeof match};
    struct cistern_key key;
    size_t count;
    make_tokens();
    assert_int_equal(cistern_match(bed->handle, bed->keys, 1, &match), CISTERN_OK);
    double_stop(&bed->server);
    assert_int_equal(cistern_match(bed->handle, bed->keys, 1, &match), CISTERN_NO_SERVER);
    assert_int_equal(cistern_keys(bed->handle, NULL, tokens, BED_TOKENS, &key, &count), CISTERN_OK);
    assert_memory_equal(&key, &bed->keys[0], sizeof key);
    double_start(&bed->server, bed->path, 2, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_chain_continues_at_any_block),
        TEST(a_partial_block_gets_no_key),
        TEST(every_part_of_the_namespace_counts),
        TEST(hashes_are_folded_with_their_group),
        TEST(keys_need_no_sidecar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
