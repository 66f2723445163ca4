/* test_space: a namespace is checked before it is believed, and each difference has its name. */
#include "shm/space.h"

#include "tests/check.h"

#include <string.h>

static struct space space_of_test(void)
{
    return (struct space){.name = "llama",
        .model = "m@1",
        .dtype = "bf16",
        .block_bytes = 4096,
        .block_tokens = 16,
        .tp_size = 1,
        .pp_size = 1};
}

struct field {
    const char *name;
    size_t offset;
    size_t bytes;
    bool text;
};

#define FIELD(field) #field, offsetof(struct space, field), sizeof(((struct space *)0)->field)

static const struct field fields[] = {
    {FIELD(name), true},
    {FIELD(model), true},
    {FIELD(dtype), true},
    {FIELD(layout), true},
    {FIELD(rope), true},
    {FIELD(lora), true},
    {FIELD(engine), true},
    {FIELD(tenant), true},
    {FIELD(block_bytes), false},
    {FIELD(block_tokens), false},
    {FIELD(layers), false},
    {FIELD(heads), false},
    {FIELD(head_size), false},
    {FIELD(tp_rank), false},
    {FIELD(tp_size), false},
    {FIELD(pp_rank), false},
    {FIELD(pp_size), false},
    {"secret", offsetof(struct space, secret_check), 32, false},
};

static void test_fields_cover_the_whole_descriptor(void **state)
{
    (void)state;
    size_t bytes = 0;
    for (size_t i = 0; i < CHECK_COUNT(fields); i++) {
        assert_int_equal(fields[i].offset, bytes);
        bytes += fields[i].bytes;
    }
    assert_int_equal(bytes, sizeof(struct space));
}

static void test_difference_names_each_field(void **state)
{
    (void)state;
    struct space a = space_of_test();
    struct space b = a;
    assert_null(space_difference(&a, &b));
    for (size_t i = 0; i < CHECK_COUNT(fields); i++) {
        const size_t places[] = {0, fields[i].bytes - 1};
        for (size_t j = 0; j < CHECK_COUNT(places); j++) {
            b = a;
            ((char *)&b)[fields[i].offset + places[j]] ^= 0x20;
            assert_non_null(space_difference(&a, &b));
            assert_string_equal(space_difference(&a, &b), fields[i].name);
            assert_string_equal(space_difference(&b, &a), fields[i].name);
        }
    }
}

static void test_same_name_looks_at_name_tenant_and_ranks_alone(void **state)
{
    (void)state;
    struct space a = space_of_test();
    for (size_t i = 0; i < CHECK_COUNT(fields); i++) {
        struct space b = a;
        ((char *)&b)[fields[i].offset] ^= 1;
        bool part = strcmp(fields[i].name, "name") == 0 || strcmp(fields[i].name, "tenant") == 0 ||
                    strcmp(fields[i].name, "tp_rank") == 0 ||
                    strcmp(fields[i].name, "pp_rank") == 0;
        assert_int_equal(space_same_name(&a, &b), !part);
    }
}

static void test_texts_must_end_and_be_clean_behind(void **state)
{
    (void)state;
    struct space good = space_of_test();
    assert_null(space_check(&good));
    for (size_t i = 0; i < CHECK_COUNT(fields); i++) {
        if (!fields[i].text) {
            continue;
        }
        struct space bad = good;
        char *text = (char *)&bad + fields[i].offset;
        memset(text, 'x', fields[i].bytes); /* no end */
        assert_string_equal(space_check(&bad), fields[i].name);
        text[fields[i].bytes - 1] = '\0'; /* as long as it may be */
        assert_null(space_check(&bad));
        text[3] = '\0'; /* rubbish behind the end would give equal names different keys */
        assert_string_equal(space_check(&bad), fields[i].name);
    }
}

static void test_counts_must_be_in_range(void **state)
{
    (void)state;
    struct space bad = space_of_test();
    bad.name[0] = '\0';
    memset(bad.name, 0, sizeof bad.name);
    assert_string_equal(space_check(&bad), "name");
    bad = space_of_test();
    bad.block_bytes = 0;
    assert_string_equal(space_check(&bad), "block_bytes");
    bad.block_bytes = UINT64_C(1) << 32;
    assert_string_equal(space_check(&bad), "block_bytes");
    bad.block_bytes = UINT32_MAX;
    assert_null(space_check(&bad));
    bad.block_tokens = 0;
    assert_string_equal(space_check(&bad), "block_tokens");
    bad = space_of_test();
    bad.tp_rank = 1;
    assert_string_equal(space_check(&bad), "tp_rank");
    bad.tp_rank = 0;
    bad.tp_size = 0;
    assert_string_equal(space_check(&bad), "tp_rank");
    bad = space_of_test();
    bad.pp_rank = 7;
    bad.pp_size = 7;
    assert_string_equal(space_check(&bad), "pp_rank");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_cover_the_whole_descriptor),
        cmocka_unit_test(test_difference_names_each_field),
        cmocka_unit_test(test_same_name_looks_at_name_tenant_and_ranks_alone),
        cmocka_unit_test(test_texts_must_end_and_be_clean_behind),
        cmocka_unit_test(test_counts_must_be_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
