/* fetch_table: a read is found by its name, and its turn comes in order. */
#include "tests/unit/sidecar/block/fixture.h"

#include "sidecar/block/fetch_table.h"

#define READS 300u

static struct arena arena;
static struct fetches fetches;
static _Atomic uint64_t counters[COUNTER_ROOM];

static int setup(void **state)
{
    (void)state;
    assert_int_equal(arena_open(fetch_table_arena_bytes(READS, 4), &arena), STATUS_OK);
    fetch_table_open(&fetches, READS, 4, 7, counters, &arena);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_close(&arena);
    return 0;
}

static struct fetch_read read_of(uint64_t number, uint16_t space, bool ahead)
{
    return (struct fetch_read){.id = {.key = fixture_key(number)}, .space = space, .ahead = ahead};
}

static uint32_t add(uint64_t number, uint16_t space, bool ahead)
{
    struct fetch_read read = read_of(number, space, ahead);
    return fetch_table_add(&fetches, &read);
}

static uint32_t find(uint64_t number, uint16_t space)
{
    struct fetch_read read = read_of(number, space, false);
    return fetch_table_find(&fetches, &read.id, space);
}

static void a_name_has_key_namespace_and_digest(void **state)
{
    (void)state;
    uint32_t first = add(1, 1, false);
    uint32_t second = add(1, 2, false);
    assert_int_equal(find(1, 1), first);
    assert_int_equal(find(1, 2), second);
    assert_int_equal(find(2, 1), FETCH_NONE);
    struct tier_id other = {.key = fixture_key(1), .space = {1}};
    assert_int_equal(fetch_table_find(&fetches, &other, 1), FETCH_NONE);
    fetch_table_drop(&fetches, first);
    assert_int_equal(find(1, 1), FETCH_NONE);
    assert_int_equal(find(1, 2), second);
}

static void turns_come_in_order_but_for_who_goes_to_the_front(void **state)
{
    (void)state;
    uint32_t a = add(1, 1, false);
    uint32_t b = add(2, 1, false);
    uint32_t c = add(3, 1, false);
    uint32_t hint = add(4, 1, true);
    assert_int_equal(fetches.urgent.first, a);
    assert_int_equal(fetches.ahead.first, hint);
    assert_int_equal(fetches.urgent.count, 3);
    fetch_table_unqueue(&fetches, b);
    fetch_table_queue(&fetches, b, true);
    assert_int_equal(fetches.urgent.first, b);
    fetch_table_drop(&fetches, b);
    assert_int_equal(fetches.urgent.first, a);
    fetch_table_drop(&fetches, c);
    assert_int_equal(fetches.urgent.last, a);
    fetch_table_drop(&fetches, a);
    assert_int_equal(fetches.urgent.first, FETCH_NONE);
    assert_int_equal(fetches.ahead.count, 1);
}

static void too_many_are_refused_and_freed_ones_come_again(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < READS; i++) {
        assert_int_not_equal(add(i, 1, i % 2 == 0), FETCH_NONE);
    }
    assert_int_equal(add(READS, 1, false), FETCH_NONE);
    for (uint64_t i = 0; i < READS; i++) {
        assert_int_not_equal(find(i, 1), FETCH_NONE);
    }
    fetch_table_drop(&fetches, find(17, 1));
    uint32_t again = add(READS, 1, false);
    assert_int_not_equal(again, FETCH_NONE);
    /* An older one has a smaller serial, whatever place it has. */
    assert_true(fetches.reads[again].serial > fetches.reads[find(READS - 1, 1)].serial);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_name_has_key_namespace_and_digest),
        IN_WORLD(turns_come_in_order_but_for_who_goes_to_the_front),
        IN_WORLD(too_many_are_refused_and_freed_ones_come_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
