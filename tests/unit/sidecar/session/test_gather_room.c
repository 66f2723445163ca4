/* gather: too much is refused, and each refusal and each answer finds room in the reply ring. */
#include "tests/unit/sidecar/session/gather_world.h"

static void too_many_batches_are_refused_each_with_an_answer(void **state)
{
    (void)state;
    put_cold(1);
    for (uint64_t i = 0; i < FETCH_BATCH_A_SESSION + 3; i++) {
        ask(&player, 0, 100 + i, 1, 2, 0, 0);
    }
    for (uint32_t i = 0; i < 3; i++) {
        struct reply reply = hear(&player, 0);
        assert_int_equal(reply.status, STATUS_LIMIT);
        assert_int_equal(reply.cookie, 100 + FETCH_BATCH_A_SESSION + i);
    }
    arrive();
    for (uint32_t i = 0; i < FETCH_BATCH_A_SESSION; i++) {
        assert_int_equal(hear(&player, 0).slot, 1);
    }
    assert_true(is_silent(&player, 0));
}

static void owed_answers_find_room_in_a_full_ring(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 100; i++) {
        put_cold(i);
    }
    ask(&player, 0, 7, 1, 100, 512, 0);
    step();
    /* A second one with so many parts would owe too much. */
    ask(&player, 0, 8, 1, 100, 512, 0);
    struct reply reply = hear(&player, 0);
    assert_int_equal(reply.cookie, 8);
    assert_int_equal(reply.status, STATUS_LIMIT);
    /* The client reads nothing and asks on: its requests are not handled beyond the owed room. */
    struct request fence = {.type = REQUEST_FENCE, .cookie = 9};
    uint32_t sent = 0;
    for (; sent < LANE_REQUESTS; sent++) {
        player_ask(&player, 0, &fence);
    }
    for (uint32_t i = 0; i < 20; i++) {
        (void)dispatch_turn(&world.table);
    }
    assert_false(dispatch_pending(&world.table)); /* held: no reason to stay awake */
    arrive();
    uint32_t fences = 0;
    uint32_t parts = 0;
    uint32_t ends = 0;
    while (player_hear(&player, 0, &reply)) {
        fences += reply.type == REPLY_FENCE ? 1 : 0;
        parts += reply.type == REPLY_PART ? 1 : 0;
        ends += reply.type == REPLY_FETCH ? 1 : 0;
    }
    assert_int_equal(parts, 100);
    assert_int_equal(ends, 1);
    assert_int_equal(fences, LANE_REPLIES - 101);
    assert_true(dispatch_pending(&world.table));
    for (uint32_t i = 0; i < 20; i++) {
        (void)dispatch_turn(&world.table);
    }
    while (player_hear(&player, 0, &reply)) {
        fences++;
    }
    assert_int_equal(fences, sent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRUSTED(too_many_batches_are_refused_each_with_an_answer),
        TRUSTED(owed_answers_find_room_in_a_full_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
