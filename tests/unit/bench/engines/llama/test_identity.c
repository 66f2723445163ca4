/* test_identity: whatever changes a bit of a block changes the namespace, whose texts fit. */
#include "tests/unit/bench/engines/llama/made.h"

#include "bench/engines/llama/identity.h"

#include <unistd.h>

static struct blob_shape shape;
static struct blob_shape other;

static struct identity plain(void)
{
    made_shape(2, 0, &shape);
    return (struct identity){.model_name = "model.gguf",
        .model_digest = "00aa",
        .kv_type = "f16",
        .rope = "type 2, base 0, scale 0",
        .engine_version = "0.5.0",
        .state_version = 3,
        .rotated = true,
        .block_tokens = 64,
        .step_tokens = 512,
        .layers = 18,
        .heads = 1,
        .shape = &shape};
}

static void name_of(const struct identity *identity, char out_name[64])
{
    struct identity_texts texts;
    struct cistern_namespace space;
    assert_true(identity_space(identity, &texts, &space));
    memcpy(out_name, space.name, sizeof texts.name);
}

static void equal_workers_have_equal_names(void **state)
{
    (void)state;
    char one[64];
    char two[64];
    struct identity identity = plain();
    name_of(&identity, one);
    name_of(&identity, two);
    assert_string_equal(one, two);
}

static void each_difference_gives_another_name(void **state)
{
    (void)state;
    char names[16][64];
    struct identity cases[12];
    for (size_t i = 0; i < CHECK_COUNT(cases); i++) {
        cases[i] = plain();
    }
    snprintf(cases[1].model_digest, sizeof cases[1].model_digest, "00ab");
    snprintf(cases[2].lora_digest, sizeof cases[2].lora_digest, "00aa");
    cases[3].kv_type = "q8_0";
    cases[4].rope = "type 2, base 1000000, scale 0";
    cases[5].engine_version = "0.5.1";
    cases[6].state_version = 4;
    cases[7].rotated = false;
    cases[8].block_tokens = 128;
    cases[9].step_tokens = 256;
    cases[10].layers = 17;
    other = shape;
    other.parts[1].runs[5].row_bytes += 2;
    cases[11].shape = &other;
    for (size_t i = 0; i < CHECK_COUNT(cases); i++) {
        name_of(&cases[i], names[i]);
        for (size_t before = 0; before < i; before++) {
            assert_string_not_equal(names[i], names[before]);
        }
    }
}

static void long_names_fit(void **state)
{
    (void)state;
    static char name[300];
    struct identity identity = plain();
    struct identity_texts texts;
    struct cistern_namespace space;
    memset(name, 'n', sizeof name - 1);
    identity.model_name = name;
    identity.kv_type = name;
    identity.rope = name;
    identity.engine_version = name;
    memset(identity.model_digest, 'd', sizeof identity.model_digest - 1);
    memset(identity.lora_digest, 'e', sizeof identity.lora_digest - 1);
    assert_true(identity_space(&identity, &texts, &space));
    assert_true(strlen(space.name) < 64 && strlen(space.model) < 192 && strlen(space.rope) < 64);
    assert_int_equal(space.block_bytes, block_bytes(&shape, 64));
}

static void a_file_has_its_sha_256(void **state)
{
    (void)state;
    char path[] = "/tmp/cistern-identity-XXXXXX";
    char digest[IDENTITY_DIGEST_CHARS];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "abc", 3), 3);
    assert_true(identity_digest_file(path, digest));
    /* The example of FIPS 180-4. */
    assert_string_equal(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    (void)close(fd);
    (void)unlink(path);
    assert_false(identity_digest_file(path, digest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_workers_have_equal_names),
        cmocka_unit_test(each_difference_gives_another_name),
        cmocka_unit_test(long_names_fit),
        cmocka_unit_test(a_file_has_its_sha_256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
