/* test_admit: a commit is found, the first writer wins, and what is wrong changes nothing. */
#include "tests/unit/sidecar/block/fixture.h"

static void test_committed_is_found_with_all_its_words(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, 2, 8, POLICY_LRU);
    uint32_t class = fixture_class(&fixture, 8192);
    uint32_t first = fixture_commit(&fixture, class, 1, NULL);
    uint32_t second = fixture_commit(&fixture, class, 2, NULL);
    assert_int_equal(fixture_find(&fixture, 1), first);
    assert_int_equal(fixture_find(&fixture, 2), second);
    assert_int_equal(fixture_find(&fixture, 3), HINT_NONE);
    struct key key = fixture_key(1);
    assert_int_equal(admit_find(&fixture.blocks, &key, 2), HINT_NONE);
    struct slot_content content;
    uint64_t generation;
    assert_true(slot_snapshot(&fixture.blocks.index.lines[second], &content, &generation));
    assert_int_equal(content.offset, pool_offset(&fixture.blocks.pool, second));
    assert_int_equal(content.size_class, class);
    assert_int_equal(content.bytes, 100);
    assert_int_equal(fixture_count(&fixture, COUNTER_commits), 2);
    assert_int_equal(fixture_count(&fixture, COUNTER_bytes_committed), 200);
    assert_int_equal(fixture_count(&fixture, COUNTER_slots_hot), 2);
    assert_int_equal(fixture_count(&fixture, COUNTER_slots_lent), 0);
    fixture_close(&fixture);
}

static void test_first_writer_wins(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, 2, 8, POLICY_LRU);
    uint32_t class = fixture_class(&fixture, 4096);
    uint32_t first = fixture_commit(&fixture, class, 1, NULL);
    uint64_t before = pool_available(&fixture.blocks.pool, class);
    uint32_t slot;
    uint64_t generation;
    bool duplicate = false;
    struct slot_content content = {.key = fixture_key(1), .bytes = 100, .space = 1};
    pool_take(&fixture.blocks, class, SLOT_RESERVED, &slot, &generation);
    assert_int_equal(
        admit_block(&fixture.blocks, slot, generation, &content, NULL, &duplicate), STATUS_OK);
    assert_true(duplicate);
    assert_int_equal(fixture_find(&fixture, 1), first);
    assert_int_equal(fixture_state(&fixture, slot), SLOT_FREE);
    assert_int_equal(pool_available(&fixture.blocks.pool, class), before);
    assert_int_equal(fixture_count(&fixture, COUNTER_duplicates), 1);
    assert_int_equal(fixture_count(&fixture, COUNTER_commits), 1);
    fixture_close(&fixture);
}

static void test_wrong_commits_change_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, 2, 8, POLICY_LRU);
    uint32_t class = fixture_class(&fixture, 4096);
    uint32_t slot;
    uint64_t generation;
    bool duplicate = true;
    struct slot_content content = {.key = fixture_key(1), .bytes = 100, .space = 1};
    pool_take(&fixture.blocks, class, SLOT_RESERVED, &slot, &generation);
    assert_int_equal(admit_block(&fixture.blocks, slot, generation + 1, &content, NULL, &duplicate),
        STATUS_STALE);
    content.bytes = 0;
    assert_int_equal(
        admit_block(&fixture.blocks, slot, generation, &content, NULL, &duplicate), STATUS_INVALID);
    content.bytes = 4097;
    assert_int_equal(
        admit_block(&fixture.blocks, slot, generation, &content, NULL, &duplicate), STATUS_INVALID);
    assert_int_equal(fixture_state(&fixture, slot), SLOT_RESERVED);
    content.bytes = 4096;
    assert_int_equal(
        admit_block(&fixture.blocks, slot, generation, &content, NULL, &duplicate), STATUS_OK);
    /* The same grant a second time. */
    assert_int_equal(
        admit_block(&fixture.blocks, slot, generation, &content, NULL, &duplicate), STATUS_STALE);
    assert_int_equal(fixture_find(&fixture, 1), slot);
    fixture_close(&fixture);
}

static void test_no_room_for_a_hint_gives_the_slot_back(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, 4, 8, POLICY_LRU);
    uint32_t class = fixture_class(&fixture, 4096);
    bool duplicate;
    uint32_t slot;
    uint64_t generation;
    for (uint64_t i = 0; i <= 8; i++) {
        /* Both buckets of every key are the same one: eight words. */
        struct slot_content content = {
            .key = {{UINT64_MAX, UINT64_MAX, i << 40, i}}, .bytes = 1, .space = 1};
        pool_take(&fixture.blocks, class, SLOT_RESERVED, &slot, &generation);
        assert_int_equal(admit_block(&fixture.blocks, slot, generation, &content, NULL, &duplicate),
            i < 8 ? STATUS_OK : STATUS_BUSY);
    }
    assert_int_equal(fixture_state(&fixture, slot), SLOT_FREE);
    assert_int_equal(fixture_count(&fixture, COUNTER_hints_full), 1);
    assert_int_equal(fixture_count(&fixture, COUNTER_slots_hot), 8);
    assert_int_equal(fixture_count(&fixture, COUNTER_slots_lent), 0);
    fixture_close(&fixture);
}

static void test_strange_parents_are_no_parents(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, 2, 8, POLICY_LRU);
    uint32_t small = fixture_class(&fixture, 4096);
    uint32_t large = fixture_class(&fixture, 8192);
    struct key itself = fixture_key(1);
    struct key unknown = fixture_key(99);
    uint32_t slot = fixture_commit(&fixture, small, 1, &itself);
    fixture_commit(&fixture, small, 2, &unknown);
    fixture_commit(&fixture, large, 3, &itself);
    assert_int_equal(policy_children(&fixture.blocks.policies[small], slot), 0);
    fixture_commit(&fixture, small, 4, &itself);
    assert_int_equal(policy_children(&fixture.blocks.policies[small], slot), 1);
    fixture_close(&fixture);
}

static void test_touching_any_slot_is_harmless(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, 2, 8, POLICY_ARC);
    uint32_t class = fixture_class(&fixture, 8192);
    uint32_t slot = fixture_commit(&fixture, class, 1, NULL);
    for (uint32_t i = 0; i < fixture.blocks.index.slots; i++) {
        admit_touch(&fixture.blocks, i);
    }
    assert_int_equal(fixture.blocks.policies[class].lists[0].count, 0);
    assert_int_equal(fixture.blocks.policies[class].lists[1].newest, slot);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_committed_is_found_with_all_its_words),
        cmocka_unit_test(test_first_writer_wins),
        cmocka_unit_test(test_wrong_commits_change_nothing),
        cmocka_unit_test(test_no_room_for_a_hint_gives_the_slot_back),
        cmocka_unit_test(test_strange_parents_are_no_parents),
        cmocka_unit_test(test_touching_any_slot_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
