/* dispatch: requests come in order, a bounded number a turn, and nobody can hold up the others. */
#include "tests/unit/sidecar/session/world.h"

#include <string.h>

#define EXTENTS 16u
#define A_SEAT 32u /* requests of a seat in one turn */

static struct world world;
static struct player one;
static struct player two;

static int setup(void **state)
{
    (void)state;
    struct hello hello = world_hello("a");
    world_open(&world, EXTENTS);
    hello.seats = 2;
    player_enter(&one, &world, &hello);
    player_enter(&two, &world, &hello);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_check(&world);
    player_leave(&one);
    player_leave(&two);
    world_close(&world);
    return 0;
}

static void ask_fences(struct player *player, uint32_t seat, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct request fence = {.type = REQUEST_FENCE, .cookie = i};
        player_ask(player, seat, &fence);
    }
}

static uint32_t hear_all(struct player *player, uint32_t seat)
{
    uint32_t count = 0;
    struct reply reply;
    while (player_hear(player, seat, &reply)) {
        count++;
    }
    return count;
}

static void answers_come_in_the_order_of_the_requests(void **state)
{
    (void)state;
    struct reply reply;
    ask_fences(&one, 0, LANE_REQUESTS);
    for (uint32_t i = 0; i < LANE_REQUESTS; i++) {
        if (i % A_SEAT == 0) {
            assert_int_equal(dispatch_turn(&world.table), A_SEAT);
        }
        assert_true(player_hear(&one, 0, &reply));
        assert_int_equal(reply.type, REPLY_FENCE);
        assert_int_equal(reply.cookie, i);
    }
    assert_false(player_hear(&one, 0, &reply));
    assert_int_equal(dispatch_turn(&world.table), 0);
    assert_int_equal(world_count(&world, COUNTER_requests), LANE_REQUESTS);
}

static void a_turn_is_bounded_for_each_seat(void **state)
{
    (void)state;
    ask_fences(&one, 0, 3 * A_SEAT);
    ask_fences(&one, 1, 3);
    ask_fences(&two, 0, 2);
    assert_int_equal(dispatch_turn(&world.table), A_SEAT + 3 + 2);
    assert_int_equal(hear_all(&one, 0), A_SEAT);
    assert_int_equal(hear_all(&one, 1), 3);
    assert_int_equal(hear_all(&two, 0), 2);
    assert_true(dispatch_pending(&world.table));
    assert_int_equal(dispatch_turn(&world.table), A_SEAT);
    assert_int_equal(dispatch_turn(&world.table), A_SEAT);
    assert_false(dispatch_pending(&world.table));
}

static void a_seat_that_is_new_is_seen_in_the_next_turn(void **state)
{
    (void)state;
    struct lane_client_header *header = one.lane_client.base;
    assert_int_equal(dispatch_turn(&world.table), 0);
    assert_int_equal(one.session->seats_used, 2);
    /* It only rises: a client that lowers it is still served. */
    shared32_store_release(&header->seats_used, 0);
    ask_fences(&one, 1, 1);
    assert_true(dispatch_pending(&world.table));
    assert_int_equal(dispatch_turn(&world.table), 1);
    shared32_store_release(&header->seats_used, UINT32_MAX);
    assert_int_equal(dispatch_turn(&world.table), 0);
    assert_int_equal(one.session->seats_used, 2);
}

static void a_wild_tail_ends_the_service_of_its_client_alone(void **state)
{
    (void)state;
    (void)player_borrow(&one, 0);
    ask_fences(&two, 0, 1);
    shared32_store_release(&one.seats[1].lane.client->request_tail, LANE_REQUESTS + 1);
    assert_true(dispatch_pending(&world.table));
    assert_int_equal(dispatch_turn(&world.table), 1);
    assert_int_equal(one.session->state, SESSION_REVOKED);
    assert_int_equal(one.session->lent.count, 1);
    assert_int_equal(world_count(&world, COUNTER_lanes_bad), 1);
    assert_int_equal(hear_all(&two, 0), 1);
    ask_fences(&one, 0, 1);
    ask_fences(&two, 0, 1);
    assert_int_equal(dispatch_turn(&world.table), 1);
    assert_false(dispatch_pending(&world.table));
    session_end(one.session, false);
    one.session = NULL;
}

/* The tail is a ring ahead to the last entry: legal, and all of it is served. */
static void a_full_ring_is_no_wild_one(void **state)
{
    (void)state;
    ask_fences(&one, 0, LANE_REQUESTS);
    assert_int_equal(ring_room(&one.seats[0].requests, 1), 0);
    while (dispatch_turn(&world.table) > 0) {
    }
    assert_int_equal(hear_all(&one, 0), LANE_REQUESTS);
    assert_int_equal(one.session->state, SESSION_ATTACHED);
    assert_int_equal(world_count(&world, COUNTER_lanes_bad), 0);
}

static void who_does_not_read_replies_is_not_served_and_others_are(void **state)
{
    (void)state;
    ask_fences(&one, 0, LANE_REQUESTS);
    while (dispatch_turn(&world.table) > 0) {
    }
    /* The reply ring is full. */
    ask_fences(&one, 0, 3);
    ask_fences(&one, 1, 1);
    ask_fences(&two, 0, 2);
    assert_int_equal(dispatch_turn(&world.table), 3);
    assert_int_equal(hear_all(&two, 0), 2);
    assert_int_equal(hear_all(&one, 1), 1);
    /* Nor does it keep the server awake. */
    assert_int_equal(dispatch_turn(&world.table), 0);
    assert_false(dispatch_pending(&world.table));
    /* Until it reads: then nothing was lost. */
    struct reply reply;
    assert_true(player_hear(&one, 0, &reply));
    assert_true(player_hear(&one, 0, &reply));
    assert_true(dispatch_pending(&world.table));
    assert_int_equal(dispatch_turn(&world.table), 2);
    assert_false(dispatch_pending(&world.table));
    assert_int_equal(hear_all(&one, 0), LANE_REQUESTS);
    assert_true(dispatch_pending(&world.table));
    assert_int_equal(dispatch_turn(&world.table), 1);
    assert_int_equal(hear_all(&one, 0), 1);
}

/* A head that runs wild says nothing about room. */
static void a_wild_reply_head_counts_as_a_full_ring(void **state)
{
    (void)state;
    ask_fences(&one, 0, LANE_REPLIES - 10);
    while (dispatch_turn(&world.table) > 0) {
    }
    shared32_store_release(&one.seats[0].lane.client->reply_head, UINT32_MAX / 2);
    ask_fences(&one, 0, 12);
    ask_fences(&two, 0, 1);
    assert_int_equal(dispatch_turn(&world.table), 10 + 1);
    assert_int_equal(dispatch_turn(&world.table), 0);
    assert_int_equal(hear_all(&two, 0), 1);
}

/* A request for many slots waits for room for all its answers. */
static void a_large_grant_waits_for_room_for_all_its_replies(void **state)
{
    (void)state;
    struct reply reply;
    struct request grant = {.type = REQUEST_GRANT, .count = UINT32_MAX, .cookie = 7};
    ask_fences(&one, 0, LANE_REPLIES - LANE_REPLIES / 2);
    while (dispatch_turn(&world.table) > 0) {
    }
    player_ask(&one, 0, &grant);
    assert_int_equal(dispatch_turn(&world.table), 0);
    assert_int_equal(one.session->lent.count, 0);
    assert_true(player_hear(&one, 0, &reply));
    assert_int_equal(dispatch_turn(&world.table), 1);
    assert_int_equal(one.session->lent.count, one.welcome.grants);
    (void)hear_all(&one, 0);
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_WORLD(answers_come_in_the_order_of_the_requests),
        IN_WORLD(a_turn_is_bounded_for_each_seat),
        IN_WORLD(a_seat_that_is_new_is_seen_in_the_next_turn),
        IN_WORLD(a_wild_tail_ends_the_service_of_its_client_alone),
        IN_WORLD(a_full_ring_is_no_wild_one),
        IN_WORLD(who_does_not_read_replies_is_not_served_and_others_are),
        IN_WORLD(a_wild_reply_head_counts_as_a_full_ring),
        IN_WORLD(a_large_grant_waits_for_room_for_all_its_replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
