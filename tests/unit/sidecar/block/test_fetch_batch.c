/* fetch_batch: a batch is answered once, when all is settled or its time is over, and never lost.
 * */
#include "tests/unit/sidecar/block/cold_world.h"

static struct cold_world world;

static struct fetch_batches *batches(void)
{
    return &world.blocks->fetches.batches;
}

static void an_answer_that_finds_no_room_is_kept(void **state)
{
    (void)state;
    cold_commit(&world, 1);
    world.deaf = true;
    struct fetch_ask ask = {.session = 1, .blocks = 1, .event = true};
    uint64_t asked = cold_ask(&world, &ask, 1);
    cold_pass(&world, 10 * COLD_MS);
    cold_pass(&world, 10 * COLD_MS);
    assert_null(cold_answer(&world, asked));
    world.deaf = false;
    cold_pass(&world, 10 * COLD_MS);
    assert_int_equal(cold_answer(&world, asked)->hot, 1);
    cold_pass(&world, 10 * COLD_MS);
    assert_int_equal(world.heard_count, 1);
    assert_int_equal(batches()->unsent, 0);
}

static void a_kept_answer_goes_with_its_session(void **state)
{
    (void)state;
    world.deaf = true;
    (void)cold_ask(&world, &(struct fetch_ask){.session = 1, .blocks = 1, .event = true}, 1);
    fetch_drop(world.blocks, 1);
    world.deaf = false;
    cold_pass(&world, 10 * COLD_MS);
    assert_int_equal(world.heard_count, 0);
}

static void a_session_has_a_few_batches_and_others_have_theirs(void **state)
{
    (void)state;
    cold_put(&world, 1);
    struct fetch_ask ask = {.session = 1, .blocks = 1};
    for (uint32_t i = 0; i < FETCH_BATCH_A_SESSION; i++) {
        (void)cold_ask(&world, &ask, 1);
    }
    assert_int_equal(fetch_batch_begin(batches(), &ask), FETCH_BATCH_NONE);
    ask.session = 2;
    (void)cold_ask(&world, &ask, 1);
    (void)cold_step(&world);
    double_end_all(&world.tier, STATUS_OK);
    (void)cold_step(&world);
    assert_int_equal(world.heard_count, FETCH_BATCH_A_SESSION + 1);
    assert_int_equal(world.tier.loads, 1);
}

static void owed_replies_are_those_of_the_seats_own_ring(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 3; i++) {
        cold_put(&world, i);
    }
    struct fetch_ask parts = {.session = 1, .seat = 2, .blocks = 3, .part_bytes = 8};
    (void)cold_ask(&world, &parts, 1);
    (void)cold_ask(&world, &(struct fetch_ask){.session = 1, .seat = 3, .blocks = 3}, 1);
    struct fetch_ask event = {.session = 1, .seat = 2, .blocks = 3, .event = true};
    (void)cold_ask(&world, &event, 1);
    assert_int_equal(fetch_batch_owed(batches(), 1, 2), 4);
    assert_int_equal(fetch_batch_owed(batches(), 1, 3), 1);
    (void)cold_step(&world);
    double_part(&world.tier, 0, 8);
    (void)cold_step(&world);
    assert_int_equal(fetch_batch_owed(batches(), 1, 2), 3);
    double_end_all(&world.tier, STATUS_OK);
    (void)cold_step(&world);
    assert_int_equal(fetch_batch_owed(batches(), 1, 2), 0);
    assert_int_equal(world.told_count, 3);
    cold_pass(&world, 10 * COLD_MS);
}

/* The first layers of a prefix, and then all of it: the same slots, whose quota is just enough. */
static void asking_again_for_what_is_under_way_takes_no_more_of_the_quota(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 4; i++) {
        cold_put(&world, i);
    }
    struct fetch_ask parts = {.session = 1, .seat = 1, .blocks = 4, .quota = 4, .part_bytes = 8};
    uint64_t first = cold_ask(&world, &parts, 1);
    (void)cold_step(&world);
    struct fetch_ask whole = {.session = 1, .seat = 2, .blocks = 4, .quota = 4};
    uint64_t second = cold_ask(&world, &whole, 1);
    assert_int_equal(batches()->sessions[1].waits, 4);
    (void)cold_step(&world);
    double_end_all(&world.tier, STATUS_OK);
    (void)cold_step(&world);
    assert_int_equal(cold_answer(&world, first)->hot, 4);
    assert_int_equal(cold_answer(&world, second)->hot, 4);
    assert_int_equal(batches()->sessions[1].waits, 0);
    assert_int_equal(cold_count(&world, COUNTER_fetches_refused), 0);
    /* Another one is one too many. */
    cold_put(&world, 5);
    uint64_t third =
        cold_ask(&world, &(struct fetch_ask){.session = 1, .blocks = 1, .quota = 4}, 5);
    assert_int_equal(cold_answer(&world, third)->hot, 0);
}

static void a_cancelled_batch_is_silent_and_one_of_events_stands(void **state)
{
    (void)state;
    cold_put(&world, 1);
    uint64_t asked = cold_ask(&world, &(struct fetch_ask){.session = 1, .blocks = 1}, 1);
    struct fetch_ask event = {.session = 1, .blocks = 1, .event = true};
    uint64_t kept = cold_ask(&world, &event, 1);
    assert_false(fetch_batch_cancel(batches(), 2, 0, asked));
    assert_false(fetch_batch_cancel(batches(), 1, 1, asked));
    assert_true(fetch_batch_cancel(batches(), 1, 0, asked));
    assert_false(fetch_batch_cancel(batches(), 1, 0, asked));
    assert_false(fetch_batch_cancel(batches(), 1, 0, kept));
    (void)cold_step(&world);
    double_end_all(&world.tier, STATUS_OK);
    (void)cold_step(&world);
    assert_null(cold_answer(&world, asked));
    assert_int_equal(cold_answer(&world, kept)->hot, 1);
}

static void a_batch_that_is_late_before_it_is_whole_is_answered_at_its_end(void **state)
{
    (void)state;
    cold_put(&world, 1);
    struct fetch_ask ask = {.session = 1, .blocks = 2, .quota = 9, .cookie = 7};
    ask.deadline_ns = world.now_ns + COLD_MS;
    uint32_t batch = fetch_batch_begin(batches(), &ask);
    struct fetch_means means = cold_means(&world);
    struct fetch_want want = {.key = fixture_key(1), .space = COLD_SPACE, .class = world.class};
    fetch_block(world.blocks, batch, &want, &means);
    cold_pass(&world, COLD_MS);
    assert_int_equal(world.heard_count, 0);
    fetch_block(world.blocks, batch, &want, &means);
    fetch_batch_close(batches(), batch, &means.answers);
    assert_int_equal(cold_answer(&world, 7)->status, STATUS_MISS);
    assert_int_equal(cold_count(&world, COUNTER_fetches_late), 2);
    (void)cold_step(&world);
}

static void a_batch_given_up_half_way_leaves_nothing(void **state)
{
    (void)state;
    cold_put(&world, 1);
    struct fetch_ask ask = {.session = 1, .blocks = 2, .quota = 9, .deadline_ns = UINT64_MAX};
    uint32_t batch = fetch_batch_begin(batches(), &ask);
    struct fetch_means means = cold_means(&world);
    struct fetch_want want = {.key = fixture_key(1), .space = COLD_SPACE, .class = world.class};
    fetch_block(world.blocks, batch, &want, &means);
    fetch_batch_forget(batches(), batch);
    (void)cold_step(&world);
    assert_int_equal(batches()->sessions[1].waits, 0);
    assert_int_equal(world.tier.loads, 0);
}

#define IN_WORLD(test) \
    cmocka_unit_test_prestate_setup_teardown(test, cold_set_up, cold_tear_down, &world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(an_answer_that_finds_no_room_is_kept),
        IN_WORLD(a_kept_answer_goes_with_its_session),
        IN_WORLD(a_session_has_a_few_batches_and_others_have_theirs),
        IN_WORLD(owed_replies_are_those_of_the_seats_own_ring),
        IN_WORLD(asking_again_for_what_is_under_way_takes_no_more_of_the_quota),
        IN_WORLD(a_cancelled_batch_is_silent_and_one_of_events_stands),
        IN_WORLD(a_batch_that_is_late_before_it_is_whole_is_answered_at_its_end),
        IN_WORLD(a_batch_given_up_half_way_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
