/* test_key: keys are the hashes that key.h says, by answers made with another SHA-256.
 *
 * The vectors come from Python's hashlib over the same bytes: struct.pack("<Q8I") behind the padded
 * texts, "<16I" for the tokens of a block.
 */
#include "shm/key.h"

#include "shm/status.h"
#include "tests/check.h"

#include <openssl/evp.h>
#include <string.h>

#define SECRET "a tenant's secret"

static const char root_hex[] = "a6abf47fe085a31060bc015aa4d60f13f8449203458b44c75d6c8009f86b4dee";
static const char root_keyed_hex[] =
    "8c0408ed0d07fff41cc24eb4ba3b2c2ddff096d86f1d193724a55ab33f1b0f51";
static const char secret_check_hex[] =
    "5f33fe18456db9d688ed09165b6ba94671b4da621aa890643c259f719683a63f";
static const char *const chain_hex[3] = {
    "ca5b105d827a413393b43b52901bed4a7f7b491f29affb004d6e9204abcd4272",
    "b7ed61015997b3677f5fb917772d68609db9ee424364f34028754de70ba72598",
    "fe60e9e8f8e0090530ae3293c3109d5c9c9aac18544e55b50fb58c41cd8fc891",
};
static const char fold_32_group_7_hex[] =
    "50eaf1fa4174f9f1a5272c105094f35b327f47367591a6376ccbea24a6ae3db1";
static const char fold_16_group_0_hex[] =
    "e9f1141b5dd5edfe65d9958d4b465709bdb6e604debcdaccf17d31645bad4857";

static struct space space_of_test(void)
{
    struct space space = {.name = "llama-70b",
        .model = "meta/llama@1f3a",
        .dtype = "bf16",
        .layout = "layers,kv,tokens,heads,head_size",
        .rope = "rope-500000",
        .engine = "engine 1.2",
        .tenant = "red",
        .block_bytes = 262144,
        .block_tokens = 16,
        .layers = 32,
        .heads = 8,
        .head_size = 128,
        .tp_rank = 1,
        .tp_size = 2,
        .pp_rank = 0,
        .pp_size = 1};
    return space;
}

static void assert_hex(const void *bytes, const char *hex)
{
    char text[65];
    for (int i = 0; i < 32; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", ((const unsigned char *)bytes)[i]);
    }
    assert_string_equal(text, hex);
}

static int open_hasher(void **state)
{
    static struct key_hasher hasher;
    *state = &hasher;
    return key_open(&hasher);
}

static int close_hasher(void **state)
{
    key_close(*state);
    return 0;
}

static void test_root_is_the_digest_of_the_descriptor(void **state)
{
    struct space space = space_of_test();
    struct key root;
    assert_int_equal(key_root(*state, &space, NULL, 0, &root), STATUS_OK);
    assert_hex(&root, root_hex);
    /* The check of the secret is no part of it. */
    space.secret_check[0] = 1;
    assert_int_equal(key_root(*state, &space, NULL, 0, &root), STATUS_OK);
    assert_hex(&root, root_hex);
    space.tp_rank = 0;
    struct key other;
    assert_int_equal(key_root(*state, &space, NULL, 0, &other), STATUS_OK);
    assert_memory_not_equal(&root, &other, sizeof root);
}

static void test_secret_keys_the_root(void **state)
{
    struct space space = space_of_test();
    struct key root;
    assert_int_equal(key_root(*state, &space, SECRET, strlen(SECRET), &root), STATUS_OK);
    assert_hex(&root, root_keyed_hex);
    uint8_t check[32];
    assert_int_equal(key_secret_check(SECRET, strlen(SECRET), check), STATUS_OK);
    assert_hex(check, secret_check_hex);
}

static void test_chain_known_answers(void **state)
{
    struct space space = space_of_test();
    struct key keys[4] = {0};
    uint32_t tokens[48];
    for (uint32_t i = 0; i < 48; i++) {
        tokens[i] = i * UINT32_C(2654435761);
    }
    assert_int_equal(key_root(*state, &space, NULL, 0, &keys[0]), STATUS_OK);
    assert_int_equal(key_chain(*state, &keys[0], tokens, 16, 3, &keys[1]), STATUS_OK);
    for (int i = 0; i < 3; i++) {
        assert_hex(&keys[i + 1], chain_hex[i]);
    }
    /* In two calls, and in place of its own parent, it is the same chain. */
    struct key step = keys[0];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(key_chain(*state, &step, tokens + 16 * i, 16, 1, &step), STATUS_OK);
        assert_memory_equal(&step, &keys[i + 1], sizeof step);
    }
    assert_int_equal(key_chain(*state, &step, tokens, 16, 0, &step), STATUS_OK);
    assert_hex(&step, chain_hex[2]);
}

/* The plain form, one EVP_Digest() a block, beside the fast one. */
static void test_chain_equals_one_shot_digests(void **state)
{
    uint64_t random = check_seed();
    uint32_t tokens[5 * 64];
    for (int round = 0; round < 200; round++) {
        uint32_t block_tokens = (uint32_t)(1 + check_random(&random) % 64);
        struct key parent;
        for (int i = 0; i < 4; i++) {
            parent.word[i] = check_random(&random);
        }
        for (size_t i = 0; i < CHECK_COUNT(tokens); i++) {
            tokens[i] = (uint32_t)check_random(&random);
        }
        struct key keys[5];
        assert_int_equal(key_chain(*state, &parent, tokens, block_tokens, 5, keys), STATUS_OK);
        for (uint32_t i = 0; i < 5; i++) {
            unsigned char message[32 + 4 * 64];
            unsigned char digest[32];
            memcpy(message, i == 0 ? &parent : &keys[i - 1], 32);
            memcpy(message + 32, tokens + i * block_tokens, 4u * block_tokens);
            assert_int_equal(
                EVP_Digest(message, 32 + 4u * block_tokens, digest, NULL, EVP_sha256(), NULL), 1);
            assert_memory_equal(&keys[i], digest, 32);
        }
    }
}

static void test_fold_known_answers(void **state)
{
    struct space space = space_of_test();
    struct key root, key, other;
    uint8_t engine_hash[KEY_HASH_MAX];
    for (uint8_t i = 0; i < KEY_HASH_MAX; i++) {
        engine_hash[i] = i;
    }
    assert_int_equal(key_root(*state, &space, NULL, 0, &root), STATUS_OK);
    assert_int_equal(key_fold(*state, &root, engine_hash, 32, 7, &key), STATUS_OK);
    assert_hex(&key, fold_32_group_7_hex);
    assert_int_equal(key_fold(*state, &root, engine_hash, 16, 0, &key), STATUS_OK);
    assert_hex(&key, fold_16_group_0_hex);
    assert_int_equal(key_fold(*state, &root, engine_hash, 16, 1, &other), STATUS_OK);
    assert_memory_not_equal(&key, &other, sizeof key);
    assert_int_equal(key_fold(*state, &root, engine_hash, KEY_HASH_MAX, 0, &key), STATUS_OK);
    assert_int_equal(key_fold(*state, &root, engine_hash, KEY_HASH_MAX - 1, 0, &other), STATUS_OK);
    assert_memory_not_equal(&key, &other, sizeof key);
}

static void test_close_accepts_nothing(void **state)
{
    (void)state;
    key_close(NULL);
    struct key_hasher hasher = {0};
    key_close(&hasher);
    assert_int_equal(key_open(&hasher), STATUS_OK);
    key_close(&hasher);
    assert_null(hasher.digest);
    key_close(&hasher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_root_is_the_digest_of_the_descriptor),
        cmocka_unit_test(test_secret_keys_the_root),
        cmocka_unit_test(test_chain_known_answers),
        cmocka_unit_test(test_chain_equals_one_shot_digests),
        cmocka_unit_test(test_fold_known_answers),
        cmocka_unit_test(test_close_accepts_nothing),
    };
    return cmocka_run_group_tests(tests, open_hasher, close_hasher);
}
