/* reply: answers are in the ring at once; whoever sleeps is woken, and nobody is rung twice. */
#include "tests/unit/sidecar/session/world.h"

#include "shm/bell.h"
#include "sidecar/session/reply.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXTENTS 4u
#define LONG_NS UINT64_C(600000000000) /* longer than this program may run */

static struct world world;
static struct player claimer;
static struct player waiter;

static int setup(void **state)
{
    (void)state;
    struct hello hello = world_hello("a");
    world_open(&world, EXTENTS);
    hello.pins = 1;
    player_enter(&claimer, &world, &hello);
    player_enter(&waiter, &world, &hello);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_check(&world);
    player_leave(&claimer);
    player_leave(&waiter);
    world_close(&world);
    return 0;
}

/* Bytes that wait in the client's socket, taken. */
static uint32_t take_signals(struct player *player)
{
    uint32_t count = 0;
    char byte;
    while (recv(player->socket, &byte, 1, MSG_DONTWAIT) == 1) {
        count++;
    }
    assert_int_equal(errno, EAGAIN);
    return count;
}

/* One event for the waiter: a claim of `number`, waited for, and given up. */
static void cause_event(uint64_t number)
{
    struct request claim = {.type = REQUEST_CLAIM, .key = world_key(number)};
    struct request unclaim = {.type = REQUEST_UNCLAIM, .key = world_key(number)};
    struct request wait = {.type = REQUEST_WAIT,
        .flags = REQUEST_EVENT,
        .cookie = number,
        .timeout_ns = WORLD_MS,
        .key = world_key(number)};
    (void)player_call(&claimer, 0, &claim);
    player_ask(&waiter, 0, &wait);
    (void)dispatch_turn(&world.table);
    player_ask(&claimer, 0, &unclaim);
    (void)dispatch_turn(&world.table);
    /* The waiter has the claim now: it gives it up too. */
    player_ask(&waiter, 0, &unclaim);
    (void)dispatch_turn(&world.table);
}

static void an_event_rings_once_until_the_client_caught_up(void **state)
{
    (void)state;
    struct reply reply;
    cause_event(1);
    assert_int_equal(take_signals(&waiter), 1);
    cause_event(2); /* it has not read the first: no second byte */
    cause_event(3);
    assert_int_equal(take_signals(&waiter), 0);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_true(player_hear_event(&waiter, &reply));
        assert_int_equal(reply.type, REPLY_WAIT);
        assert_int_equal(reply.cookie, i);
        assert_int_equal(reply.status, STATUS_MINE);
    }
    assert_false(player_hear_event(&waiter, &reply));
    cause_event(4); /* it caught up */
    assert_int_equal(take_signals(&waiter), 1);
    assert_false(player_hear(&waiter, 0, &reply)); /* nothing in the other ring */
    assert_int_equal(take_signals(&claimer), 0);
}

/* Up to the signal read, but not to the end: the client looks again by itself, or is rung. */
static void a_client_that_read_up_to_the_signal_is_rung_for_what_comes_next(void **state)
{
    (void)state;
    struct reply reply;
    cause_event(1);
    cause_event(2);
    assert_int_equal(take_signals(&waiter), 1);
    assert_true(player_hear_event(&waiter, &reply));
    cause_event(3);
    assert_int_equal(take_signals(&waiter), 1);
}

static void an_immediate_answer_goes_where_it_was_asked_to(void **state)
{
    (void)state;
    struct reply reply;
    struct request wait = {.type = REQUEST_WAIT,
        .flags = REQUEST_EVENT,
        .cookie = 9,
        .timeout_ns = WORLD_MS,
        .key = world_key(1)};
    player_ask(&waiter, 0, &wait);
    (void)dispatch_turn(&world.table);
    assert_true(player_hear_event(&waiter, &reply));
    assert_int_equal(reply.status, STATUS_MISS);
    assert_int_equal(reply.cookie, 9);
    assert_int_equal(take_signals(&waiter), 1);
}

static void a_full_ring_loses_the_answer_and_nothing_else(void **state)
{
    (void)state;
    struct reply answer = {.type = REPLY_WAIT, .cookie = 1};
    struct reply reply;
    for (uint32_t i = 0; i < LANE_REPLIES + 5; i++) {
        answer.cookie = i;
        reply_send(waiter.session, 0, &answer);
    }
    for (uint32_t i = 0; i < LANE_REPLIES; i++) {
        assert_true(player_hear(&waiter, 0, &reply));
        assert_int_equal(reply.cookie, i);
    }
    assert_false(player_hear(&waiter, 0, &reply));
    reply_send(waiter.session, 0, &answer);
    assert_true(player_hear(&waiter, 0, &reply));
}

static void a_session_that_is_gone_or_revoked_gets_no_answer(void **state)
{
    (void)state;
    struct claim_answers answers = reply_answers(&world.table);
    struct key key = world_key(1);
    struct claim_waiter gone = {.session = SESSION_PLACES - 1};
    struct claim_waiter revoked = {.session = session_place(waiter.session)};
    struct reply reply;
    answers.answer(answers.context, &gone, &key, 1, STATUS_OK);
    session_revoke(waiter.session, "test");
    answers.answer(answers.context, &revoked, &key, 1, STATUS_OK);
    assert_false(player_hear(&waiter, 0, &reply));
}

/* A client's thread: sleeps on its reply tail as the library does, and says when it woke. */
struct sleeper {
    struct lane_seat lane;
    uint32_t seen_tail;
    _Atomic uint32_t thread;
};

static void *sleep_on_tail(void *context)
{
    struct sleeper *sleeper = context;
    bell_announce(&sleeper->lane.client->sleeping, 1);
    shared32_store_release(&sleeper->thread, (uint32_t)gettid());
    if (shared32_load_acquire(&sleeper->lane.server->reply_tail) == 0) {
        bell_sleep(&sleeper->lane.server->reply_tail, 0, LONG_NS);
    }
    bell_awake(&sleeper->lane.client->sleeping, 0);
    sleeper->seen_tail = shared32_load_acquire(&sleeper->lane.server->reply_tail);
    return NULL;
}

/* Wait until the kernel says that the thread sleeps: only then is a wake needed. */
static void await_sleep(const struct sleeper *sleeper)
{
    char path[64];
    char text[512];
    bool asleep = false;
    for (uint32_t i = 0; !asleep && i < 10000000; i++) {
        (void)snprintf(
            path, sizeof path, "/proc/self/task/%u/stat", shared32_load_acquire(&sleeper->thread));
        int fd = open(path, O_RDONLY);
        if (fd >= 0) {
            ssize_t bytes = read(fd, text, sizeof text - 1);
            (void)close(fd);
            text[bytes < 0 ? 0 : bytes] = '\0';
            const char *name_end = strrchr(text, ')');
            asleep = name_end != NULL && strncmp(name_end, ") S", 3) == 0;
        }
    }
    assert_true(asleep);
}

/* If the wake were forgotten, the thread would sleep on, and the test time out. */
static void a_sleeping_thread_is_woken_by_its_answer(void **state)
{
    (void)state;
    pthread_t thread;
    struct sleeper sleeper = {.lane = waiter.seats[0].lane};
    struct request fence = {.type = REQUEST_FENCE, .cookie = 1};
    (void)dispatch_turn(&world.table);
    assert_int_equal(pthread_create(&thread, NULL, sleep_on_tail, &sleeper), 0);
    await_sleep(&sleeper);
    player_ask(&waiter, 0, &fence);
    assert_int_equal(dispatch_turn(&world.table), 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sleeper.seen_tail, 1);
}

/* Answers that no request of the turn caused, as by a deadline. */
static void an_answer_outside_a_turn_wakes_as_well(void **state)
{
    (void)state;
    pthread_t thread;
    struct sleeper sleeper = {.lane = waiter.seats[0].lane};
    struct claim_answers answers = reply_answers(&world.table);
    struct request claim = {.type = REQUEST_CLAIM, .key = world_key(1)};
    struct request wait = {.type = REQUEST_WAIT, .timeout_ns = WORLD_MS, .key = world_key(1)};
    (void)player_call(&claimer, 0, &claim);
    player_ask(&waiter, 0, &wait);
    (void)dispatch_turn(&world.table);
    assert_int_equal(pthread_create(&thread, NULL, sleep_on_tail, &sleeper), 0);
    await_sleep(&sleeper);
    (void)claim_tick(&world.blocks.claims, world.table.now_ns + WORLD_MS, &answers);
    dispatch_wake(&world.table);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sleeper.seen_tail, 1);
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_WORLD(an_event_rings_once_until_the_client_caught_up),
        IN_WORLD(a_client_that_read_up_to_the_signal_is_rung_for_what_comes_next),
        IN_WORLD(an_immediate_answer_goes_where_it_was_asked_to),
        IN_WORLD(a_full_ring_loses_the_answer_and_nothing_else),
        IN_WORLD(a_session_that_is_gone_or_revoked_gets_no_answer),
        IN_WORLD(a_sleeping_thread_is_woken_by_its_answer),
        IN_WORLD(an_answer_outside_a_turn_wakes_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
