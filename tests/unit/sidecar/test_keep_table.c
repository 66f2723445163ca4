/* keep_table: items are replaced whole, found by kind and number, and own their descriptors. */
#include "tests/check.h"

#include "shm/status.h"
#include "sidecar/keep_table.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int put(struct keep_table *table, uint32_t kind, uint32_t id, const char *text, int fd)
{
    unsigned char bytes[32] = {0};
    memcpy(bytes, text, strlen(text) + 1);
    struct keep_item item = {.kind = kind,
        .id = id,
        .bytes = sizeof bytes,
        .fd_count = fd < 0 ? 0 : 1,
        .fds = {fd},
        .blob = bytes};
    return keep_table_put(table, &item);
}

static void test_an_item_is_found_by_kind_and_number(void **state)
{
    (void)state;
    struct keep_table table = {0};
    assert_int_equal(put(&table, KEEP_SPACE, 1, "one", -1), STATUS_OK);
    assert_int_equal(put(&table, KEEP_SPACE, 2, "two", -1), STATUS_OK);
    assert_int_equal(put(&table, KEEP_CLASS, 1, "class", -1), STATUS_OK);
    assert_string_equal((char *)keep_table_find(&table, KEEP_SPACE, 2)->blob, "two");
    assert_string_equal((char *)keep_table_find(&table, KEEP_CLASS, 1)->blob, "class");
    assert_null(keep_table_find(&table, KEEP_SESSION, 1));
    keep_table_drop(&table, KEEP_SPACE, 1);
    keep_table_drop(&table, KEEP_SPACE, 1);
    assert_null(keep_table_find(&table, KEEP_SPACE, 1));
    assert_string_equal((char *)keep_table_find(&table, KEEP_SPACE, 2)->blob, "two");
    keep_table_close(&table);
    assert_null(keep_table_find(&table, KEEP_SPACE, 2));
}

static void test_a_newer_item_takes_the_place_and_closes_the_older(void **state)
{
    (void)state;
    struct keep_table table = {0};
    int first = eventfd(0, EFD_CLOEXEC);
    int second = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(put(&table, KEEP_SESSION, 9, "old", first), STATUS_OK);
    assert_int_equal(put(&table, KEEP_SESSION, 9, "new", second), STATUS_OK);
    assert_int_equal(table.count, 1);
    assert_false(is_open(first));
    assert_true(is_open(second));
    assert_string_equal((char *)keep_table_find(&table, KEEP_SESSION, 9)->blob, "new");
    keep_table_drop(&table, KEEP_SESSION, 9);
    assert_false(is_open(second));
    keep_table_close(&table);
}

static void test_a_descriptor_that_was_taken_out_stays_open(void **state)
{
    (void)state;
    struct keep_table table = {0};
    int fd = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(put(&table, KEEP_DOOR, 0, "door", fd), STATUS_OK);
    keep_table_find(&table, KEEP_DOOR, 0)->fds[0] = -1;
    keep_table_close(&table);
    assert_true(is_open(fd));
    (void)close(fd);
}

static void test_a_walk_meets_each_item_of_a_kind_once(void **state)
{
    (void)state;
    struct keep_table table = {0};
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(put(&table, i % 2 == 0 ? KEEP_SPACE : KEEP_CLASS, i, "x", -1), STATUS_OK);
    }
    uint32_t at = 0;
    uint32_t sum = 0;
    uint32_t count = 0;
    const struct keep_item *item;
    while ((item = keep_table_next(&table, KEEP_CLASS, &at)) != NULL) {
        sum += item->id;
        count++;
    }
    assert_int_equal(count, 100);
    assert_int_equal(sum, 100 * 100); /* 1 + 3 + … + 199 */
    keep_table_close(&table);
}

static void test_a_full_table_leaves_the_descriptor_to_the_caller(void **state)
{
    (void)state;
    struct keep_table table = {0};
    /* Straight into the array: putting each would look for a double first. */
    table.items = calloc(KEEP_TABLE_ITEMS, sizeof *table.items);
    assert_non_null(table.items);
    table.room = KEEP_TABLE_ITEMS;
    while (table.count < KEEP_TABLE_ITEMS) {
        table.items[table.count] = (struct keep_item){.kind = KEEP_SPACE, .id = table.count};
        table.count++;
    }
    int fd = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(put(&table, KEEP_SESSION, 1, "one too many", fd), STATUS_LIMIT);
    assert_true(is_open(fd));
    assert_int_equal(put(&table, KEEP_SPACE, 7, "in its place", -1), STATUS_OK);
    (void)close(fd);
    keep_table_close(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_item_is_found_by_kind_and_number),
        cmocka_unit_test(test_a_newer_item_takes_the_place_and_closes_the_older),
        cmocka_unit_test(test_a_descriptor_that_was_taken_out_stays_open),
        cmocka_unit_test(test_a_walk_meets_each_item_of_a_kind_once),
        cmocka_unit_test(test_a_full_table_leaves_the_descriptor_to_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
