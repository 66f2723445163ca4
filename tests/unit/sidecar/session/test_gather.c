/* gather: requests become batches; broken ones cost their sender alone; answers always find room.
 * */
#include "tests/unit/sidecar/session/gather_world.h"

static void two_clients_fetch_one_prefix_with_one_read_a_block(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 3; i++) {
        put_cold(i);
    }
    ask(&player, 0, 7, 1, 3, 0, 0);
    ask(&other, 1, 8, 1, 3, 0, 0);
    step();
    assert_true(is_silent(&player, 0));
    arrive();
    struct reply reply = hear(&player, 0);
    assert_int_equal(reply.type, REPLY_FETCH);
    assert_int_equal(reply.cookie, 7);
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(reply.flags, REPLY_LAST);
    assert_int_equal(reply.slot, 3);
    assert_int_equal(hear(&other, 1).slot, 3);
    assert_true(is_silent(&player, 0) && is_silent(&other, 1));
    assert_int_equal(tier.loads, 3);
    assert_true(player_sees(&player, 3));
    uint32_t place = session_place(player.session);
    assert_int_equal(hold_count(&world.blocks.holds, place), 3);
}

static void a_touch_lets_go(void **state)
{
    (void)state;
    put_cold(1);
    ask(&player, 0, 7, 1, 1, 0, 0);
    arrive();
    struct key key = world_key(1);
    uint32_t slot = admit_find(&world.blocks, &key, (uint16_t)player.welcome.space);
    assert_true(hold_is(&world.blocks.holds, slot));
    struct player_seat *seat = &player.seats[0];
    lane_touch(&seat->lane, &seat->touch_tail, slot);
    lane_touch_publish(&seat->lane, seat->touch_tail);
    assert_int_equal(touch_drain(&world.table), 1);
    assert_false(hold_is(&world.blocks.holds, slot));
}

static void events_are_answered_in_the_event_ring(void **state)
{
    (void)state;
    struct reply reply;
    put_cold(1);
    ask(&player, 0, 7, 1, 2, 0, REQUEST_EVENT);
    arrive();
    assert_true(is_silent(&player, 0));
    assert_true(player_hear_event(&player, &reply));
    assert_int_equal(reply.type, REPLY_FETCH);
    assert_int_equal(reply.status, STATUS_MISS);
    assert_int_equal(reply.slot, 1);
}

static void parts_come_before_the_end_and_name_their_block(void **state)
{
    (void)state;
    player_put(&player, 1);
    put_cold(2);
    put_cold(3);
    ask(&player, 0, 7, 1, 3, 512, 0);
    struct reply reply = hear(&player, 0);
    assert_int_equal(reply.type, REPLY_PART);
    assert_int_equal(reply.number, 0);
    assert_int_equal(reply.bytes, WORLD_SLOT);
    step();
    double_part(&tier, 0, 512);
    step();
    reply = hear(&player, 0);
    assert_int_equal(reply.type, REPLY_PART);
    assert_int_equal(reply.number, 1);
    assert_int_equal(reply.cookie, 7);
    assert_int_equal(reply.bytes, 512);
    uint64_t word = slot_load_state(&world.blocks.index.lines[reply.slot]);
    assert_int_equal(word, slot_word(reply.generation, SLOT_LOADING));
    arrive();
    reply = hear(&player, 0);
    assert_int_equal(reply.number, 2);
    assert_int_equal(hear(&player, 0).type, REPLY_FETCH);
    assert_true(is_silent(&player, 0));
}

static void a_count_that_does_not_go_down_refuses_the_batch_at_its_end(void **state)
{
    (void)state;
    put_cold(1);
    struct request request = fetch_of(7, 1, 5);
    player_ask(&player, 0, &request);
    request.count = 3;
    player_ask(&player, 0, &request);
    (void)dispatch_turn(&world.table);
    assert_int_equal(world_count(&world, COUNTER_requests_bad), 1);
    assert_true(is_silent(&player, 0));
    request.count = 0;
    struct reply reply = player_call(&player, 0, &request);
    assert_int_equal(reply.type, REPLY_FETCH);
    assert_int_equal(reply.status, STATUS_INVALID);
    /* And nobody reads for it. */
    step();
    assert_int_equal(tier.loads, 0);
    ask(&player, 0, 8, 1, 1, 0, 0);
    arrive();
    assert_int_equal(hear(&player, 0).status, STATUS_OK);
}

static void sizes_out_of_range_are_refused(void **state)
{
    (void)state;
    struct request request = fetch_of(7, 1, REQUEST_FETCH_MAX);
    player_ask(&player, 0, &request);
    (void)dispatch_turn(&world.table);
    request.count = 0;
    assert_int_equal(player_call(&player, 0, &request).status, STATUS_INVALID);
    request = fetch_of(8, 1, 0);
    request.bytes = WORLD_SLOT + 1;
    assert_int_equal(player_call(&player, 0, &request).status, STATUS_INVALID);
    request = fetch_of(9, 1, REQUEST_PARTS_MAX);
    request.bytes = 1;
    player_ask(&player, 0, &request);
    (void)dispatch_turn(&world.table);
    request.count = 0;
    assert_int_equal(player_call(&player, 0, &request).status, STATUS_INVALID);
    request = fetch_of(10, 1, 0);
    request.bytes = 1;
    request.flags = REQUEST_EVENT;
    player_ask(&player, 0, &request);
    (void)dispatch_turn(&world.table);
    struct reply reply;
    assert_true(player_hear_event(&player, &reply));
    assert_int_equal(reply.status, STATUS_INVALID);
    assert_int_equal(world_count(&world, COUNTER_requests_bad), 4);
}

static void half_a_batch_is_forgotten_when_the_seat_begins_another(void **state)
{
    (void)state;
    put_cold(1);
    put_cold(2);
    struct request request = fetch_of(7, 1, 5);
    player_ask(&player, 0, &request);
    (void)dispatch_turn(&world.table);
    struct request fence = {.type = REQUEST_FENCE, .cookie = 9};
    (void)player_call(&player, 0, &fence);
    ask(&player, 0, 8, 2, 1, 0, 0);
    arrive();
    assert_int_equal(hear(&player, 0).cookie, 8);
    assert_true(is_silent(&player, 0));
    assert_int_equal(world.blocks.fetches.batches.sessions[session_place(player.session)].count, 0);
    assert_false(player_sees(&player, 1));
    assert_int_equal(world_count(&world, COUNTER_requests_bad), 0);
}

static void a_cancel_is_silent_also_half_way(void **state)
{
    (void)state;
    put_cold(1);
    struct request cancel = {.type = REQUEST_CANCEL, .cookie = 7};
    ask(&player, 0, 7, 1, 1, 0, 0);
    player_ask(&player, 0, &cancel);
    (void)dispatch_turn(&world.table);
    cancel.cookie = 8;
    struct request request = fetch_of(8, 1, 3);
    player_ask(&player, 0, &request);
    player_ask(&player, 0, &cancel);
    (void)dispatch_turn(&world.table);
    arrive();
    pass(2 * TIMEOUT);
    assert_true(is_silent(&player, 0));
    assert_int_equal(world.blocks.fetches.batches.sessions[session_place(player.session)].count, 0);
}

static void late_is_a_miss_and_bounded_by_the_server(void **state)
{
    (void)state;
    put_cold(1);
    struct request request = fetch_of(7, 1, 0);
    request.timeout_ns = UINT64_MAX;
    player_ask(&player, 0, &request);
    (void)dispatch_turn(&world.table);
    step();
    pass(world.config.fetch_max_ns - 1);
    assert_true(is_silent(&player, 0));
    pass(1);
    struct reply reply = hear(&player, 0);
    assert_int_equal(reply.status, STATUS_MISS);
    assert_int_equal(reply.slot, 0);
    arrive();
    assert_true(player_sees(&player, 1));
}

static void hints_are_not_answered(void **state)
{
    (void)state;
    put_cold(1);
    ask(&player, 0, 7, 1, 2, 0, REQUEST_AHEAD);
    arrive();
    assert_true(is_silent(&player, 0));
    assert_true(player_sees(&player, 1));
    assert_int_equal(world_count(&world, COUNTER_fetches_ahead), 2);
    assert_int_equal(world_count(&world, COUNTER_holds_now), 0);
}

static void a_commit_by_another_answers_who_fetches(void **state)
{
    (void)state;
    put_cold(5);
    ask(&player, 0, 7, 5, 1, 0, 0);
    step();
    player_put(&other, 5);
    assert_int_equal(hear(&player, 0).slot, 1);
}

static void a_revoked_client_is_forgotten_in_the_middle(void **state)
{
    (void)state;
    put_cold(1);
    put_cold(2);
    ask(&player, 0, 7, 1, 1, 0, 0);
    ask(&other, 0, 8, 1, 1, 0, 0);
    step();
    uint32_t place = session_place(player.session);
    session_revoke(player.session, "test");
    arrive();
    assert_true(is_silent(&player, 0));
    assert_int_equal(hear(&other, 0).slot, 1);
    assert_int_equal(hold_count(&world.blocks.holds, place), 0);
    session_end(player.session, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRUSTED(two_clients_fetch_one_prefix_with_one_read_a_block),
        ISOLATED(two_clients_fetch_one_prefix_with_one_read_a_block),
        TRUSTED(a_touch_lets_go),
        TRUSTED(events_are_answered_in_the_event_ring),
        TRUSTED(parts_come_before_the_end_and_name_their_block),
        ISOLATED(parts_come_before_the_end_and_name_their_block),
        TRUSTED(a_count_that_does_not_go_down_refuses_the_batch_at_its_end),
        TRUSTED(sizes_out_of_range_are_refused),
        TRUSTED(half_a_batch_is_forgotten_when_the_seat_begins_another),
        TRUSTED(a_cancel_is_silent_also_half_way),
        TRUSTED(late_is_a_miss_and_bounded_by_the_server),
        TRUSTED(hints_are_not_answered),
        TRUSTED(a_commit_by_another_answers_who_fetches),
        ISOLATED(a_commit_by_another_answers_who_fetches),
        TRUSTED(a_revoked_client_is_forgotten_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
