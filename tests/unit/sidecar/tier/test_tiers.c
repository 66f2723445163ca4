/* tiers: the fastest is asked first, the next one if that has it not; hints follow what lies where.
 * */
#include "tests/unit/sidecar/block/double_tier.h"
#include "tests/unit/sidecar/block/fixture.h"

#include "sidecar/tier/tiers.h"

#define DEADLINE UINT64_C(1000)

static struct fixture fixture;
static struct tiers tiers;
static struct double_tier fast;
static struct double_tier slow;
static unsigned char memory[DOUBLE_BYTES];

static int setup(void **state)
{
    (void)state;
    fixture_open(&fixture, 2, 8, POLICY_LRU);
    assert_int_equal(tiers_open(&tiers, &fixture.blocks.index, fixture.blocks.counters), STATUS_OK);
    double_open(&slow);
    double_open(&fast);
    tiers_add(&tiers, &slow.tier);
    tiers_add(&tiers, &fast.tier);
    slow.health.load_ns = 2000;
    fast.health.load_ns = 1000;
    tiers_tick(&tiers);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tiers_close(&tiers, 0);
    assert_true(slow.closed && fast.closed);
    tiers_close(&tiers, 0);
    tiers_close(NULL, 0);
    fixture_close(&fixture);
    return 0;
}

static struct tier_id id_of(uint64_t number)
{
    return (struct tier_id){.key = fixture_key(number), .space = {7}};
}

static void have(struct double_tier *tier, uint64_t number)
{
    struct tier_id id = id_of(number);
    memset(memory, (int)number, sizeof memory);
    double_keep(tier, &id, memory, sizeof memory);
}

static int load(uint64_t number, uint64_t cookie)
{
    struct tier_wish wish = {
        .id = id_of(number), .out_data = memory, .room = sizeof memory, .deadline_ns = DEADLINE};
    return tiers_load(&tiers, &wish, cookie);
}

/* The one event that there is. */
static struct tier_done next(uint64_t now_ns)
{
    struct tier_done done[4];
    assert_int_equal(tiers_poll(&tiers, now_ns, done, 4), 1);
    return done[0];
}

static void the_fastest_is_asked_first(void **state)
{
    (void)state;
    have(&slow, 1);
    have(&fast, 1);
    assert_int_equal(load(1, 33), STATUS_PENDING);
    assert_int_equal(fast.loads, 1);
    assert_int_equal(slow.loads, 0);
    double_end(&fast, 0, STATUS_OK);
    struct tier_done done = next(1);
    assert_int_equal(done.cookie, 33);
    assert_int_equal(done.event, TIER_LOADED);
    assert_int_equal(done.bytes, DOUBLE_BYTES);
    /* Measured, not configured: it can change. */
    fast.health.load_ns = 9000;
    tiers_tick(&tiers);
    assert_int_equal(load(1, 34), STATUS_PENDING);
    assert_int_equal(slow.loads, 1);
    slow.health.up = false;
    tiers_tick(&tiers);
    assert_int_equal(load(1, 35), STATUS_PENDING);
    assert_int_equal(fast.loads, 2);
    double_end_all(&fast, STATUS_OK);
    double_end_all(&slow, STATUS_OK);
    struct tier_done rest[4];
    assert_int_equal(tiers_poll(&tiers, 1, rest, 4), 2);
}

static void the_next_one_is_asked_after_a_miss_or_an_error(void **state)
{
    (void)state;
    have(&slow, 1);
    assert_int_equal(load(1, 1), STATUS_PENDING); /* a miss at once */
    assert_int_equal(slow.op_count, 1);
    double_end(&slow, 0, STATUS_OK);
    assert_int_equal(next(1).status, STATUS_OK);
    have(&fast, 1);
    assert_int_equal(load(1, 2), STATUS_PENDING);
    double_end(&fast, 0, STATUS_IO);
    struct tier_done done[4];
    assert_int_equal(tiers_poll(&tiers, 1, done, 4), 0);
    double_end(&slow, 0, STATUS_OK);
    assert_int_equal(next(1).cookie, 2);
    assert_int_equal(tiers.loading, 0);
}

static void nobody_is_asked_after_a_part_or_the_deadline(void **state)
{
    (void)state;
    have(&slow, 1);
    have(&fast, 1);
    assert_int_equal(load(1, 1), STATUS_PENDING);
    double_part(&fast, 0, 512);
    assert_int_equal(next(1).event, TIER_PART);
    double_end(&fast, 0, STATUS_IO);
    assert_int_equal(next(1).status, STATUS_IO);
    assert_int_equal(load(1, 2), STATUS_PENDING);
    double_end(&fast, 0, STATUS_MISS);
    assert_int_equal(next(DEADLINE).status, STATUS_MISS);
    assert_int_equal(slow.loads, 0);
}

static void refusals_say_what_to_do(void **state)
{
    (void)state;
    assert_int_equal(load(1, 1), STATUS_MISS);
    have(&slow, 1);
    slow.depth = 0;
    assert_int_equal(load(1, 1), STATUS_BUSY);
    slow.refuse = STATUS_IO;
    fast.refuse = STATUS_IO;
    assert_int_equal(load(1, 1), STATUS_IO);
    slow.refuse = 0;
    fast.refuse = 0;
    slow.depth = DOUBLE_OPS;
    for (uint32_t i = 0; i < DOUBLE_OPS; i++) {
        assert_int_equal(load(1, i), STATUS_PENDING);
    }
    assert_int_equal(load(1, 0), STATUS_BUSY);
    double_end_all(&slow, STATUS_OK);
    struct tier_done done[DOUBLE_OPS];
    assert_int_equal(tiers_poll(&tiers, 1, done, DOUBLE_OPS), DOUBLE_OPS);
    assert_int_equal(tiers.loading, 0);
}

static void a_store_goes_to_the_first_that_takes_it_and_has_its_hint(void **state)
{
    (void)state;
    struct tier_block block = {.id = id_of(1), .data = memory, .bytes = 100};
    fast.refuse = STATUS_LIMIT;
    assert_int_equal(tiers_store(&tiers, &block, 5), STATUS_PENDING);
    assert_false(tiers_has(&tiers, &block.id.key));
    double_end(&slow, 0, STATUS_OK);
    assert_int_equal(next(1).cookie, 5);
    assert_true(tiers_has(&tiers, &block.id.key));
    assert_int_equal(fixture_count(&fixture, COUNTER_cold_now), 1);
    /* There already. */
    assert_int_equal(tiers_store(&tiers, &block, 6), STATUS_OK);
    double_say(&slow, TIER_LOST, &block.id);
    assert_int_equal(next(1).event, TIER_LOST);
    assert_false(tiers_has(&tiers, &block.id.key));
    assert_int_equal(fixture_count(&fixture, COUNTER_cold_now), 0);
    assert_int_equal(tiers_store(&tiers, &block, 7), STATUS_PENDING);
    double_end(&slow, 0, STATUS_IO);
    assert_int_equal(next(1).status, STATUS_IO);
    assert_false(tiers_has(&tiers, &block.id.key));
}

static void found_twice_is_one_hint_and_two_tiers_are_two(void **state)
{
    (void)state;
    struct tier_id id = id_of(1);
    struct tier_done done[8];
    double_say(&slow, TIER_FOUND, &id);
    double_say(&slow, TIER_FOUND, &id);
    double_say(&fast, TIER_FOUND, &id);
    assert_int_equal(tiers_poll(&tiers, 1, done, 8), 3);
    assert_int_equal(fixture_count(&fixture, COUNTER_cold_now), 2);
    double_say(&slow, TIER_LOST, &id);
    assert_int_equal(tiers_poll(&tiers, 1, done, 8), 1);
    assert_true(tiers_has(&tiers, &id.key));
}

static void one_tier_s_many_events_do_not_hold_up_the_other(void **state)
{
    (void)state;
    struct tier_done done[4];
    for (uint64_t i = 0; i < 20; i++) {
        struct tier_id id = id_of(i);
        double_say(&slow, TIER_FOUND, &id);
    }
    struct tier_id id = id_of(99);
    double_say(&fast, TIER_FOUND, &id);
    assert_int_equal(tiers_poll(&tiers, 1, done, 4), 4);
    assert_int_equal(tiers_poll(&tiers, 1, done, 4), 4);
    assert_int_equal(fast.event_count, 0);
}

static void numbers_and_digests_find_each_other(void **state)
{
    (void)state;
    struct space a = {.name = "a"};
    struct space b = {.name = "b", .dtype = "float16", .head_size = 64};
    tiers_space(&tiers, 1, &a, 0);
    tiers_space(&tiers, 2, &b, 0);
    tiers_space(&tiers, 3, &a, 1001); /* of another trust group: another namespace */
    const struct tiers_space *first = tiers_space_of(&tiers, 1);
    assert_memory_not_equal(first->digest, tiers_space_of(&tiers, 2)->digest, 32);
    assert_memory_not_equal(first->digest, tiers_space_of(&tiers, 3)->digest, 32);
    assert_int_equal(tiers_space_of(&tiers, 2)->shape.type, CODEC_FLOAT16);
    assert_null(tiers_space_of(&tiers, 4));
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(tiers_space_number(&tiers, tiers_space_of(&tiers, i)->digest), i);
    }
    /* The number is given to another; and the first comes back under a new one. */
    uint8_t digest[32];
    memcpy(digest, first->digest, sizeof digest);
    tiers_space(&tiers, 1, &b, 7);
    assert_int_equal(tiers_space_number(&tiers, digest), TIERS_SPACE_NONE);
    tiers_space(&tiers, 9, &a, 0);
    tiers_space(&tiers, 9, &a, 0);
    assert_int_equal(tiers_space_number(&tiers, digest), 9);
}

static void counters_take_over_what_is_new(void **state)
{
    (void)state;
    fast.health.corrupt = 3;
    slow.health.corrupt = 2;
    slow.health.written_bytes = 100;
    tiers_tick(&tiers);
    tiers_tick(&tiers);
    fast.health.corrupt = 4;
    tiers_tick(&tiers);
    assert_int_equal(fixture_count(&fixture, COUNTER_tier_corrupt), 6);
    assert_int_equal(fixture_count(&fixture, COUNTER_tier_written_bytes), 100);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(the_fastest_is_asked_first),
        IN_WORLD(the_next_one_is_asked_after_a_miss_or_an_error),
        IN_WORLD(nobody_is_asked_after_a_part_or_the_deadline),
        IN_WORLD(refusals_say_what_to_do),
        IN_WORLD(a_store_goes_to_the_first_that_takes_it_and_has_its_hint),
        IN_WORLD(found_twice_is_one_hint_and_two_tiers_are_two),
        IN_WORLD(one_tier_s_many_events_do_not_hold_up_the_other),
        IN_WORLD(numbers_and_digests_find_each_other),
        IN_WORLD(counters_take_over_what_is_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
