/* test_layout: an index that was made is understood; one with any field changed is refused. */
#include "shm/layout.h"

#include "shm/status.h"
#include "tests/check.h"

#include <string.h>
#include <sys/mman.h>

#define SLOTS 1000u

struct index {
    void *base;
    uint64_t bytes;
};

static int make_index(void **state)
{
    static struct index index;
    index.bytes = layout_index_bytes(SLOTS, 0);
    index.base =
        mmap(NULL, index.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (index.base == MAP_FAILED) {
        return -1;
    }
    layout_index_init(index.base, SLOTS, 0, 123456, 17);
    *state = &index;
    return 0;
}

static int drop_index(void **state)
{
    struct index *index = *state;
    return munmap(index->base, index->bytes);
}

static void test_made_index_is_understood(void **state)
{
    struct index *index = *state;
    struct index_view view;
    assert_int_equal(layout_index_view(index->base, index->bytes, &view), STATUS_OK);
    assert_int_equal(view.slots, SLOTS);
    assert_int_equal(view.header->pool_bytes, 123456);
    assert_int_equal(shared64_load_acquire(&view.header->epoch), 17);
    /* Twice as many hint words as slots, a power of two, behind the header; lines behind them. */
    assert_int_equal(view.hint_mask & (view.hint_mask + 1), 0);
    assert_true((view.hint_mask + 1) * 8 >= 2 * SLOTS);
    assert_int_equal((char *)view.hints - (char *)index->base, LAYOUT_PAGE_BYTES);
    assert_ptr_equal(view.lines, view.hints + view.hint_mask + 1);
    char *end = (char *)(view.lines + view.slots);
    assert_true(end <= (char *)index->base + index->bytes);
    assert_int_equal((uintptr_t)view.lines % LAYOUT_LINE_BYTES, 0);
}

static void test_sizes_hold_what_they_say(void **state)
{
    (void)state;
    const uint32_t counts[] = {1, 2, 63, 64, 65, 4096, 1000003, LAYOUT_SLOTS_MAX};
    uint64_t last = 0;
    for (size_t i = 0; i < CHECK_COUNT(counts); i++) {
        uint64_t bytes = layout_index_bytes(counts[i], 0);
        assert_int_equal(bytes % LAYOUT_PAGE_BYTES, 0);
        assert_true(bytes >= LAYOUT_PAGE_BYTES + UINT64_C(80) * counts[i]);
        assert_true(bytes >= last);
        last = bytes;
    }
}

static void test_cold_blocks_have_room_for_their_hints(void **state)
{
    (void)state;
    const uint32_t cold[] = {0, 1, 5000, 100000};
    for (size_t i = 0; i < CHECK_COUNT(cold); i++) {
        uint64_t bytes = layout_index_bytes(SLOTS, cold[i]);
        void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(base, MAP_FAILED);
        layout_index_init(base, SLOTS, cold[i], 4096, 1);
        struct index_view view;
        assert_int_equal(layout_index_view(base, bytes, &view), STATUS_OK);
        assert_int_equal(view.slots, SLOTS);
        assert_true((uint64_t)(view.hint_mask + 1) * 8 >= 2 * ((uint64_t)SLOTS + cold[i]));
        assert_ptr_equal(view.lines, view.hints + view.hint_mask + 1);
        assert_int_equal(munmap(base, bytes), 0);
    }
}

struct corruption {
    const char *what;
    size_t offset;
    size_t bytes;
    uint64_t value;
    int status;
};

#define FIELD(name) \
#name, offsetof(struct index_header, name), sizeof(((struct index_header *)0)->name)

/* Fewer than 64 slots more or less may lie on the same pages, and do no harm. */
static const struct corruption corruptions[] = {
    {FIELD(magic), 0, STATUS_VERSION},
    {FIELD(magic), LAYOUT_MAGIC + 1, STATUS_VERSION},
    {FIELD(abi), 0, STATUS_VERSION},
    {FIELD(abi), LAYOUT_ABI + 1, STATUS_VERSION},
    {FIELD(slots), 0, STATUS_MALFORMED},
    {FIELD(slots), SLOTS + 64, STATUS_MALFORMED},
    {FIELD(slots), SLOTS - 64, STATUS_MALFORMED},
    {FIELD(slots), LAYOUT_SLOTS_MAX + 1, STATUS_MALFORMED},
    {FIELD(slots), UINT32_MAX, STATUS_MALFORMED},
    {FIELD(index_bytes), 0, STATUS_MALFORMED},
    {FIELD(index_bytes), UINT64_MAX, STATUS_MALFORMED},
    {FIELD(hint_offset), 0, STATUS_MALFORMED},
    {FIELD(hint_offset), 2 * LAYOUT_PAGE_BYTES, STATUS_MALFORMED},
    {FIELD(slot_offset), 0, STATUS_MALFORMED},
    {FIELD(slot_offset), UINT64_MAX - 63, STATUS_MALFORMED},
    {FIELD(cold_blocks), 4096, STATUS_MALFORMED},
    {FIELD(cold_blocks), LAYOUT_COLD_MAX + 1, STATUS_MALFORMED},
    {FIELD(hint_buckets), 0, STATUS_MALFORMED},
    {FIELD(hint_buckets), 255, STATUS_MALFORMED},
    {FIELD(hint_buckets), UINT32_C(1) << 31, STATUS_MALFORMED},
};

static void test_any_corrupted_field_is_refused(void **state)
{
    struct index *index = *state;
    for (size_t i = 0; i < CHECK_COUNT(corruptions); i++) {
        const struct corruption *bad = &corruptions[i];
        char saved[8];
        char *field = (char *)index->base + bad->offset;
        memcpy(saved, field, bad->bytes);
        memcpy(field, &bad->value, bad->bytes);
        struct index_view view = {.slots = 7};
        int status = layout_index_view(index->base, index->bytes, &view);
        if (status != bad->status) {
            fail_msg("%s = %llu: status %d", bad->what, (unsigned long long)bad->value, status);
        }
        assert_int_equal(view.slots, 7); /* untouched on failure */
        memcpy(field, saved, bad->bytes);
    }
    struct index_view view;
    assert_int_equal(layout_index_view(index->base, index->bytes, &view), STATUS_OK);
}

static void test_wrong_mapping_size_is_refused(void **state)
{
    struct index *index = *state;
    struct index_view view;
    const uint64_t sizes[] = {0, 1, LAYOUT_PAGE_BYTES - 1, LAYOUT_PAGE_BYTES, index->bytes - 1,
        index->bytes - LAYOUT_PAGE_BYTES, index->bytes + LAYOUT_PAGE_BYTES, UINT64_MAX};
    for (size_t i = 0; i < CHECK_COUNT(sizes); i++) {
        assert_int_equal(layout_index_view(index->base, sizes[i], &view), STATUS_MALFORMED);
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, make_index, drop_index)
    const struct CMUnitTest tests[] = {
        TEST(test_made_index_is_understood),
        TEST(test_sizes_hold_what_they_say),
        TEST(test_cold_blocks_have_room_for_their_hints),
        TEST(test_any_corrupted_field_is_refused),
        TEST(test_wrong_mapping_size_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
