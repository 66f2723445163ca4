/* test_hint: two buckets a key, found again until removed, full only when both are. */
#include "shm/hint.h"

#include "tests/check.h"

#include <string.h>
#include <sys/mman.h>

#define SLOTS (UINT32_C(1) << 20)

struct table {
    void *base;
    uint64_t bytes;
    struct index_view index;
};

static int make_table(void **state)
{
    static struct table table;
    table.bytes = layout_index_bytes(SLOTS, 0);
    table.base =
        mmap(NULL, table.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (table.base == MAP_FAILED) {
        return -1;
    }
    layout_index_init(table.base, SLOTS, 0, 4096, 1);
    *state = &table;
    return layout_index_view(table.base, table.bytes, &table.index);
}

static int drop_table(void **state)
{
    struct table *table = *state;
    return munmap(table->base, table->bytes);
}

static struct key random_key(uint64_t *random)
{
    struct key key;
    for (int i = 0; i < 4; i++) {
        key.word[i] = check_random(random);
    }
    return key;
}

/* Is the hint {key, kind, slot} to be found, as a reader looks for it? */
static bool finds(
    const struct index_view *index, const struct key *key, uint32_t kind, uint32_t slot)
{
    struct hint_place place = hint_place_of(key, index->hint_mask);
    uint32_t position = 0;
    for (int i = 0; i < 17; i++) {
        uint32_t found = hint_next(index, &place, kind, &position);
        if (found == slot) {
            return true;
        }
        if (found == HINT_NONE) {
            return false;
        }
    }
    fail_msg("more candidates than words");
    return false;
}

static void test_found_until_removed(void **state)
{
    struct index_view *index = &((struct table *)*state)->index;
    struct key key = {{1, 2, UINT64_C(0xabcdef0000000000), 4}};
    assert_false(finds(index, &key, HINT_HOT, 0));
    assert_true(hint_add(index, &key, HINT_HOT, 0));
    assert_true(finds(index, &key, HINT_HOT, 0));
    assert_false(finds(index, &key, HINT_COLD, 0));
    assert_false(hint_remove(index, &key, HINT_COLD, 0));
    assert_false(hint_remove(index, &key, HINT_HOT, 1));
    assert_true(hint_remove(index, &key, HINT_HOT, 0));
    assert_false(hint_remove(index, &key, HINT_HOT, 0));
    assert_false(finds(index, &key, HINT_HOT, 0));
}

static void test_hot_and_cold_live_side_by_side(void **state)
{
    struct index_view *index = &((struct table *)*state)->index;
    struct key key = {{1, 2, UINT64_C(0xabcdef0000000000), 4}};
    /* A cold number may lie beyond the slots of this index. */
    assert_true(hint_add(index, &key, HINT_COLD, SLOTS + 5));
    assert_true(hint_add(index, &key, HINT_HOT, 5));
    assert_true(finds(index, &key, HINT_COLD, SLOTS + 5));
    assert_true(finds(index, &key, HINT_HOT, 5));
}

static uint32_t used_words(const struct index_view *index, uint32_t bucket)
{
    uint32_t used = 0;
    for (int i = 0; i < 8; i++) {
        used += shared64_load_relaxed(&index->hints[bucket].word[i]) != 0;
    }
    return used;
}

static void test_full_only_when_both_buckets_are(void **state)
{
    struct index_view *index = &((struct table *)*state)->index;
    struct key key = {{10, 20, 0, 0}};
    for (uint32_t slot = 0; slot < 16; slot++) {
        key.word[2] = (uint64_t)slot << 40;
        assert_true(hint_add(index, &key, HINT_HOT, slot));
        /* The first bucket while it has three words to spare, then the emptier one. */
        uint32_t first = slot < 6 ? slot + 1 : slot < 12 ? 6 : 6 + (slot - 12) / 2 + 1;
        assert_int_equal(used_words(index, 10), first);
        assert_int_equal(used_words(index, 20), slot + 1 - first);
    }
    assert_false(hint_add(index, &key, HINT_HOT, 16));
    for (uint32_t slot = 0; slot < 16; slot++) {
        key.word[2] = (uint64_t)slot << 40;
        assert_true(finds(index, &key, HINT_HOT, slot));
    }
    assert_true(hint_remove(index, &key, HINT_HOT, 15));
    assert_true(hint_add(index, &key, HINT_HOT, 16));
}

static void test_both_buckets_may_be_the_same(void **state)
{
    struct index_view *index = &((struct table *)*state)->index;
    struct key key = {{33, 33, 0, 0}};
    for (uint32_t slot = 0; slot < 8; slot++) {
        assert_true(hint_add(index, &key, HINT_HOT, slot));
    }
    assert_false(hint_add(index, &key, HINT_HOT, 8));
    for (uint32_t slot = 0; slot < 8; slot++) {
        assert_true(hint_remove(index, &key, HINT_HOT, slot));
    }
}

static void test_wild_slot_numbers_are_passed_over(void **state)
{
    struct index_view *index = &((struct table *)*state)->index;
    struct key key = {{3, 4, UINT64_C(0x1234560000000000), 0}};
    struct hint_place place = hint_place_of(&key, index->hint_mask);
    shared64_store_relaxed(&index->hints[3].word[0], hint_word(place.tag, HINT_HOT, SLOTS));
    shared64_store_relaxed(&index->hints[3].word[1], hint_word(place.tag, HINT_HOT, HINT_NONE - 1));
    shared64_store_relaxed(&index->hints[3].word[2], (uint64_t)place.tag << 40);
    shared64_store_relaxed(&index->hints[4].word[7], hint_word(place.tag, HINT_HOT, SLOTS - 1));
    uint32_t position = 0;
    assert_int_equal(hint_next(index, &place, HINT_HOT, &position), SLOTS - 1);
    assert_int_equal(position, 16);
    assert_int_equal(hint_next(index, &place, HINT_HOT, &position), HINT_NONE);
}

static void test_a_million_random_keys_find_room(void **state)
{
    struct index_view *index = &((struct table *)*state)->index;
    uint64_t seed = check_seed();
    uint64_t random = seed;
    /* As many keys as slots: the load of two words a slot is one half. */
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        struct key key = random_key(&random);
        assert_true(hint_add(index, &key, HINT_HOT, slot));
    }
    random = seed;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        struct key key = random_key(&random);
        assert_true(finds(index, &key, HINT_HOT, slot));
    }
    random = seed;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        struct key key = random_key(&random);
        assert_true(hint_remove(index, &key, HINT_HOT, slot));
    }
    for (uint32_t bucket = 0; bucket <= index->hint_mask; bucket++) {
        for (int i = 0; i < 8; i++) {
            assert_int_equal(shared64_load_relaxed(&index->hints[bucket].word[i]), 0);
        }
    }
}

/* Copies of one block in three memories: who reads one of them sees no other's number. */
static void test_a_range_of_numbers_is_one_memory(void **state)
{
    const struct table *table = *state;
    const struct index_view *index = &table->index;
    uint64_t random = check_seed();
    struct key key = random_key(&random);
    const uint32_t slots[] = {99, 100, 199, 200};
    for (size_t i = 0; i < CHECK_COUNT(slots); i++) {
        assert_true(hint_add(index, &key, HINT_HOT, slots[i]));
    }
    assert_true(hint_add(index, &key, HINT_COLD, 150));
    struct hint_place place = hint_place_of(&key, index->hint_mask);
    uint32_t position = 0;
    uint32_t found = 0;
    uint32_t slot;
    while ((slot = hint_next_within(index, &place, HINT_HOT, 100, 200, &position)) != HINT_NONE) {
        assert_true(slot == 100 || slot == 199);
        found++;
    }
    assert_int_equal(found, 2);
    position = 0;
    assert_int_equal(hint_next_within(index, &place, HINT_HOT, 300, SLOTS, &position), HINT_NONE);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, make_table, drop_table)
    const struct CMUnitTest tests[] = {
        TEST(test_found_until_removed),
        TEST(test_hot_and_cold_live_side_by_side),
        TEST(test_full_only_when_both_buckets_are),
        TEST(test_both_buckets_may_be_the_same),
        TEST(test_wild_slot_numbers_are_passed_over),
        TEST(test_a_range_of_numbers_is_one_memory),
        TEST(test_a_million_random_keys_find_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
