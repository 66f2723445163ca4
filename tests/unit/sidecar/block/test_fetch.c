/* fetch: many wait for one read; every batch is answered once; what came stays until it is used. */
#include "tests/unit/sidecar/block/cold_world.h"

#define ONE ((struct fetch_ask){.session = 1, .blocks = 1})

static struct cold_world world;

static void arrive(void)
{
    double_end_all(&world.tier, STATUS_OK);
    (void)cold_step(&world);
}

static void one_read_serves_all_sessions_that_ask(void **state)
{
    (void)state;
    cold_put(&world, 1);
    uint64_t first = cold_ask(&world, &ONE, 1);
    (void)cold_step(&world);
    uint64_t second = cold_ask(&world, &(struct fetch_ask){.session = 2, .blocks = 1}, 1);
    (void)cold_step(&world);
    assert_int_equal(world.tier.loads, 1);
    assert_null(cold_answer(&world, first));
    arrive();
    assert_int_equal(cold_answer(&world, first)->status, STATUS_OK);
    assert_int_equal(cold_answer(&world, second)->hot, 1);
    assert_true(cold_is_hot(&world, 1));
    assert_int_equal(hold_count(&world.blocks->holds, 1), 1);
    assert_int_equal(hold_count(&world.blocks->holds, 2), 1);
    assert_int_equal(cold_count(&world, COUNTER_fetches), 1);
    assert_int_equal(cold_count(&world, COUNTER_fetches_joined), 1);
    assert_true(spill_is_stored(world.blocks, fixture_find(&world.fixture, 1)));
    /* It lies below, and is hot: its cold hint stands. */
    assert_true(cold_is_cold(&world, 1));
}

static void what_nobody_has_is_answered_at_once_and_takes_no_slot(void **state)
{
    (void)state;
    uint64_t asked = cold_ask(&world, &ONE, 77);
    assert_int_equal(cold_answer(&world, asked)->status, STATUS_MISS);
    assert_int_equal(cold_answer(&world, asked)->hot + world.tier.loads, 0);
    assert_int_equal(cold_count(&world, COUNTER_fetches_missed), 1);
}

static void the_answer_counts_the_hot_blocks_at_the_start(void **state)
{
    (void)state;
    cold_commit(&world, 1);
    cold_put(&world, 2);
    cold_put(&world, 4);
    uint64_t asked = cold_ask(&world, &(struct fetch_ask){.session = 1, .blocks = 4}, 1);
    (void)cold_step(&world);
    arrive();
    /* 1 was hot, 2 came, 3 is nowhere; 4 lies behind it and was not even read. */
    assert_int_equal(cold_answer(&world, asked)->status, STATUS_MISS);
    assert_int_equal(cold_answer(&world, asked)->hot, 2);
    assert_int_equal(world.tier.loads, 1);
    assert_false(cold_is_hot(&world, 4));
}

static void what_came_stays_until_it_was_touched(void **state)
{
    (void)state;
    struct evict_sweep sweep = fixture_sweeper(&world.fixture);
    cold_put(&world, 1);
    (void)cold_ask(&world, &ONE, 1);
    (void)cold_step(&world);
    arrive();
    uint32_t slot = fixture_find(&world.fixture, 1);
    uint64_t before = slot_load_state(&world.blocks->index.lines[slot]);
    for (uint64_t i = 100; i < 115; i++) {
        cold_commit(&world, i);
    }
    assert_int_equal(evict_room(world.blocks, world.class, 16, &sweep), 15);
    assert_int_equal(slot_load_state(&world.blocks->index.lines[slot]), before);
    hold_touched(&world.blocks->holds, slot, 2);
    assert_true(hold_is(&world.blocks->holds, slot));
    hold_touched(&world.blocks->holds, slot, 1);
    assert_int_equal(evict_room(world.blocks, world.class, 16, &sweep), 1);
    assert_false(cold_is_hot(&world, 1));
    /* Dropped at no cost: it is still below. */
    assert_int_equal(cold_count(&world, COUNTER_spills_missed), 0);
    assert_true(cold_is_cold(&world, 1));
}

static void a_hold_ends_with_its_time_or_its_session(void **state)
{
    (void)state;
    cold_put(&world, 1);
    (void)cold_ask(&world, &ONE, 1);
    (void)cold_ask(&world, &(struct fetch_ask){.session = 2, .blocks = 1}, 1);
    (void)cold_step(&world);
    arrive();
    uint32_t slot = fixture_find(&world.fixture, 1);
    cold_pass(&world, COLD_HOLD - 1);
    fetch_drop(world.blocks, 2);
    assert_int_equal(hold_count(&world.blocks->holds, 2), 0);
    assert_true(hold_is(&world.blocks->holds, slot));
    cold_pass(&world, 1);
    assert_false(hold_is(&world.blocks->holds, slot));
    assert_int_equal(cold_count(&world, COUNTER_holds_expired), 1);
    assert_int_equal(cold_count(&world, COUNTER_holds_now), 0);
}

static void a_late_batch_is_answered_and_its_block_comes_all_the_same(void **state)
{
    (void)state;
    cold_commit(&world, 1);
    cold_put(&world, 2);
    struct fetch_ask ask = {.session = 1, .blocks = 2, .deadline_ns = world.now_ns + 10 * COLD_MS};
    uint64_t asked = cold_ask(&world, &ask, 1);
    (void)cold_step(&world);
    cold_pass(&world, 10 * COLD_MS - 1);
    assert_null(cold_answer(&world, asked));
    cold_pass(&world, 1);
    assert_int_equal(cold_answer(&world, asked)->status, STATUS_MISS);
    assert_int_equal(cold_answer(&world, asked)->hot, 1);
    assert_int_equal(cold_count(&world, COUNTER_fetches_late), 1);
    arrive();
    assert_true(cold_is_hot(&world, 2));
    assert_int_equal(hold_count(&world.blocks->holds, 1), 1); /* of block 1 alone */
}

static void a_dead_session_is_not_answered_and_its_reads_go_on(void **state)
{
    (void)state;
    cold_put(&world, 1);
    cold_put(&world, 2);
    world.tier.depth = 1;
    uint64_t asked = cold_ask(&world, &(struct fetch_ask){.session = 1, .blocks = 2}, 1);
    (void)cold_step(&world);
    fetch_drop(world.blocks, 1);
    arrive();
    assert_null(cold_answer(&world, asked));
    assert_true(cold_is_hot(&world, 1));
    /* The second one was only queued: nobody wants it any more. */
    assert_false(cold_is_hot(&world, 2));
    assert_int_equal(world.tier.op_count, 0);
    assert_int_equal(cold_count(&world, COUNTER_holds_now), 0);
}

static void a_commit_meanwhile_settles_those_who_wait(void **state)
{
    (void)state;
    cold_put(&world, 1);
    uint64_t asked = cold_ask(&world, &ONE, 1);
    (void)cold_step(&world);
    uint32_t slot = cold_commit(&world, 1);
    assert_int_equal(cold_answer(&world, asked)->status, STATUS_OK);
    assert_true(hold_is(&world.blocks->holds, slot));
    arrive();
    /* The read's own slot came home. */
    assert_int_equal(fixture_find(&world.fixture, 1), slot);
    assert_int_equal(cold_count(&world, COUNTER_slots_hot), 1);
    assert_int_equal(cold_count(&world, COUNTER_fetches), 0);
}

static void a_commit_meanwhile_ends_a_read_that_did_not_begin(void **state)
{
    (void)state;
    cold_put(&world, 1);
    uint64_t asked = cold_ask(&world, &ONE, 1);
    cold_commit(&world, 1);
    assert_int_equal(cold_answer(&world, asked)->hot, 1);
    (void)cold_step(&world);
    assert_int_equal(world.tier.loads, 0);
}

static void whoever_waits_for_the_claim_has_the_block_too(void **state)
{
    (void)state;
    struct claims *claims = &world.blocks->claims;
    struct key key = fixture_key(1);
    struct claim_waiter waiter = {.session = 3, .deadline_ns = UINT64_MAX};
    cold_put(&world, 1);
    assert_int_equal(claim_take(claims, &key, COLD_SPACE, 2, 1, 2), STATUS_MINE);
    assert_int_equal(claim_wait(claims, &key, COLD_SPACE, &waiter), STATUS_PENDING);
    (void)cold_ask(&world, &ONE, 1);
    (void)cold_step(&world);
    arrive();
    assert_int_equal(world.claims_ok, 1);
}

static void a_session_has_no_more_under_way_than_its_pins_could_hold(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 6; i++) {
        cold_put(&world, i);
    }
    struct fetch_ask ask = {.session = 1, .blocks = 6, .quota = 4};
    uint64_t asked = cold_ask(&world, &ask, 1);
    (void)cold_step(&world);
    arrive();
    assert_int_equal(cold_answer(&world, asked)->hot, 4);
    assert_int_equal(hold_count(&world.blocks->holds, 1), 4);
    assert_int_equal(cold_count(&world, COUNTER_fetches_refused), 2);
    /* What is held counts until it is let go. */
    ask.blocks = 1;
    asked = cold_ask(&world, &ask, 5);
    assert_int_equal(cold_answer(&world, asked)->hot, 0);
}

static void a_pool_full_of_pins_refuses_and_answers(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 16; i++) {
        fixture_pin(&world.fixture, i, cold_commit(&world, 100 + i));
    }
    cold_put(&world, 1);
    uint64_t asked = cold_ask(&world, &ONE, 1);
    (void)cold_step(&world);
    assert_int_equal(cold_answer(&world, asked)->status, STATUS_MISS);
    assert_int_equal(cold_count(&world, COUNTER_fetches_refused), 1);
    assert_int_equal(world.tier.loads, 0);
    for (uint64_t i = 0; i < 16; i++) {
        assert_true(cold_is_hot(&world, 100 + i));
        fixture_unpin(&world.fixture, (uint32_t)i);
    }
}

static void a_fetch_makes_room_by_eviction(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 16; i++) {
        cold_commit(&world, 100 + i);
    }
    cold_put(&world, 1);
    uint64_t asked = cold_ask(&world, &ONE, 1);
    (void)cold_step(&world);
    arrive();
    assert_int_equal(cold_answer(&world, asked)->hot, 1);
    assert_false(cold_is_hot(&world, 100));
}

static void a_fetch_waits_for_copies_of_what_it_would_push_out(void **state)
{
    (void)state;
    world.blocks->spills.always = true;
    for (uint64_t i = 0; i < 16; i++) {
        cold_commit(&world, 100 + i);
    }
    cold_put(&world, 1);
    uint64_t asked = cold_ask(&world, &ONE, 1);
    (void)cold_step(&world);
    assert_int_equal(world.tier.loads, 0);
    assert_true(world.tier.stores > 0);
    assert_int_equal(cold_count(&world, COUNTER_evictions), 0);
    arrive(); /* the copies */
    arrive(); /* the block, in the place of one of them */
    assert_int_equal(cold_answer(&world, asked)->hot, 1);
    assert_int_equal(cold_count(&world, COUNTER_spills_missed), 0);
    world.blocks->spills.always = false;
    arrive();
}

static void the_last_hot_block_before_a_batch_stays_with_it(void **state)
{
    (void)state;
    struct fetch_batches *batches = &world.blocks->fetches.batches;
    struct fetch_means means = cold_means(&world);
    struct fetch_ask ask = {.session = 1, .blocks = 1, .quota = 9, .hold_ns = COLD_HOLD};
    ask.deadline_ns = UINT64_MAX;
    uint32_t before = cold_commit(&world, 1);
    cold_put(&world, 2);
    uint32_t batch = fetch_batch_begin(batches, &ask);
    struct fetch_want want = {.key = fixture_key(2),
        .parent = fixture_key(1),
        .has_parent = true,
        .space = COLD_SPACE,
        .class = world.class};
    fetch_block(world.blocks, batch, &want, &means);
    fetch_batch_close(batches, batch, &means.answers);
    assert_true(hold_is(&world.blocks->holds, before));
    (void)cold_step(&world);
    arrive();
}

static void hint(uint64_t number, uint32_t session)
{
    struct fetch_want want = {
        .key = fixture_key(number), .space = COLD_SPACE, .class = world.class};
    fetch_ahead(world.blocks, session, &want, world.now_ns + 1000 * COLD_MS);
}

static void a_prefetch_is_neither_answered_nor_held_and_evicts_nothing(void **state)
{
    (void)state;
    cold_put(&world, 1);
    cold_put(&world, 2);
    hint(1, 1);
    hint(1, 1);
    (void)cold_step(&world);
    arrive();
    assert_true(cold_is_hot(&world, 1));
    assert_int_equal(cold_count(&world, COUNTER_holds_now), 0);
    assert_int_equal(world.tier.loads, 1);
    for (uint64_t i = 0; i < 15; i++) {
        cold_commit(&world, 100 + i);
    }
    hint(2, 1);
    (void)cold_step(&world);
    assert_int_equal(world.tier.loads, 1);
    assert_int_equal(cold_count(&world, COUNTER_evictions), 0);
    assert_int_equal(cold_count(&world, COUNTER_fetches_refused), 1);
    assert_int_equal(world.heard_count, 0);
}

static void who_waits_goes_before_who_only_hinted(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 3; i++) {
        cold_put(&world, i);
    }
    world.tier.depth = 1;
    hint(1, 1);
    hint(2, 1);
    uint64_t asked = cold_ask(&world, &ONE, 3);
    /* And a hint that somebody waits for by now is a hint no more. */
    uint64_t joined = cold_ask(&world, &ONE, 2);
    (void)cold_step(&world);
    arrive();
    assert_non_null(cold_answer(&world, asked));
    assert_null(cold_answer(&world, joined));
    assert_false(cold_is_hot(&world, 1));
    arrive();
    assert_non_null(cold_answer(&world, joined));
    assert_false(cold_is_hot(&world, 1));
    arrive();
    assert_true(cold_is_hot(&world, 1));
}

static void hints_of_a_dead_session_are_forgotten(void **state)
{
    (void)state;
    cold_put(&world, 1);
    cold_put(&world, 2);
    hint(1, 1);
    hint(2, 2);
    fetch_drop(world.blocks, 1);
    (void)cold_step(&world);
    arrive();
    assert_false(cold_is_hot(&world, 1));
    assert_true(cold_is_hot(&world, 2));
}

static void without_tiers_hot_blocks_are_held_and_others_missing(void **state)
{
    (void)state;
    uint32_t slot = cold_commit(&world, 1);
    cold_attach(world.blocks, NULL, NULL);
    uint64_t asked = cold_ask(&world, &(struct fetch_ask){.session = 1, .blocks = 2}, 1);
    assert_int_equal(cold_answer(&world, asked)->hot, 1);
    assert_true(hold_is(&world.blocks->holds, slot));
    hint(9, 1);
    assert_false(cold_step(&world));
}

#define IN_WORLD(test) \
    cmocka_unit_test_prestate_setup_teardown(test, cold_set_up, cold_tear_down, &world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(one_read_serves_all_sessions_that_ask),
        IN_WORLD(what_nobody_has_is_answered_at_once_and_takes_no_slot),
        IN_WORLD(the_answer_counts_the_hot_blocks_at_the_start),
        IN_WORLD(what_came_stays_until_it_was_touched),
        IN_WORLD(a_hold_ends_with_its_time_or_its_session),
        IN_WORLD(a_late_batch_is_answered_and_its_block_comes_all_the_same),
        IN_WORLD(a_dead_session_is_not_answered_and_its_reads_go_on),
        IN_WORLD(a_commit_meanwhile_settles_those_who_wait),
        IN_WORLD(a_commit_meanwhile_ends_a_read_that_did_not_begin),
        IN_WORLD(whoever_waits_for_the_claim_has_the_block_too),
        IN_WORLD(a_session_has_no_more_under_way_than_its_pins_could_hold),
        IN_WORLD(a_pool_full_of_pins_refuses_and_answers),
        IN_WORLD(a_fetch_makes_room_by_eviction),
        IN_WORLD(a_fetch_waits_for_copies_of_what_it_would_push_out),
        IN_WORLD(the_last_hot_block_before_a_batch_stays_with_it),
        IN_WORLD(a_prefetch_is_neither_answered_nor_held_and_evicts_nothing),
        IN_WORLD(who_waits_goes_before_who_only_hinted),
        IN_WORLD(hints_of_a_dead_session_are_forgotten),
        IN_WORLD(without_tiers_hot_blocks_are_held_and_others_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
