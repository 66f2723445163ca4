/* test_lane: whatever stands in a client's lane, the sidecar refuses it and nobody else notices. */
#include "shm/bell.h"
#include "shm/slot.h"
#include "tests/check.h"
#include "tests/e2e/worker.h"
#include "tests/fault/intruder.h"
#include "tests/fault/scene.h"

#include <string.h>
#include <unistd.h>

/* An attack: done by an attached intruder, in a child. */
typedef void attack(struct child_page *page, struct intruder *intruder);

struct plan {
    const struct scene *scene;
    attack *attack;
    uint32_t flags; /* of the hello */
};

static int carry_out(void *context, struct child_page *page)
{
    const struct plan *plan = context;
    struct hello hello = intruder_hello();
    struct intruder intruder;
    hello.flags = plan->flags;
    intruder_attach(page, &intruder, plan->scene->daemon.socket, &hello);
    plan->attack(page, &intruder);
    return 0;
}

/* Attack as a trusted client and as an isolated one, each with the check behind it. */
static void suffer(struct scene *scene, attack *what)
{
    const uint32_t flags[] = {0, HELLO_ISOLATED};
    for (size_t i = 0; i < CHECK_COUNT(flags); i++) {
        struct plan plan = {.scene = scene, .attack = what, .flags = flags[i]};
        assert_int_equal(child_run(carry_out, &plan), 0);
        assert_true(scene_is_unharmed(scene));
    }
}

static void need_served(struct child_page *page, struct intruder *intruder, const char *after)
{
    child_need(page, intruder_fence(intruder, CHILD_WAIT_NS / 4), "not served after %s", after);
}

static void send_unknown_types(struct child_page *page, struct intruder *intruder)
{
    const uint32_t types[] = {REQUEST_NONE, REQUEST_FETCH + 1, 1000, UINT32_MAX};
    for (size_t i = 0; i < CHECK_COUNT(types); i++) {
        intruder_send(intruder, &(struct request){.type = types[i]});
    }
    need_served(page, intruder, "an unknown type");
}

static void test_unknown_requests_are_counted(void **state)
{
    struct scene *scene = *state;
    uint64_t before = gauge_get(&scene->gauge, COUNTER_requests_bad);
    suffer(scene, send_unknown_types);
    assert_int_equal(gauge_get(&scene->gauge, COUNTER_requests_bad) - before, 2 * 4);
}

/* References that are not its own; none may change a slot. */
static void commit_what_is_not_its_own(struct child_page *page, struct intruder *intruder)
{
    struct reply lent = intruder_borrow(page, intruder);
    const struct index_header *header = intruder->index.base;
    struct request request = {
        .type = REQUEST_COMMIT, .bytes = 100, .key = {{1, 2, 3, 4}}, .generation = lent.generation};
    const uint32_t slots[] = {
        header->slots, header->slots + 1, lent.slot + 1, UINT32_MAX, UINT32_MAX - 1};
    for (size_t i = 0; i < CHECK_COUNT(slots); i++) {
        for (uint32_t type = REQUEST_COMMIT; type <= REQUEST_ABORT; type++) {
            request.type = type;
            request.slot = slots[i];
            intruder_send(intruder, &request);
        }
    }
    request.slot = lent.slot;
    const uint64_t generations[] = {0, lent.generation - 1, lent.generation + 1, UINT64_MAX,
        lent.generation | UINT64_C(1) << 56};
    for (size_t i = 0; i < CHECK_COUNT(generations); i++) {
        request.generation = generations[i];
        for (uint32_t type = REQUEST_COMMIT; type <= REQUEST_ABORT; type++) {
            request.type = type;
            intruder_send(intruder, &request);
        }
    }
    need_served(page, intruder, "foreign references");
    /* Its own one is worth something once. */
    request.type = REQUEST_COMMIT;
    request.generation = lent.generation;
    intruder_send(intruder, &request);
    intruder_send(intruder, &request);
    request.type = REQUEST_ABORT;
    intruder_send(intruder, &request);
    need_served(page, intruder, "a second commit");
}

static void test_references_of_others_are_refused(void **state)
{
    struct scene *scene = *state;
    uint64_t bad = gauge_get(&scene->gauge, COUNTER_requests_bad);
    suffer(scene, commit_what_is_not_its_own);
    assert_int_equal(gauge_get(&scene->gauge, COUNTER_requests_bad) - bad, 2 * 22);
}

static void commit_wrong_sizes(struct child_page *page, struct intruder *intruder)
{
    const uint64_t sizes[] = {0, WORKER_BLOCK_BYTES + 1, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX};
    for (size_t i = 0; i < CHECK_COUNT(sizes); i++) {
        struct reply lent = intruder_borrow(page, intruder);
        intruder_send(intruder, &(struct request){.type = REQUEST_COMMIT,
                                    .slot = lent.slot,
                                    .generation = lent.generation,
                                    .bytes = sizes[i],
                                    .key = {{5, 6, 7, i}}});
    }
    need_served(page, intruder, "wrong sizes");
}

static void test_wrong_sizes_are_refused_and_the_slot_comes_home(void **state)
{
    struct scene *scene = *state;
    uint64_t bad = gauge_get(&scene->gauge, COUNTER_requests_bad);
    suffer(scene, commit_wrong_sizes);
    assert_int_equal(gauge_get(&scene->gauge, COUNTER_requests_bad) - bad, 2 * 5);
}

static void run_tail_wild(struct child_page *page, struct intruder *intruder)
{
    shared32_store_release(&intruder->seat.client->request_tail, LANE_REQUESTS + 1);
    child_need(
        page, intruder_is_thrown_out(intruder, CHILD_WAIT_NS / 4), "a wild tail is let pass");
}

static void test_a_wild_tail_closes_the_session(void **state)
{
    struct scene *scene = *state;
    uint64_t before = gauge_get(&scene->gauge, COUNTER_lanes_bad);
    suffer(scene, run_tail_wild);
    assert_int_equal(gauge_get(&scene->gauge, COUNTER_lanes_bad) - before, 2);
}

static void fill_lane_with_random_bytes(struct child_page *page, struct intruder *intruder)
{
    (void)page;
    uint64_t random = check_seed();
    for (int round = 0; round < 20; round++) {
        _Atomic uint64_t *words = intruder->lane_client.base;
        for (uint64_t i = 0; i < intruder->lane_client.bytes / 8; i++) {
            shared64_store_relaxed(&words[i], check_random(&random));
        }
        bell_ring(intruder->bell);
        child_nap();
    }
}

static void test_a_lane_of_random_bytes_does_no_harm(void **state)
{
    suffer(*state, fill_lane_with_random_bytes);
}

/* Requests that are well formed, and mean anything. */
static void send_random_requests(struct child_page *page, struct intruder *intruder)
{
    uint64_t random = check_seed();
    for (int i = 0; i < 20000; i++) {
        struct request request;
        struct reply reply;
        for (size_t word = 0; word < LANE_REQUEST_WORDS; word++) {
            ((uint64_t *)(void *)&request)[word] = check_random(&random);
        }
        request.type %= REQUEST_FETCH + 2;
        request.slot %= 4096;
        request.generation %= 4;
        request.key.word[0] %= 8;
        request.key.word[1] = request.key.word[2] = request.key.word[3] = 0;
        request.count %= 4;
        uint64_t deadline = child_now_ns() + CHILD_WAIT_NS / 4;
        while (ring_room(&intruder->requests, 1) == 0) {
            child_need(page, child_now_ns() < deadline, "no longer served, request %d", i);
            (void)intruder_reply(intruder, 0, &reply);
        }
        intruder_send(intruder, &request);
        while (ring_look(&intruder->replies) == RING_ENTRY) {
            (void)intruder_reply(intruder, 0, &reply);
        }
    }
    need_served(page, intruder, "random requests");
}

static void test_random_requests_do_no_harm(void **state)
{
    suffer(*state, send_random_requests);
}

static void touch_wild(struct child_page *page, struct intruder *intruder)
{
    uint32_t tail = 0;
    for (uint32_t i = 0; i < 3 * LANE_TOUCHES; i++) {
        lane_touch(&intruder->seat, &tail, i % 3 == 0 ? UINT32_MAX - i : i * 7919);
    }
    lane_touch_publish(&intruder->seat, tail);
    need_served(page, intruder, "wild touches");
    /* Far more than the log holds, and backwards. */
    const uint32_t tails[] = {UINT32_MAX, UINT32_C(1) << 31, 5, 0};
    for (size_t i = 0; i < CHECK_COUNT(tails); i++) {
        lane_touch_publish(&intruder->seat, tails[i]);
        need_served(page, intruder, "a wild touch tail");
    }
}

static void test_wild_touches_do_no_harm(void **state)
{
    suffer(*state, touch_wild);
}

static void pin_wild(struct child_page *page, struct intruder *intruder)
{
    for (uint32_t i = 0; i < intruder->shape.pins; i++) {
        shared32_store_release(&intruder->seat.pins[i], UINT32_MAX - i);
    }
    shared32_store_release(&intruder->seat.client->pins_high, UINT32_MAX);
    need_served(page, intruder, "wild pins");
    child_at(page, 1);
    child_await(page, 1);
}

static void test_wild_pins_are_counted_and_hold_nothing(void **state)
{
    struct scene *scene = *state;
    struct plan plan = {.scene = scene, .attack = pin_wild};
    struct child child;
    uint64_t before = gauge_get(&scene->gauge, COUNTER_pins_wild);
    assert_true(child_start(&child, carry_out, &plan));
    assert_true(child_reaches(&child, 1));
    /* The honest one makes the sidecar evict, hence sweep, while they stand. */
    assert_false(gauge_get(&scene->gauge, COUNTER_sessions_now) == 1);
    child_let(&scene->honest, ++scene->rounds);
    assert_true(child_reaches(&scene->honest, 1 + scene->rounds));
    assert_true(gauge_get(&scene->gauge, COUNTER_pins_wild) > before);
    child_let(&child, 1);
    assert_int_equal(child_end(&child), 0);
    assert_true(scene_is_unharmed(scene));
}

static void lie_in_the_header(struct child_page *page, struct intruder *intruder)
{
    struct lane_client_header *header = intruder->lane_client.base;
    const uint32_t words[] = {UINT32_MAX, UINT32_C(1) << 31, LANE_SEATS_MAX + 1, 0, 1};
    for (size_t i = 0; i < CHECK_COUNT(words); i++) {
        shared32_store_release(&header->seats_used, words[i]);
        shared32_store_release(&header->event_head, words[i]);
        shared32_store_release(&intruder->seat.client->sleeping, words[i]);
        need_served(page, intruder, "lies in the header");
    }
    shared32_store_release(&intruder->seat.client->reply_head, 12345);
    intruder_send(intruder, &(struct request){.type = REQUEST_FENCE});
}

static void test_lies_in_the_header_do_no_harm(void **state)
{
    suffer(*state, lie_in_the_header);
}

int main(void)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
#define TEST(function) cmocka_unit_test_setup_teardown(function, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        TEST(test_unknown_requests_are_counted),
        TEST(test_references_of_others_are_refused),
        TEST(test_wrong_sizes_are_refused_and_the_slot_comes_home),
        TEST(test_a_wild_tail_closes_the_session),
        TEST(test_a_lane_of_random_bytes_does_no_harm),
        TEST(test_random_requests_do_no_harm),
        TEST(test_wild_touches_do_no_harm),
        TEST(test_wild_pins_are_counted_and_hold_nothing),
        TEST(test_lies_in_the_header_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
