/* test_greed: who takes all that there is to take gets a share, and leaves the others theirs. */
#include "shm/bell.h"
#include "shm/slot.h"
#include "tests/check.h"
#include "tests/e2e/worker.h"
#include "tests/fault/intruder.h"
#include "tests/fault/scene.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MANY 1000

/* Let the honest worker work while somebody is greedy. */
static bool honest_works(struct scene *scene)
{
    child_let(&scene->honest, ++scene->rounds);
    bool worked = child_reaches(&scene->honest, 1 + scene->rounds);
    if (!worked) {
        (void)fprintf(stderr, "the honest worker stopped: %s\n", scene->honest.page->said);
        daemon_show_log(&scene->daemon);
    }
    return worked;
}

/* Run `work` up to its point 1, let the honest one work beside it, let it end. */
static void suffer(struct scene *scene, child_work *work)
{
    struct child child;
    assert_true(child_start(&child, work, scene));
    if (!child_reaches(&child, 1)) {
        assert_int_equal(child_end(&child), 0);
        fail_msg("the greedy one ended early");
    }
    assert_true(honest_works(scene));
    child_let(&child, 1);
    assert_int_equal(child_end(&child), 0);
    assert_true(scene_is_unharmed(scene));
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int pin_everything(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    uint32_t attached = 0;
    struct welcome welcome = {0};
    /* As often as it is let in, with as much as it may ask for. */
    for (int i = 0; i < 8; i++) {
        struct hello hello = intruder_hello();
        hello.seats = 1;
        hello.pins = LANE_PINS_MAX;
        hello.flags = HELLO_ISOLATED;
        int fd = intruder_connect(scene->daemon.socket);
        child_need(page, hello_send(fd, &hello, sizeof hello, NULL, 0) == STATUS_OK, "send");
        child_need(page, intruder_answer(fd, &welcome) == STATUS_OK, "no answer");
        (void)close(fd);
        if (welcome.status != STATUS_OK) {
            child_need(page, welcome.status == STATUS_LIMIT, "%s", status_name(welcome.status));
            child_need(page, strstr(welcome.why, "pool") != NULL, "no remedy: %s", welcome.why);
            break;
        }
        attached++;
    }
    child_need(page, attached > 0, "never let in: %s", welcome.why);
    child_at(page, 1);
    child_await(page, 1);
    return 0;
}

static int pin_all_slots(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    struct hello hello = intruder_hello();
    struct intruder intruder;
    hello.seats = 1;
    hello.pins = LANE_PINS_MAX;
    intruder_attach(page, &intruder, scene->daemon.socket, &hello);
    const struct index_header *header = intruder.index.base;
    uint32_t high = intruder.shape.pins;
    /* A trusted client: half of the pool at most, of which the honest one fills every slot. */
    child_need(page, high > 0 && high <= header->pool_bytes / WORKER_BLOCK_BYTES / 2,
        "%u pins in a pool of %llu blocks", high,
        (unsigned long long)(header->pool_bytes / WORKER_BLOCK_BYTES));
    struct index_view index;
    child_need(page,
        layout_index_view(intruder.index.base, intruder.index.bytes, &index) == STATUS_OK, "index");
    uint32_t next = 0;
    for (uint32_t slot = 0; slot < index.slots && next < high; slot++) {
        if (slot_state_of(slot_load_state(&index.lines[slot])) == SLOT_VALID) {
            shared32_store_release(&intruder.seat.pins[next++], slot + 1);
        }
    }
    shared32_store_release(&intruder.seat.client->pins_high, high);
    shared_fence_full();
    child_need(page, intruder_fence(&intruder, CHILD_WAIT_NS / 4), "not served");
    child_at(page, 1);
    child_await(page, 1);
    /* The honest one turned the whole pool over; what was pinned is as it was, pinned and valid. */
    for (uint32_t i = 0; i < next; i++) {
        uint32_t slot = shared32_load_relaxed(&intruder.seat.pins[i]) - 1;
        child_need(page, slot_state_of(slot_load_state(&index.lines[slot])) == SLOT_VALID,
            "a pinned slot was taken");
    }
    return 0;
}

static void test_one_client_cannot_pin_the_pool(void **state)
{
    struct scene *scene = *state;
    assert_true(honest_works(scene));
    suffer(scene, pin_all_slots);
    assert_true(gauge_get(&scene->gauge, COUNTER_victims_pinned) > 0);
}

static void test_many_clients_cannot_pin_the_pool(void **state)
{
    suffer(*state, pin_everything);
}

static int borrow_everything(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    struct hello hello = intruder_hello();
    struct intruder intruder;
    struct reply reply;
    hello.grants = UINT32_MAX;
    intruder_attach(page, &intruder, scene->daemon.socket, &hello);
    uint32_t lent = 0;
    for (int i = 0; i < 20; i++) {
        const uint32_t counts[] = {UINT32_MAX, 0, 1, LANE_REPLIES, 5};
        intruder_send(&intruder, &(struct request){.type = REQUEST_GRANT, .count = counts[i % 5]});
        do {
            child_need(page, intruder_reply(&intruder, CHILD_WAIT_NS / 4, &reply), "no reply");
            lent += reply.type == REPLY_GRANT && reply.status == STATUS_OK;
        } while ((reply.flags & REPLY_LAST) == 0);
    }
    child_need(page, lent > 0 && lent <= intruder.welcome.grants, "%u slots lent of %u", lent,
        intruder.welcome.grants);
    child_at(page, 1);
    child_await(page, 1);
    return 0;
}

static void test_one_client_cannot_borrow_the_pool(void **state)
{
    suffer(*state, borrow_everything);
}

/* Opens handles until told to stop: the first are good, the others are told which limit they
 * met. */
static int open_many_handles(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    static cistern_t *handles[MANY];
    uint32_t opened = 0;
    raise_file_limit();
    for (int i = 0; i < MANY; i++) {
        int status = worker_try_open(scene->daemon.socket, 0, 1, &handles[i]);
        if (status == CISTERN_OK) {
            opened++;
            continue;
        }
        child_need(page, status == CISTERN_LIMIT, "handle %d: %s: %s", i,
            cistern_status_name(status), cistern_why());
        child_need(page, strstr(cistern_why(), "raise") != NULL, "no remedy: %s", cistern_why());
        if (i > 100 && i < MANY - 20) {
            i = MANY - 20; /* it goes on like that */
        }
    }
    child_need(page, opened >= 8 && opened < 70, "%u handles were opened", opened);
    worker_put(page, handles[0], 1);
    worker_find(page, handles[0], 1);
    child_at(page, 1);
    child_await(page, 1);
    for (int i = 0; i < MANY; i++) {
        cistern_close(&handles[i]);
    }
    return 0;
}

static void test_a_thousand_handles_meet_a_limit(void **state)
{
    suffer(*state, open_many_handles);
}

static int knock_and_say_nothing(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    uint32_t connected = 0;
    raise_file_limit();
    for (int i = 0; i < MANY; i++) {
        connected += intruder_connect(scene->daemon.socket) >= 0;
    }
    child_need(page, connected > 0, "no connection");
    child_at(page, 1);
    child_await(page, 1);
    return 0;
}

static void test_a_thousand_silent_connections_do_no_harm(void **state)
{
    suffer(*state, knock_and_say_nothing);
}

/* More questions than answers fit, none of which is read. */
static int never_read(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    struct hello hello = intruder_hello();
    struct intruder intruder;
    intruder_attach(page, &intruder, scene->daemon.socket, &hello);
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS / 4;
    uint32_t sent = 0;
    while (sent < LANE_REPLIES + LANE_REQUESTS) {
        child_need(page, child_now_ns() < deadline, "no longer served after %u", sent);
        if (ring_room(&intruder.requests, 1) > 0) {
            intruder_send(&intruder, &(struct request){.type = REQUEST_FENCE, .cookie = sent++});
        }
    }
    /* And events: waits that are over at once, whose answers nobody drains. */
    child_at(page, 1);
    child_await(page, 1);
    child_need(page, ring_room(&intruder.requests, 1) == 0, "a request was taken without room");
    /* It reads at last, and is served as before, with nothing lost. */
    for (uint32_t i = 0; i < sent; i++) {
        struct reply reply;
        child_need(page, intruder_reply(&intruder, CHILD_WAIT_NS / 4, &reply), "reply %u", i);
        child_need(page, reply.type == REPLY_FENCE && reply.cookie == i, "reply %u is %llu", i,
            (unsigned long long)reply.cookie);
    }
    return 0;
}

static void test_who_never_reads_is_not_served_and_costs_nothing(void **state)
{
    struct scene *scene = *state;
    struct child child;
    assert_true(child_start(&child, never_read, scene));
    assert_true(child_reaches(&child, 1));
    /* The sidecar does not spin over it: it goes to sleep again and again. */
    uint64_t sleeps = gauge_get(&scene->gauge, COUNTER_sleeps);
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS / 4;
    while (gauge_get(&scene->gauge, COUNTER_sleeps) < sleeps + 3) {
        assert_true(child_now_ns() < deadline);
        child_nap();
    }
    assert_true(honest_works(scene));
    child_let(&child, 1);
    assert_int_equal(child_end(&child), 0);
    assert_true(scene_is_unharmed(scene));
}

/* Events for a descriptor that nobody drains. */
static int never_drain(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    struct hello hello = intruder_hello();
    struct intruder intruder;
    struct reply reply;
    intruder_attach(page, &intruder, scene->daemon.socket, &hello);
    for (uint32_t i = 0; i < 3 * LANE_EVENTS; i++) {
        intruder_send(&intruder,
            &(struct request){
                .type = REQUEST_WAIT, .flags = REQUEST_EVENT, .cookie = i, .key = {{i, 1, 2, 3}}});
        if (i % 64 == 63) {
            child_need(page, intruder_fence(&intruder, CHILD_WAIT_NS / 4), "not served at %u", i);
        }
        while (intruder_reply(&intruder, 0, &reply)) {
        }
    }
    child_at(page, 1);
    child_await(page, 1);
    return 0;
}

static void test_who_never_drains_does_no_harm(void **state)
{
    suffer(*state, never_drain);
}

int main(void)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
#define TEST(function) cmocka_unit_test_setup_teardown(function, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        TEST(test_one_client_cannot_pin_the_pool),
        TEST(test_many_clients_cannot_pin_the_pool),
        TEST(test_one_client_cannot_borrow_the_pool),
        TEST(test_a_thousand_handles_meet_a_limit),
        TEST(test_a_thousand_silent_connections_do_no_harm),
        TEST(test_who_never_reads_is_not_served_and_costs_nothing),
        TEST(test_who_never_drains_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
