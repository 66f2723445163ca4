/* hold: a held slot is passed over by eviction; a hold ends by its touch, its time, or its session.
 * */
#include "tests/unit/sidecar/block/fixture.h"

#include "sidecar/block/hold.h"

#define SLOTS 64u
#define SESSIONS 4u
#define HOLDS 40u
#define STEPS 20000

static struct arena arena;
static _Atomic uint64_t counters[COUNTER_ROOM];

static struct holds open_holds(void)
{
    struct holds holds;
    assert_int_equal(arena_open(hold_arena_bytes(HOLDS, SLOTS, SESSIONS), &arena), STATUS_OK);
    hold_open(&holds, HOLDS, SLOTS, SESSIONS, counters, &arena);
    return holds;
}

static void several_hold_one_slot_and_each_lets_go_alone(void **state)
{
    (void)state;
    struct holds holds = open_holds();
    assert_true(hold_take(&holds, 5, 0, 100));
    assert_true(hold_take(&holds, 5, 1, 200));
    assert_true(hold_copy(&holds, 5));
    assert_int_equal(counter_get(counters, COUNTER_holds_now), 3);
    hold_touched(&holds, 5, 0);
    hold_touched(&holds, 5, 0);
    hold_touched(&holds, 6, 1);
    assert_true(hold_is(&holds, 5));
    assert_true(hold_copying(&holds, 5));
    hold_copied(&holds, 5);
    assert_false(hold_copying(&holds, 5));
    hold_drop(&holds, 1);
    assert_false(hold_is(&holds, 5));
    assert_int_equal(counter_get(counters, COUNTER_holds_now), 0);
    arena_close(&arena);
}

static void asked_for_again_it_lasts_as_the_second_says(void **state)
{
    (void)state;
    struct holds holds = open_holds();
    uint64_t before = counter_get(counters, COUNTER_holds_expired);
    assert_true(hold_take(&holds, 5, 0, 100));
    assert_true(hold_take(&holds, 5, 0, 300));
    assert_int_equal(hold_count(&holds, 0), 1);
    assert_int_equal(hold_tick(&holds, 299), 300);
    assert_true(hold_is(&holds, 5));
    assert_int_equal(hold_tick(&holds, 300), UINT64_MAX);
    assert_false(hold_is(&holds, 5));
    assert_int_equal(counter_get(counters, COUNTER_holds_expired), before + 1);
    arena_close(&arena);
}

static void a_copy_has_no_time(void **state)
{
    (void)state;
    struct holds holds = open_holds();
    assert_true(hold_copy(&holds, 5));
    assert_int_equal(hold_tick(&holds, UINT64_MAX), UINT64_MAX);
    assert_true(hold_is(&holds, 5));
    hold_copied(&holds, 5);
    arena_close(&arena);
}

static void too_many_are_refused_and_room_comes_back(void **state)
{
    (void)state;
    struct holds holds = open_holds();
    for (uint32_t i = 0; i < HOLDS; i++) {
        assert_true(hold_take(&holds, i, i % SESSIONS, 1 + i));
    }
    assert_false(hold_take(&holds, HOLDS, 0, 1));
    assert_false(hold_copy(&holds, HOLDS));
    /* One that it has already is no new one. */
    assert_true(hold_take(&holds, 0, 0, 500));
    hold_drop(&holds, 3);
    assert_true(hold_copy(&holds, HOLDS));
    arena_close(&arena);
}

/* Random calls against a plain table. */
static void random_calls_against_a_plain_table(void **state)
{
    (void)state;
    static uint64_t until[SLOTS][SESSIONS]; /* 0: not held */
    uint64_t seed = check_seed();
    uint64_t now = 1;
    struct holds holds = open_holds();
    memset(until, 0, sizeof until);
    for (uint32_t i = 0; i < STEPS; i++) {
        uint32_t slot = (uint32_t)(check_random(&seed) % SLOTS);
        uint32_t session = (uint32_t)(check_random(&seed) % SESSIONS);
        switch (check_random(&seed) % 4) {
        case 0:
        case 1:
            if (hold_take(&holds, slot, session, now + 1 + i % 50)) {
                until[slot][session] = now + 1 + i % 50;
            } else {
                assert_int_equal(holds.count, HOLDS);
            }
            break;
        case 2:
            hold_touched(&holds, slot, session);
            until[slot][session] = 0;
            break;
        default:
            now += check_random(&seed) % 8;
            (void)hold_tick(&holds, now);
            for (uint32_t j = 0; j < SLOTS * SESSIONS; j++) {
                uint64_t *at = &until[j / SESSIONS][j % SESSIONS];
                *at = *at <= now ? 0 : *at;
            }
            break;
        }
        uint32_t count = 0;
        for (uint32_t j = 0; j < SLOTS; j++) {
            uint32_t here = 0;
            for (uint32_t k = 0; k < SESSIONS; k++) {
                here += until[j][k] != 0 ? 1 : 0;
            }
            assert_int_equal(hold_is(&holds, j), here > 0);
            count += here;
        }
        assert_int_equal(holds.count, count);
    }
    arena_close(&arena);
}

static void eviction_passes_over_what_is_held_and_marks_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, 1, 8, POLICY_LRU);
    uint32_t class = fixture_class(&fixture, 4096);
    struct evict_sweep sweep = fixture_sweeper(&fixture);
    for (uint32_t i = 0; i < 8; i++) {
        fixture_commit(&fixture, class, i, NULL);
    }
    uint32_t slot = fixture_find(&fixture, 0);
    assert_true(hold_take(&fixture.blocks.holds, slot, 1, 100));
    uint64_t before = slot_load_state(&fixture.blocks.index.lines[slot]);
    assert_int_equal(evict_room(&fixture.blocks, class, 8, &sweep), 7);
    assert_int_equal(slot_load_state(&fixture.blocks.index.lines[slot]), before);
    assert_int_equal(fixture_find(&fixture, 0), slot);
    hold_touched(&fixture.blocks.holds, slot, 1);
    assert_int_equal(evict_room(&fixture.blocks, class, 8, &sweep), 1);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_hold_one_slot_and_each_lets_go_alone),
        cmocka_unit_test(asked_for_again_it_lasts_as_the_second_says),
        cmocka_unit_test(a_copy_has_no_time),
        cmocka_unit_test(too_many_are_refused_and_room_comes_back),
        cmocka_unit_test(random_calls_against_a_plain_table),
        cmocka_unit_test(eviction_passes_over_what_is_held_and_marks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
