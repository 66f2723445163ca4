/* movers of a device that failed for good: what never reached it is given back; of what did nobody
 * says anything, because nobody knows whether it still writes. */
#include "tests/check.h"
#include "tests/gpu-double/crew.h"

#include "shm/status.h"

#include <string.h>
#include <unistd.h>

#define BLOCK MOVER_BATCH_BYTES /* a batch holds one */
#define COPIES 240u

static void need_loss(struct crew *crew, uint32_t wanted, const char *words)
{
    uint32_t number = 99;
    const char *why = "";
    child_need(crew->fleet.page, movers_lost(&crew->movers, &number, &why), "not lost");
    child_need(crew->fleet.page, number == wanted, "device %u", number);
    child_need(crew->fleet.page, strstr(why, words) != NULL, "\"%s\"", why);
}

static bool ask(struct crew *crew, uint64_t cookie, uint32_t device)
{
    struct move_copy copy = {.cookie = cookie,
        .device = device,
        .to_device = true,
        .host_offset = cookie % (CREW_HOST_BYTES / BLOCK) * BLOCK,
        .device_offset = cookie % (FLEET_POOL_BYTES / BLOCK) * BLOCK,
        .bytes = BLOCK};
    return crew->mover.start(crew->mover.context, &copy);
}

/* Nothing more comes: the thread has looked at everything, and sleeps. */
static void need_silence(struct crew *crew)
{
    struct move_done done;
    while (shared32_load_acquire(&crew->movers.thread[0]->channel->thread_sleeping) % 2 == 0) {
        child_nap();
    }
    child_need(
        crew->fleet.page, crew->mover.poll(crew->mover.context, &done, 1) == 0, "one more answer");
}

/* A batch each, and late: the stream has as many as fit, and the rest waits. */
static int break_with_a_queue(void *context, struct child_page *page)
{
    (void)context;
    struct crew crew;
    crew_open(&crew, page, "delay_us=0", "auto", -1);
    struct bed bed = fleet_bed(&crew.fleet, 0);
    child_need(page, ask(&crew, COPIES, 0), "the first");
    crew_await(&crew, 1);
    bed_delay(&bed, 5000000);
    for (uint32_t i = 0; i < COPIES; i++) {
        child_need(page, ask(&crew, i, 0), "copy %u", i);
    }
    bed_break(&bed, "cuEventQuery", 1);
    crew_await_loss(&crew);
    need_loss(&crew, 0, "ILLEGAL_ADDRESS");
    child_need(page, !ask(&crew, COPIES + 1, 0), "accepted after the loss");
    crew_await(&crew, 1 + COPIES - MOVER_BATCHES);
    need_silence(&crew);
    for (uint32_t i = 0; i < COPIES; i++) {
        child_need(page, crew.answers[i] == (i < MOVER_BATCHES ? 0 : 1), "copy %u: %u answers", i,
            crew.answers[i]);
        child_need(page, i < MOVER_BATCHES || crew.status[i] == STATUS_DEVICE_LOST,
            "copy %u: status %d", i, crew.status[i]);
    }
    _exit(0);
}

static void test_what_waits_for_a_lost_device_is_given_back_and_what_it_has_is_not(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(break_with_a_queue, NULL), 0);
}

/* It cannot even begin; the other device goes on. */
static int break_at_the_start(void *context, struct child_page *page)
{
    (void)context;
    struct crew crew;
    crew_open(&crew, page, "devices=1,delay_us=0,sticky=cuMemHostRegister:1", "all", -1);
    crew_await_loss(&crew);
    need_loss(&crew, 0, "copies cannot be prepared");
    _exit(0);
}

static void test_a_device_that_cannot_begin_is_lost(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(break_at_the_start, NULL), 0);
}

static int lose_one_of_two(void *context, struct child_page *page)
{
    (void)context;
    struct crew crew;
    crew_open(&crew, page, "devices=2,delay_us=0", "all", -1);
    struct bed bed = fleet_bed(&crew.fleet, 0);
    child_need(page, ask(&crew, 0, 1), "the second");
    crew_await(&crew, 1);
    bed_break(&bed, "cuMemcpyAsync", 1);
    child_need(page, ask(&crew, 1, 1), "the second, which fails");
    crew_await_loss(&crew);
    need_loss(&crew, 1, "copies cannot be started");
    child_need(page, !ask(&crew, 2, 1), "accepted");
    child_need(page, ask(&crew, 3, 0), "the other one goes on until the process ends");
    crew_await(&crew, 2);
    child_need(page, crew.answers[3] == 1 && crew.status[3] == STATUS_OK, "the other one's copy");
    _exit(0);
}

static void test_a_loss_is_that_of_one_device(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(lose_one_of_two, NULL), 0);
}

int main(void)
{
    if (!bed_found()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_waits_for_a_lost_device_is_given_back_and_what_it_has_is_not),
        cmocka_unit_test(test_a_device_that_cannot_begin_is_lost),
        cmocka_unit_test(test_a_loss_is_that_of_one_device),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
