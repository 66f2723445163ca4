/* The catalog: what was put is found, what was removed is not, against a plain model. */
#include "sidecar/tier/catalog.h"

#include "shm/status.h"

#include "tests/check.h"

#include <string.h>

#define NUMBERS 3000u
#define ROUNDS 60000u

static struct tier_id id_of(uint32_t number)
{
    struct tier_id id;
    memset(&id, 0, sizeof id);
    id.key.word[0] = number / 3; /* the same key in three namespaces */
    id.space[0] = (uint8_t)(number % 3);
    return id;
}

static void test_what_was_put_is_found_and_nothing_else(void **state)
{
    struct catalog catalog;
    static uint32_t entry[NUMBERS]; /* 0: not there, else entry + 1 */
    uint64_t seed = check_seed();
    uint32_t count = 0;
    (void)state;
    memset(entry, 0, sizeof entry);
    assert_int_equal(catalog_open(&catalog, NUMBERS, 100, seed), STATUS_OK);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t number = (uint32_t)(check_random(&seed) % NUMBERS);
        struct tier_id id = id_of(number);
        uint32_t found = catalog_find(&catalog, &id);
        assert_int_equal(found, entry[number] == 0 ? CATALOG_NONE : entry[number] - 1);
        if (entry[number] == 0) {
            uint32_t index = catalog_add(&catalog, &id, 1, number % 3);
            assert_true(index != CATALOG_NONE);
            entry[number] = index + 1;
            count++;
        } else {
            struct tier_id back;
            catalog_id(&catalog, found, &back);
            assert_memory_equal(&back, &id, sizeof id);
            catalog_remove(&catalog, found);
            entry[number] = 0;
            count--;
        }
        assert_int_equal(catalog.count, count);
    }
    catalog_close(&catalog);
}

static void test_a_header_comes_back_as_it_was_placed(void **state)
{
    struct catalog catalog;
    struct tier_id id = id_of(5);
    struct record_header header = {.magic = RECORD_MAGIC,
        .version = RECORD_VERSION,
        .codec = CODEC_ZSTD,
        .type = CODEC_BFLOAT16,
        .channels = 128,
        .flags = RECORD_SEALED,
        .raw_bytes = UINT32_MAX,
        .stored_bytes = 77};
    (void)state;
    memcpy(header.key, &id.key, sizeof header.key);
    memcpy(header.space, id.space, sizeof header.space);
    memset(&header.root, 0xab, sizeof header.root);
    memset(header.nonce, 0xcd, sizeof header.nonce);
    assert_int_equal(catalog_open(&catalog, 10, 10, 1), STATUS_OK);
    uint32_t index = catalog_add(&catalog, &id, CODEC_BFLOAT16, 128);
    assert_int_equal(catalog.entries[index].state, CATALOG_WRITING);
    struct catalog_place place = {.region = 9, .page = 10, .back = 11, .directory = 7};
    catalog_place(&catalog, index, &header, &place);
    struct record_header back;
    catalog_header(&catalog, index, &back);
    assert_memory_equal(&back, &header, sizeof header);
    const struct catalog_entry *entry = &catalog.entries[index];
    assert_int_equal(entry->state, CATALOG_HELD);
    assert_int_equal(entry->region, 9);
    assert_int_equal(entry->page, 10);
    assert_int_equal(entry->back, 11);
    assert_int_equal(entry->directory, 7);
    catalog_remove(&catalog, index);
    catalog_close(&catalog);
}

static void test_a_full_catalog_says_so_and_recovers(void **state)
{
    struct catalog catalog;
    uint32_t index[8];
    (void)state;
    assert_int_equal(catalog_open(&catalog, 8, 8, 3), STATUS_OK);
    for (uint32_t i = 0; i < 8; i++) {
        struct tier_id id = id_of(i);
        index[i] = catalog_add(&catalog, &id, 0, 0);
        assert_true(index[i] != CATALOG_NONE);
    }
    struct tier_id more = id_of(8);
    assert_int_equal(catalog_add(&catalog, &more, 0, 0), CATALOG_NONE);
    uint16_t use = catalog.entries[index[3]].use;
    catalog_remove(&catalog, index[3]);
    assert_int_equal(catalog_add(&catalog, &more, 0, 0), index[3]);
    assert_true(catalog.entries[index[3]].use != use); /* who held the old one can see it */
    catalog_close(&catalog);
}

static void test_namespaces_come_and_go_without_end(void **state)
{
    struct catalog catalog;
    (void)state;
    assert_int_equal(catalog_open(&catalog, 64, 64, 3), STATUS_OK);
    for (uint32_t i = 0; i < 4 * CATALOG_KINDS; i++) {
        struct tier_id id = id_of(0);
        memcpy(id.space, &i, sizeof i);
        uint32_t index = catalog_add(&catalog, &id, 0, 0);
        assert_true(index != CATALOG_NONE);
        catalog_remove(&catalog, index);
    }
    catalog_close(&catalog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_put_is_found_and_nothing_else),
        cmocka_unit_test(test_a_header_comes_back_as_it_was_placed),
        cmocka_unit_test(test_a_full_catalog_says_so_and_recovers),
        cmocka_unit_test(test_namespaces_come_and_go_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
