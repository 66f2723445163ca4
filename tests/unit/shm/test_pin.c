/* test_pin: records are taken once, found by a sweep, and free again after a drop. */
#include "shm/pin.h"

#include "tests/check.h"

#include <string.h>

#define RECORDS 256u
#define SLOTS 1000u

struct lane {
    _Atomic uint32_t records[RECORDS];
    _Atomic uint32_t high;
    struct pin_seat seat;
    uint8_t marks[SLOTS];
};

static int open_lane(void **state)
{
    static struct lane lane;
    memset((void *)&lane, 0, sizeof lane);
    lane.seat =
        (struct pin_seat){.records = lane.records, .high_word = &lane.high, .count = RECORDS};
    *state = &lane;
    return 0;
}

static uint32_t sweep(struct lane *lane)
{
    pin_fence();
    return pin_sweep(&lane->high, lane->records, RECORDS, lane->marks, SLOTS);
}

static void test_sweep_finds_pinned_victims_alone(void **state)
{
    struct lane *lane = *state;
    uint32_t record = UINT32_MAX;
    assert_true(pin_take(&lane->seat, 0, &record));
    assert_true(pin_take(&lane->seat, SLOTS - 1, &record));
    assert_true(pin_take(&lane->seat, 7, &record));
    lane->marks[0] = lane->marks[SLOTS - 1] = lane->marks[8] = PIN_VICTIM;
    assert_int_equal(sweep(lane), 0);
    assert_int_equal(lane->marks[0], PIN_PINNED);
    assert_int_equal(lane->marks[SLOTS - 1], PIN_PINNED);
    assert_int_equal(lane->marks[7], PIN_NONE); /* pinned, but nobody wants it */
    assert_int_equal(lane->marks[8], PIN_VICTIM);
    pin_drop(&lane->seat, record);
    lane->marks[7] = PIN_VICTIM;
    assert_int_equal(sweep(lane), 0);
    assert_int_equal(lane->marks[7], PIN_VICTIM);
}

static void test_every_record_can_be_used_and_no_more(void **state)
{
    struct lane *lane = *state;
    bool used[RECORDS] = {false};
    uint32_t record = UINT32_MAX;
    for (uint32_t i = 0; i < RECORDS; i++) {
        assert_true(pin_take(&lane->seat, i, &record));
        assert_true(record < RECORDS && !used[record]);
        used[record] = true;
    }
    uint32_t untouched = 12345;
    assert_false(pin_take(&lane->seat, 5, &untouched));
    assert_int_equal(untouched, 12345);
    /* Any one that comes free is found, wherever it lies. */
    const uint32_t freed[] = {0, 100, RECORDS - 1};
    for (size_t i = 0; i < CHECK_COUNT(freed); i++) {
        pin_drop(&lane->seat, freed[i]);
        assert_true(pin_take(&lane->seat, 999, &record));
        assert_int_equal(record, freed[i]);
        assert_false(pin_take(&lane->seat, 5, &untouched));
    }
    /* Also one that another thread cleared. */
    pin_drop_foreign(&lane->records[77]);
    assert_true(pin_take(&lane->seat, 5, &record));
    assert_int_equal(record, 77);
}

static void test_high_water_rises_before_and_falls_after(void **state)
{
    struct lane *lane = *state;
    uint32_t record = UINT32_MAX;
    for (uint32_t i = 0; i < 200; i++) {
        assert_true(pin_take(&lane->seat, i, &record));
        assert_int_equal(shared32_load_relaxed(&lane->high), record + 1);
    }
    /* A hole in the middle does not lower it. */
    pin_drop(&lane->seat, 150);
    assert_int_equal(shared32_load_relaxed(&lane->high), 200);
    pin_drop(&lane->seat, 199);
    assert_int_equal(shared32_load_relaxed(&lane->high), 199);
    for (uint32_t i = 198; i > 150; i--) {
        pin_drop(&lane->seat, i);
    }
    /* Over the hole as well. */
    assert_int_equal(shared32_load_relaxed(&lane->high), 150);
    for (uint32_t i = 0; i < 150; i++) {
        pin_drop(&lane->seat, 149 - i);
    }
    assert_int_equal(shared32_load_relaxed(&lane->high), PIN_HIGH_KEPT);
    assert_true(pin_take(&lane->seat, 3, &record));
    assert_int_equal(record, 0);
}

static void test_dropped_records_are_used_before_the_mark_rises(void **state)
{
    struct lane *lane = *state;
    uint32_t records[100];
    for (uint32_t i = 0; i < 100; i++) {
        assert_true(pin_take(&lane->seat, i, &records[i]));
    }
    for (uint32_t i = 0; i < 50; i++) {
        pin_drop(&lane->seat, records[2 * i]);
    }
    for (uint32_t i = 0; i < 50; i++) {
        uint32_t record = UINT32_MAX;
        assert_true(pin_take(&lane->seat, i, &record));
        assert_true(record < 100);
    }
    assert_int_equal(shared32_load_relaxed(&lane->high), 100);
}

static void test_wild_records_are_counted_and_harmless(void **state)
{
    struct lane *lane = *state;
    shared32_store_release(&lane->records[0], SLOTS + 1);
    shared32_store_release(&lane->records[1], UINT32_MAX);
    shared32_store_release(&lane->records[2], SLOTS); /* the last slot: not wild */
    shared32_store_release(&lane->high, 3);
    lane->marks[SLOTS - 1] = PIN_VICTIM;
    assert_int_equal(sweep(lane), 2);
    assert_int_equal(lane->marks[SLOTS - 1], PIN_PINNED);
    /* A mark beyond the array is one wild word more; what is there is still read. */
    shared32_store_release(&lane->records[RECORDS - 1], 8);
    lane->marks[7] = PIN_VICTIM;
    shared32_store_release(&lane->high, UINT32_MAX);
    assert_int_equal(sweep(lane), 3);
    assert_int_equal(lane->marks[7], PIN_PINNED);
}

static void test_records_above_the_mark_are_not_read(void **state)
{
    struct lane *lane = *state;
    shared32_store_release(&lane->records[10], 8);
    lane->marks[7] = PIN_VICTIM;
    shared32_store_release(&lane->high, 10);
    assert_int_equal(sweep(lane), 0);
    assert_int_equal(lane->marks[7], PIN_VICTIM);
}

static void test_random_takes_and_drops_match_a_plain_array(void **state)
{
    struct lane *lane = *state;
    uint64_t random = check_seed();
    uint32_t model[RECORDS] = {0};
    uint32_t used = 0;
    for (int step = 0; step < 200000; step++) {
        uint64_t word = check_random(&random);
        uint32_t record = (uint32_t)(word >> 32) % RECORDS;
        if (word % 2 == 0 || used == 0) {
            uint32_t slot = (uint32_t)(word >> 8) % SLOTS;
            bool taken = pin_take(&lane->seat, slot, &record);
            assert_int_equal(taken, used < RECORDS);
            if (taken) {
                assert_int_equal(model[record], 0);
                model[record] = slot + 1;
                used++;
            }
        } else if (model[record] != 0) {
            if (word & 4) {
                pin_drop(&lane->seat, record);
            } else {
                pin_drop_foreign(&lane->records[record]);
            }
            model[record] = 0;
            used--;
        }
    }
    for (uint32_t i = 0; i < RECORDS; i++) {
        assert_int_equal(shared32_load_relaxed(&lane->records[i]), model[i]);
        assert_true(model[i] == 0 || i < shared32_load_relaxed(&lane->high));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_sweep_finds_pinned_victims_alone, open_lane),
        cmocka_unit_test_setup(test_every_record_can_be_used_and_no_more, open_lane),
        cmocka_unit_test_setup(test_high_water_rises_before_and_falls_after, open_lane),
        cmocka_unit_test_setup(test_dropped_records_are_used_before_the_mark_rises, open_lane),
        cmocka_unit_test_setup(test_wild_records_are_counted_and_harmless, open_lane),
        cmocka_unit_test_setup(test_records_above_the_mark_are_not_read, open_lane),
        cmocka_unit_test_setup(test_random_takes_and_drops_match_a_plain_array, open_lane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
