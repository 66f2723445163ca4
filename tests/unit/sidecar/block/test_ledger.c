/* ledger: each word says one thing, whole; and no other memory is taken for a ledger. */
#include "tests/check.h"

#include "shm/status.h"
#include "sidecar/block/ledger.h"

#include <string.h>

#define SLOTS 37u
#define EXTENTS 5u

static struct ledger open_book(void **out_memory)
{
    struct ledger ledger;
    uint64_t bytes = ledger_bytes(SLOTS, EXTENTS);
    void *memory = aligned_alloc(LAYOUT_PAGE_BYTES, bytes);
    assert_non_null(memory);
    memset(memory, 0, bytes);
    ledger_init(memory, SLOTS, EXTENTS);
    assert_int_equal(ledger_view(memory, bytes, SLOTS, EXTENTS, &ledger), STATUS_OK);
    *out_memory = memory;
    return ledger;
}

static void test_what_was_written_is_read(void **state)
{
    (void)state;
    void *memory;
    struct ledger ledger = open_book(&memory);
    uint32_t generation = 0;
    for (uint32_t i = 0; i < SLOTS; i++) {
        assert_int_equal(ledger_parent_of(&ledger, i, &generation), LEDGER_NONE);
        assert_int_equal(ledger_borrower_of(&ledger, i), 0);
    }
    ledger_touch(&ledger, 3, false);
    ledger_touch(&ledger, 36, true);
    assert_true(ledger_serial_of(&ledger, 36) > ledger_serial_of(&ledger, 3));
    assert_false(ledger_again_of(&ledger, 3));
    assert_true(ledger_again_of(&ledger, 36));
    for (uint32_t i = 0; i < EXTENTS; i++) {
        assert_int_equal(ledger_class_of(&ledger, i), LEDGER_NONE);
        ledger_class(&ledger, i, 254 - i);
        assert_int_equal(ledger_class_of(&ledger, i), 254 - i);
    }
    free(memory);
}

static void test_a_borrower_is_never_taken_for_a_parent(void **state)
{
    (void)state;
    void *memory;
    struct ledger ledger = open_book(&memory);
    uint32_t generation = 0;
    ledger_lend(&ledger, 4, UINT32_MAX);
    assert_int_equal(ledger_borrower_of(&ledger, 4), UINT32_MAX);
    assert_int_equal(ledger_parent_of(&ledger, 4, &generation), LEDGER_NONE);
    ledger_follow(&ledger, 4, LAYOUT_SLOTS_MAX - 1, UINT64_C(0xabc12345678));
    assert_int_equal(ledger_borrower_of(&ledger, 4), 0);
    assert_int_equal(ledger_parent_of(&ledger, 4, &generation), LAYOUT_SLOTS_MAX - 1);
    assert_int_equal(generation, 0x12345678);
    ledger_follow(&ledger, 4, LEDGER_NONE, 7);
    assert_int_equal(ledger_parent_of(&ledger, 4, &generation), LEDGER_NONE);
    free(memory);
}

static void test_entries_do_not_overlap(void **state)
{
    (void)state;
    void *memory;
    struct ledger ledger = open_book(&memory);
    for (uint32_t i = 0; i < EXTENTS; i++) {
        ledger_class(&ledger, i, i);
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        ledger_lend(&ledger, i, 1000 + i);
        ledger_touch(&ledger, i, true);
    }
    ledger_session(&ledger, 77);
    for (uint32_t i = 0; i < SLOTS; i++) {
        assert_int_equal(ledger_borrower_of(&ledger, i), 1000 + i);
        assert_int_equal(ledger_serial_of(&ledger, i), 1 + i);
    }
    for (uint32_t i = 0; i < EXTENTS; i++) {
        assert_int_equal(ledger_class_of(&ledger, i), i);
    }
    assert_int_equal(shared64_load_relaxed(&ledger.head->sessions), 77);
    assert_true((char *)&ledger.entries[SLOTS] <= (char *)memory + ledger_bytes(SLOTS, EXTENTS));
    free(memory);
}

static void test_other_memory_is_no_book(void **state)
{
    (void)state;
    void *memory;
    struct ledger ledger = open_book(&memory);
    uint64_t bytes = ledger_bytes(SLOTS, EXTENTS);
    assert_int_equal(ledger_view(memory, bytes, SLOTS + 4096, EXTENTS, &ledger), STATUS_MALFORMED);
    assert_int_equal(ledger_view(memory, bytes, SLOTS, EXTENTS + 1, &ledger), STATUS_MALFORMED);
    assert_int_equal(ledger_view(memory, bytes - 4096, SLOTS, EXTENTS, &ledger), STATUS_MALFORMED);
    ledger.head->version++;
    assert_int_equal(ledger_view(memory, bytes, SLOTS, EXTENTS, &ledger), STATUS_MALFORMED);
    ledger.head->version--;
    ledger.head->magic ^= 1;
    assert_int_equal(ledger_view(memory, bytes, SLOTS, EXTENTS, &ledger), STATUS_MALFORMED);
    free(memory);
}

static void test_without_a_book_nothing_is_written(void **state)
{
    (void)state;
    struct ledger ledger;
    assert_int_equal(ledger_view(NULL, 0, SLOTS, EXTENTS, &ledger), STATUS_OK);
    ledger_touch(&ledger, 1, true);
    ledger_lend(&ledger, 1, 1);
    ledger_follow(&ledger, 1, 2, 3);
    ledger_class(&ledger, 1, 1);
    ledger_session(&ledger, 1);
    assert_int_equal(ledger.serial, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_is_read),
        cmocka_unit_test(test_a_borrower_is_never_taken_for_a_parent),
        cmocka_unit_test(test_entries_do_not_overlap),
        cmocka_unit_test(test_other_memory_is_no_book),
        cmocka_unit_test(test_without_a_book_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
