/* test_file_index: entries in their order, found by name, said once. Against a plain array. */
#include "sidecar/tier/file_index.h"

#include "shm/status.h"
#include "tests/check.h"

#include <string.h>

#define BLOCKS 200u

static struct tier_id id_of(uint64_t number)
{
    struct tier_id id = {.key.word = {number}};
    return id;
}

static void check_order(const struct file_index *index, const uint64_t *order, uint64_t count)
{
    const struct file_entry *entry = index->oldest;
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < count; i++) {
        assert_non_null(entry);
        assert_int_equal(entry->id.key.word[0], order[i]);
        bytes += entry->file_bytes;
        entry = entry->newer;
    }
    assert_null(entry);
    assert_int_equal(index->count, count);
    assert_int_equal(index->bytes, bytes);
}

static void test_behaves_like_a_list(void **state)
{
    (void)state;
    uint64_t random = check_seed();
    struct file_index index;
    uint64_t order[BLOCKS];
    uint64_t count = 0;
    assert_int_equal(file_index_open(&index), STATUS_OK);
    for (int step = 0; step < 5000; step++) {
        uint64_t number = check_random(&random) % BLOCKS;
        struct tier_id id = id_of(number);
        struct file_entry *entry = file_index_find(&index, &id);
        uint64_t at = 0;
        while (at < count && order[at] != number) {
            at++;
        }
        assert_int_equal(entry != NULL, at < count);
        if (entry != NULL) {
            file_index_remove(&index, entry);
            memmove(order + at, order + at + 1, (count - at - 1) * sizeof order[0]);
            count--;
        } else {
            struct file_entry added = {.id = id, .file_bytes = number + 1};
            assert_int_equal(file_index_add(&index, &added), STATUS_OK);
            order[count++] = number;
        }
        check_order(&index, order, count);
    }
    file_index_close(&index);
}

static void test_says_each_unsaid_one_once_oldest_first(void **state)
{
    (void)state;
    struct file_index index;
    assert_int_equal(file_index_open(&index), STATUS_OK);
    for (uint64_t i = 0; i < 10; i++) {
        struct file_entry entry = {.id = id_of(i), .said = i == 4 || i == 9};
        assert_int_equal(file_index_add(&index, &entry), STATUS_OK);
    }
    struct tier_id gone = id_of(0);
    file_index_remove(&index, file_index_find(&index, &gone)); /* the one that would be next */
    static const uint64_t said[] = {1, 2, 3, 5, 6, 7, 8};
    for (size_t i = 0; i < CHECK_COUNT(said); i++) {
        const struct file_entry *entry = file_index_say(&index);
        assert_non_null(entry);
        assert_int_equal(entry->id.key.word[0], said[i]);
    }
    assert_null(file_index_say(&index));
    file_index_close(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_behaves_like_a_list),
        cmocka_unit_test(test_says_each_unsaid_one_once_oldest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
