/* test_claim: one computes, the others are told; every claim and every wait ends. */
#include "sidecar/block/claim.h"

#include "shm/status.h"

#include "tests/check.h"

#include <stdbool.h>

#define SESSIONS 8u
#define ANSWERS 512u

struct answer {
    uint32_t session;
    uint64_t cookie;
    int status;
};

struct world {
    struct arena arena;
    struct claims claims;
    _Atomic uint64_t counters[COUNTER_ROOM];
    struct answer answers[ANSWERS];
    uint32_t answer_count;
};

static void record(void *context, const struct claim_waiter *waiter, const struct key *key,
    uint16_t space, int status)
{
    struct world *world = context;
    assert_int_equal(key->word[0], key->word[3]);
    assert_int_equal(space, 1);
    assert_true(world->answer_count < ANSWERS);
    world->answers[world->answer_count++] =
        (struct answer){.session = waiter->session, .cookie = waiter->cookie, .status = status};
}

static struct claim_answers to(struct world *world)
{
    return (struct claim_answers){.answer = record, .context = world};
}

static void open_world(struct world *world, uint32_t claims_max, uint32_t waiters_max)
{
    struct claims_limits limits = {.sessions_max = SESSIONS,
        .claims_max = claims_max,
        .waiters_max = waiters_max,
        .claims_per_session = 3,
        .waits_per_session = 4,
        .seed = 9};
    *world = (struct world){0};
    assert_int_equal(arena_open(claim_arena_bytes(&limits), &world->arena), STATUS_OK);
    claim_open(&world->claims, &limits, world->counters, &world->arena);
}

static struct key key_of(uint64_t number)
{
    return (struct key){{number, 0, 0, number}};
}

static int take(struct world *world, uint64_t number, uint32_t session, uint64_t now_ns)
{
    struct key key = key_of(number);
    return claim_take(&world->claims, &key, 1, session, now_ns, now_ns + 100);
}

static int wait_for(
    struct world *world, uint64_t number, uint32_t session, uint64_t cookie, uint64_t deadline_ns)
{
    struct key key = key_of(number);
    struct claim_waiter waiter = {
        .session = session, .seat = 1, .cookie = cookie, .deadline_ns = deadline_ns};
    return claim_wait(&world->claims, &key, 1, &waiter);
}

static void done(struct world *world, uint64_t number)
{
    struct key key = key_of(number);
    struct claim_answers answers = to(world);
    claim_done(&world->claims, &key, 1, &answers);
}

static void expect(const struct world *world, uint32_t at, uint64_t cookie, int status)
{
    assert_true(at < world->answer_count);
    assert_int_equal(world->answers[at].cookie, cookie);
    assert_int_equal(world->answers[at].status, status);
}

static void test_first_asker_computes_and_all_are_told(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 8, 8);
    assert_int_equal(wait_for(&world, 5, 1, 10, 1000), STATUS_MISS);
    assert_int_equal(take(&world, 5, 0, 0), STATUS_MINE);
    assert_int_equal(take(&world, 5, 0, 0), STATUS_MINE);
    assert_int_equal(take(&world, 5, 1, 0), STATUS_OTHER);
    assert_int_equal(wait_for(&world, 5, 1, 11, 1000), STATUS_PENDING);
    assert_int_equal(wait_for(&world, 5, 2, 12, 1000), STATUS_PENDING);
    done(&world, 6);
    assert_int_equal(world.answer_count, 0);
    done(&world, 5);
    assert_int_equal(world.answer_count, 2);
    expect(&world, 0, 11, STATUS_OK);
    expect(&world, 1, 12, STATUS_OK);
    assert_int_equal(take(&world, 5, 1, 0), STATUS_MINE);
    assert_int_equal(counter_get(world.counters, COUNTER_claims), 2);
    assert_int_equal(counter_get(world.counters, COUNTER_waits), 2);
    arena_close(&world.arena);
}

static void test_released_passes_to_the_first_waiter(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 8, 8);
    struct claim_answers answers = to(&world);
    struct key key = key_of(5);
    take(&world, 5, 0, 0);
    wait_for(&world, 5, 1, 11, 1000);
    wait_for(&world, 5, 2, 12, 1000);
    assert_int_equal(claim_release(&world.claims, &key, 1, 1, 50, &answers), STATUS_MISS);
    assert_int_equal(claim_release(&world.claims, &key, 1, 0, 50, &answers), STATUS_OK);
    assert_int_equal(world.answer_count, 1);
    expect(&world, 0, 11, STATUS_MINE);
    assert_int_equal(take(&world, 5, 1, 50), STATUS_MINE);
    /* Its term starts anew. */
    assert_int_equal(claim_tick(&world.claims, 149, &answers), 150);
    done(&world, 5);
    expect(&world, 1, 12, STATUS_OK);
    assert_int_equal(counter_get(world.counters, COUNTER_claims_passed), 1);
    arena_close(&world.arena);
}

static void test_the_dead_leave_their_claims_to_the_living(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 8, 8);
    struct claim_answers answers = to(&world);
    take(&world, 5, 0, 0);
    take(&world, 6, 0, 0);
    take(&world, 7, 1, 0);
    wait_for(&world, 5, 0, 10, 1000); /* the dead one itself */
    wait_for(&world, 5, 1, 11, 1000);
    wait_for(&world, 7, 0, 12, 1000);
    claim_drop(&world.claims, 0, 0, &answers);
    assert_int_equal(world.answer_count, 1);
    expect(&world, 0, 11, STATUS_MINE);
    assert_int_equal(take(&world, 6, 2, 0), STATUS_MINE);
    done(&world, 7);
    assert_int_equal(world.answer_count, 1);
    claim_drop(&world.claims, 0, 0, &answers);
    arena_close(&world.arena);
}

static void test_late_waits_and_late_claims_end(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 8, 8);
    struct claim_answers answers = to(&world);
    assert_int_equal(claim_tick(&world.claims, 0, &answers), UINT64_MAX);
    take(&world, 5, 0, 0);
    wait_for(&world, 5, 1, 11, 40);
    wait_for(&world, 5, 2, 12, 500);
    assert_int_equal(claim_tick(&world.claims, 39, &answers), 40);
    assert_int_equal(world.answer_count, 0);
    assert_int_equal(claim_tick(&world.claims, 40, &answers), 100);
    expect(&world, 0, 11, STATUS_MISS);
    assert_int_equal(claim_tick(&world.claims, 100, &answers), 200);
    expect(&world, 1, 12, STATUS_MINE);
    assert_int_equal(claim_tick(&world.claims, 200, &answers), UINT64_MAX);
    assert_int_equal(world.answer_count, 2);
    assert_int_equal(take(&world, 5, 3, 200), STATUS_MINE);
    assert_int_equal(counter_get(world.counters, COUNTER_waits_late), 1);
    arena_close(&world.arena);
}

static void test_a_cancelled_wait_is_never_answered(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 8, 8);
    take(&world, 5, 0, 0);
    wait_for(&world, 5, 1, 11, 1000);
    wait_for(&world, 5, 1, 12, 1000);
    assert_int_equal(claim_cancel(&world.claims, 1, 2, 11), STATUS_MISS);
    assert_int_equal(claim_cancel(&world.claims, 2, 1, 11), STATUS_MISS);
    assert_int_equal(claim_cancel(&world.claims, 1, 1, 11), STATUS_OK);
    assert_int_equal(claim_cancel(&world.claims, 1, 1, 11), STATUS_MISS);
    done(&world, 5);
    assert_int_equal(world.answer_count, 1);
    expect(&world, 0, 12, STATUS_OK);
    arena_close(&world.arena);
}

static void test_limits_are_statuses(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 4, 5);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(take(&world, i, 0, 0), STATUS_MINE);
    }
    assert_int_equal(take(&world, 3, 0, 0), STATUS_LIMIT);
    assert_int_equal(take(&world, 3, 1, 0), STATUS_MINE);
    assert_int_equal(take(&world, 4, 2, 0), STATUS_LIMIT);
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(wait_for(&world, 0, 1, i, 1000), STATUS_PENDING);
    }
    assert_int_equal(wait_for(&world, 0, 1, 4, 1000), STATUS_LIMIT);
    assert_int_equal(wait_for(&world, 0, 2, 5, 1000), STATUS_PENDING);
    assert_int_equal(wait_for(&world, 0, 3, 6, 1000), STATUS_LIMIT);
    /* What ended makes room again. */
    done(&world, 0);
    assert_int_equal(take(&world, 4, 2, 0), STATUS_MINE);
    assert_int_equal(wait_for(&world, 4, 3, 7, 1000), STATUS_PENDING);
    arena_close(&world.arena);
}

/* Random calls on few keys: each wait that was accepted is answered once, or cancelled, or its
 * session died; and in the end nothing is left. */
static void test_every_wait_ends_once(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    struct world world;
    open_world(&world, 6, 10);
    struct claim_answers answers = to(&world);
    uint64_t open = 0;
    uint64_t now_ns = 0;
    for (int step = 0; step < 50000; step++) {
        uint64_t number = check_random(&seed) % 5;
        uint32_t session = (uint32_t)(check_random(&seed) % SESSIONS);
        struct key key = key_of(number);
        world.answer_count = 0;
        uint32_t waits = world.claims.sessions[session].wait_count;
        now_ns += check_random(&seed) % 20;
        switch (check_random(&seed) % 8) {
        case 0:
            done(&world, number);
            break;
        case 1:
            claim_release(&world.claims, &key, 1, session, now_ns, &answers);
            break;
        case 2:
            if (check_random(&seed) % 4 == 0) {
                claim_drop(&world.claims, session, now_ns, &answers);
                open -= waits;
                assert_int_equal(world.claims.sessions[session].claim_count, 0);
            }
            break;
        case 3:
            open -= claim_cancel(&world.claims, session, 1, number) == STATUS_OK;
            break;
        case 4:
            assert_true(claim_tick(&world.claims, now_ns, &answers) > now_ns);
            break;
        case 5:
            take(&world, number, session, now_ns);
            break;
        default:
            open += wait_for(&world, number, session, number, now_ns + check_random(&seed) % 200) ==
                    STATUS_PENDING;
            break;
        }
        open -= world.answer_count;
        uint64_t counted = 0;
        for (uint32_t i = 0; i < SESSIONS; i++) {
            counted += world.claims.sessions[i].wait_count;
        }
        assert_int_equal(open, counted);
    }
    world.answer_count = 0;
    for (uint32_t i = 0; i < SESSIONS; i++) {
        claim_drop(&world.claims, i, now_ns, &answers);
    }
    assert_int_equal(world.claims.deadlines.count, 0);
    arena_close(&world.arena);
}

static bool is_odd(void *context, uint32_t session)
{
    ++*(uint32_t *)context;
    return session % 2 == 1;
}

static bool done_where(struct world *world, uint64_t number, uint32_t *asked)
{
    struct key key = key_of(number);
    struct claim_answers answers = to(world);
    struct claim_filter filter = {.reads = is_odd, .context = asked};
    return claim_done_where(&world->claims, &key, 1, &filter, &answers);
}

static void give_up(struct world *world, uint64_t number, uint64_t now_ns)
{
    struct key key = key_of(number);
    struct claim_answers answers = to(world);
    claim_fail(&world->claims, &key, 1, now_ns, &answers);
}

static void test_where_not_all_can_read_the_others_wait_on(void **state)
{
    (void)state;
    struct world world;
    uint32_t asked = 0;
    open_world(&world, 8, 8);
    assert_false(done_where(&world, 1, &asked)); /* nobody claims it */
    assert_int_equal(take(&world, 1, 0, 0), STATUS_MINE);
    for (uint32_t session = 1; session < 6; session++) {
        assert_int_equal(wait_for(&world, 1, session, session, 50), STATUS_PENDING);
    }
    assert_true(done_where(&world, 1, &asked));
    assert_int_equal(asked, 5);
    assert_int_equal(world.answer_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(world.answers[i].session, 1 + 2 * i);
        assert_int_equal(world.answers[i].status, STATUS_OK);
    }
    assert_int_equal(take(&world, 1, 7, 0), STATUS_OTHER);
    /* Nothing changes for them until the block is where all can read it. */
    assert_true(done_where(&world, 1, &asked));
    assert_int_equal(world.answer_count, 3);
    done(&world, 1);
    assert_int_equal(world.answer_count, 5);
    assert_int_equal(world.answers[3].session, 2);
    assert_int_equal(world.answers[4].session, 4);
    /* With none left the claim is over. */
    assert_int_equal(take(&world, 1, 7, 0), STATUS_MINE);
    assert_int_equal(wait_for(&world, 1, 3, 9, 50), STATUS_PENDING);
    assert_false(done_where(&world, 1, &asked));
    assert_int_equal(world.answer_count, 6);
    assert_int_equal(take(&world, 1, 2, 0), STATUS_MINE);
    arena_close(&world.arena);
}

static void test_what_will_not_come_is_the_first_waiters_to_compute(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 8, 8);
    give_up(&world, 1, 0); /* nobody claims it */
    assert_int_equal(take(&world, 1, 0, 0), STATUS_MINE);
    assert_int_equal(wait_for(&world, 1, 2, 2, 50), STATUS_PENDING);
    assert_int_equal(wait_for(&world, 1, 4, 4, 50), STATUS_PENDING);
    give_up(&world, 1, 0);
    assert_int_equal(world.answer_count, 1);
    assert_int_equal(world.answers[0].session, 2);
    assert_int_equal(world.answers[0].status, STATUS_MINE);
    assert_int_equal(take(&world, 1, 2, 0), STATUS_MINE);
    give_up(&world, 1, 0);
    give_up(&world, 1, 0);
    assert_int_equal(world.answer_count, 2);
    assert_int_equal(take(&world, 1, 6, 0), STATUS_MINE);
    arena_close(&world.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_asker_computes_and_all_are_told),
        cmocka_unit_test(test_released_passes_to_the_first_waiter),
        cmocka_unit_test(test_the_dead_leave_their_claims_to_the_living),
        cmocka_unit_test(test_late_waits_and_late_claims_end),
        cmocka_unit_test(test_a_cancelled_wait_is_never_answered),
        cmocka_unit_test(test_limits_are_statuses),
        cmocka_unit_test(test_where_not_all_can_read_the_others_wait_on),
        cmocka_unit_test(test_what_will_not_come_is_the_first_waiters_to_compute),
        cmocka_unit_test(test_every_wait_ends_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
