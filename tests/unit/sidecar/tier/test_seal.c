/* test_seal: AES-256-GCM as NIST has it, key files as they should be, nothing left behind. */
#include "sidecar/tier/seal.h"

#include "shm/status.h"
#include "tests/unit/sidecar/tier/folder.h"

static const char zero_key[] = "0000000000000000000000000000000000000000000000000000000000000000";
static const char other_key[] = "feffe9928665731c6d6a8f9467308308"
                                "feffe9928665731c6d6a8f9467308308";

static size_t bytes_of(const char *digits, uint8_t *out_bytes)
{
    size_t count = strlen(digits) / 2;
    for (size_t i = 0; i < count; i++) {
        const char pair[3] = {digits[2 * i], digits[2 * i + 1], '\0'};
        out_bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return count;
}

static int open_text(const struct folder *folder, const void *text, size_t bytes, mode_t mode,
    struct seal *out_seal, char *why)
{
    char path[256];
    folder_file(folder, "key", path);
    folder_write(folder, "key", text, bytes, mode);
    return seal_open(out_seal, path, why, 512);
}

static void open_key(const char *digits, struct seal *out_seal)
{
    struct folder folder;
    char why[512];
    folder_open(&folder);
    assert_int_equal(open_text(&folder, digits, strlen(digits), 0400, out_seal, why), STATUS_OK);
    folder_close(&folder);
}

/* Source: McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 to 16. */
static const struct vector {
    const char *key;
    const char *nonce;
    const char *extra;
    const char *plain;
    const char *sealed;
    const char *tag;
} vectors[] = {
    {zero_key, "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {zero_key, "000000000000000000000000", "", "00000000000000000000000000000000",
        "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
    {other_key, "cafebabefacedbaddecaf888", "",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
        "b094dac5d93471bdec1a502270e3cc6c"},
    {other_key, "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        "76fc6ece0f4e1768cddf8853bb2d551b"},
};

static void test_published_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < CHECK_COUNT(vectors); i++) {
        const struct vector *vector = &vectors[i];
        uint8_t nonce[SEAL_NONCE_BYTES];
        uint8_t tag[SEAL_TAG_BYTES];
        uint8_t extra[64];
        uint8_t plain[64];
        uint8_t sealed[64];
        uint8_t opened[64];
        struct seal seal;
        open_key(vector->key, &seal);
        (void)bytes_of(vector->nonce, nonce);
        (void)bytes_of(vector->tag, tag);
        size_t extra_bytes = bytes_of(vector->extra, extra);
        size_t bytes = bytes_of(vector->plain, plain);
        assert_int_equal(bytes_of(vector->sealed, sealed), bytes);
        assert_int_equal(
            seal_unlock(&seal, extra, extra_bytes, sealed, bytes, nonce, tag, opened), STATUS_OK);
        assert_memory_equal(opened, plain, bytes);
        tag[i] ^= 1;
        assert_int_equal(seal_unlock(&seal, extra, extra_bytes, sealed, bytes, nonce, tag, opened),
            STATUS_MALFORMED);
        seal_close(&seal);
    }
}

static void test_any_change_is_seen(void **state)
{
    (void)state;
    struct seal seal;
    struct seal another;
    uint8_t data[100];
    uint8_t opened[100];
    uint8_t extra[10] = "the extra";
    uint8_t nonce[SEAL_NONCE_BYTES];
    uint8_t tag[SEAL_TAG_BYTES];
    const struct {
        uint8_t *at;
        size_t bytes;
    } fields[] = {
        {data, sizeof data}, {extra, sizeof extra}, {nonce, sizeof nonce}, {tag, sizeof tag}};
    open_key(other_key, &seal);
    open_key(zero_key, &another);
    assert_int_not_equal(seal.check, another.check);
    memset(data, 'x', sizeof data);
    assert_int_equal(
        seal_lock(&seal, extra, sizeof extra, data, sizeof data, data, nonce, tag), STATUS_OK);
    for (size_t f = 0; f < CHECK_COUNT(fields); f++) {
        for (size_t bit = 0; bit < 8 * fields[f].bytes; bit++) {
            fields[f].at[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(
                seal_unlock(&seal, extra, sizeof extra, data, sizeof data, nonce, tag, opened),
                STATUS_MALFORMED);
            fields[f].at[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    assert_int_equal(
        seal_unlock(&another, extra, sizeof extra, data, sizeof data, nonce, tag, opened),
        STATUS_MALFORMED);
    assert_int_equal(
        seal_unlock(&seal, extra, sizeof extra, data, sizeof data, nonce, tag, opened), STATUS_OK);
    for (size_t i = 0; i < sizeof opened; i++) {
        assert_int_equal(opened[i], 'x');
    }
    seal_close(&another);
    seal_close(&seal);
}

static void test_no_nonce_twice(void **state)
{
    (void)state;
    struct seal seal;
    uint8_t nonces[256][SEAL_NONCE_BYTES];
    uint8_t tag[SEAL_TAG_BYTES];
    uint8_t byte = 1;
    open_key(zero_key, &seal);
    for (size_t i = 0; i < CHECK_COUNT(nonces); i++) {
        uint8_t sealed;
        assert_int_equal(seal_lock(&seal, NULL, 0, &byte, 1, &sealed, nonces[i], tag), STATUS_OK);
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(nonces[i], nonces[j], SEAL_NONCE_BYTES);
        }
    }
    seal_close(&seal);
}

static void test_key_files(void **state)
{
    (void)state;
    uint8_t raw[SEAL_KEY_BYTES + 1];
    char digits[2 * SEAL_KEY_BYTES + 3];
    struct folder folder;
    struct seal from_raw;
    struct seal from_digits;
    char why[512] = "";
    folder_open(&folder);
    for (size_t i = 0; i < sizeof raw; i++) {
        raw[i] = (uint8_t)(200 + i);
        (void)snprintf(digits + 2 * i, 3, i % 2 == 0 ? "%02x" : "%02X", raw[i]);
    }
    digits[2 * SEAL_KEY_BYTES] = '\n';
    assert_int_equal(open_text(&folder, raw, SEAL_KEY_BYTES, 0600, &from_raw, why), STATUS_OK);
    for (size_t end = 0; end < 2; end++) {
        assert_int_equal(
            open_text(&folder, digits, 2 * SEAL_KEY_BYTES + end, 0400, &from_digits, why),
            STATUS_OK);
        assert_int_equal(from_digits.check, from_raw.check);
        assert_memory_equal(from_digits.key, from_raw.key, SEAL_KEY_BYTES);
        seal_close(&from_digits);
    }
    seal_close(&from_raw);
    static const size_t wrong[] = {0, 1, 31, 33, 63, 66};
    for (size_t i = 0; i < CHECK_COUNT(wrong); i++) {
        const void *text = wrong[i] == 33 ? (const void *)raw : (const void *)digits;
        assert_int_equal(open_text(&folder, text, wrong[i], 0400, &from_raw, why), STATUS_INVALID);
        assert_non_null(strstr(why, "openssl rand"));
    }
    digits[40] = 'g';
    assert_int_equal(
        open_text(&folder, digits, 2 * SEAL_KEY_BYTES, 0400, &from_raw, why), STATUS_INVALID);
    folder_close(&folder);
}

static void test_key_files_that_others_read_are_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = {0440, 0404, 0420, 0401, 0644};
    struct folder folder;
    struct seal seal;
    char why[512] = "";
    char path[256];
    folder_open(&folder);
    for (size_t i = 0; i < CHECK_COUNT(modes); i++) {
        assert_int_equal(open_text(&folder, zero_key, 64, modes[i], &seal, why), STATUS_DENIED);
        assert_non_null(strstr(why, "chmod"));
    }
    assert_int_equal(seal_open(&seal, folder.path, why, sizeof why), STATUS_INVALID);
    folder_file(&folder, "none", path);
    assert_int_equal(seal_open(&seal, path, why, sizeof why), STATUS_IO);
    assert_non_null(strstr(why, path));
    folder_close(&folder);
}

static void test_close_wipes_the_key(void **state)
{
    (void)state;
    struct seal seal;
    static const uint8_t nothing[SEAL_KEY_BYTES];
    open_key(other_key, &seal);
    assert_memory_not_equal(seal.key, nothing, sizeof nothing);
    seal_close(&seal);
    assert_memory_equal(seal.key, nothing, sizeof nothing);
    assert_null(seal.cipher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_vectors),
        cmocka_unit_test(test_any_change_is_seen),
        cmocka_unit_test(test_no_nonce_twice),
        cmocka_unit_test(test_key_files),
        cmocka_unit_test(test_key_files_that_others_read_are_refused),
        cmocka_unit_test(test_close_wipes_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
