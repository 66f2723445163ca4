/* movers: what is answered is done, in both directions and on all devices at one time, whatever is
 * late; and what fails is said, and harms no other copy. */
#include "tests/check.h"
#include "tests/gpu-double/crew.h"

#include "shm/status.h"

#include <string.h>
#include <unistd.h>

#define BLOCK UINT64_C(65536)
#define BLOCKS 200u /* in a half of the host pool */
#define BACK (CREW_HOST_BYTES / 2) /* where they come back to */

static struct move_copy up(uint64_t cookie, uint32_t device, uint64_t block, uint64_t place)
{
    return (struct move_copy){.cookie = cookie,
        .device = device,
        .to_device = true,
        .host_offset = block * BLOCK,
        .device_offset = place * BLOCK,
        .bytes = BLOCK};
}

static struct move_copy down(uint64_t cookie, uint32_t device, uint64_t block, uint64_t place)
{
    return (struct move_copy){.cookie = cookie,
        .device = device,
        .to_device = false,
        .host_offset = BACK + block * BLOCK,
        .device_offset = place * BLOCK,
        .bytes = BLOCK};
}

/* Where block `i` goes on its device: all over the pool, and never two on one place. */
static uint64_t place_of(uint32_t i)
{
    return (uint64_t)i * 7 % (FLEET_POOL_BYTES / BLOCK);
}

static void need_all_ok(struct crew *crew, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        child_need(crew->fleet.page, crew->answers[i] == 1 && crew->status[i] == STATUS_OK,
            "copy %u: %u answers, status %d", i, crew->answers[i], crew->status[i]);
    }
}

/* Every block goes up, and as soon as it is there comes down again to another place, while others
 * still go up. Returns the cookies used. */
static uint32_t round_trip(struct crew *crew, uint32_t devices)
{
    uint32_t came = 0;
    for (uint32_t i = 0; i < BLOCKS; i++) {
        crew_fill(crew, i * BLOCK, BLOCK, i);
        memset(crew->host + BACK + i * BLOCK, 0, BLOCK);
    }
    for (uint32_t i = 0; i < BLOCKS; i++) {
        struct move_copy copy = up(i, i % devices, i, place_of(i));
        crew_start(crew, &copy);
    }
    while (came < BLOCKS) {
        uint32_t before = crew->answered;
        for (uint32_t i = 0; i < BLOCKS; i++) {
            if (crew->answers[i] == 1) { /* it is there: back, once */
                struct move_copy copy = down(BLOCKS + i, i % devices, i, place_of(i));
                crew->answers[i]++;
                came++;
                crew_start(crew, &copy);
            }
        }
        if (came < BLOCKS && crew->answered == before) {
            crew_await(crew, before + 1);
        }
    }
    crew_await(crew, 2 * BLOCKS);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        child_need(crew->fleet.page, crew->answers[i] == 2 && crew->status[i] == STATUS_OK,
            "block %u did not go up once", i);
        child_need(crew->fleet.page, crew_holds(crew, BACK + i * BLOCK, BLOCK, i),
            "block %u came back as another", i);
    }
    need_all_ok(crew, BLOCKS, 2 * BLOCKS);
    return 2 * BLOCKS;
}

static int go_up_and_down(void *context, struct child_page *page)
{
    struct crew crew;
    const char *switches = context;
    crew_open(&crew, page, switches, "all", -1);
    (void)round_trip(&crew, crew.fleet.devices.count);
    child_need(page, movers_locked(&crew.movers), "the host pool is not page-locked");
    crew_close(&crew);
    return 0;
}

static void test_blocks_go_to_devices_and_back(void **state)
{
    (void)state;
    char soon[] = "devices=2,delay_us=0";
    char late[] = "devices=2,delay_us=500";
    char single[] = "devices=2,delay_us=0,lacks=cuMemcpyBatchAsync";
    assert_int_equal(child_run(go_up_and_down, soon), 0);
    assert_int_equal(child_run(go_up_and_down, late), 0);
    assert_int_equal(child_run(go_up_and_down, single), 0);
}

static int go_unlocked(void *context, struct child_page *page)
{
    struct crew crew;
    int log = *(int *)context;
    crew_open(&crew, page, "delay_us=0,no_host_register=1", "auto", log);
    (void)round_trip(&crew, 1);
    child_need(page, !movers_locked(&crew.movers), "locked");
    movers_tick(&crew.movers, &crew.fleet.log);
    movers_tick(&crew.movers, &crew.fleet.log);
    crew_close(&crew);
    return 0;
}

static void test_without_page_locking_copies_go_on_and_the_log_says_so(void **state)
{
    (void)state;
    bed_double();
    int log = fleet_log_open();
    assert_int_equal(child_run(go_unlocked, &log), 0);
    assert_true(fleet_log_has(log, "warn"));
    assert_true(fleet_log_has(log, "host memory not page-locked"));
    (void)close(log);
}

/* No more than MOVER_COPIES of one device; the other one has room of its own. */
static int fill_up(void *context, struct child_page *page)
{
    (void)context;
    struct crew crew;
    crew_open(&crew, page, "devices=2,delay_us=1000", "all", -1);
    uint32_t accepted = 0;
    struct move_copy copy = up(0, 0, 0, 0);
    while (crew.mover.start(crew.mover.context, &copy)) {
        accepted++;
        copy = up(accepted % CREW_DONES, 0, accepted % BLOCKS, accepted);
    }
    child_need(page, accepted == MOVER_COPIES, "%u", accepted);
    copy = up(accepted, 1, 0, 0);
    child_need(page, crew.mover.start(crew.mover.context, &copy), "the other one");
    copy = up(accepted + 1, 2, 0, 0);
    child_need(page, !crew.mover.start(crew.mover.context, &copy), "a third one");
    crew_await(&crew, accepted + 1);
    need_all_ok(&crew, 0, accepted + 1);
    copy = up(accepted + 1, 0, 0, 0);
    child_need(page, crew.mover.start(crew.mover.context, &copy), "there is room again");
    crew_await(&crew, accepted + 2);
    crew_close(&crew);
    return 0;
}

static void test_each_device_accepts_so_many_and_then_again(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(fill_up, NULL), 0);
}

/* One call fails: the copies of that batch did not happen, and all others did. */
static int fail_once(void *context, struct child_page *page)
{
    static const char *const names[] = {"cuMemcpyAsync", "cuEventRecord"};
    size_t which = *(const size_t *)context;
    struct crew crew;
    crew_open(&crew, page, "delay_us=100,lacks=cuMemcpyBatchAsync", "auto", -1);
    struct bed bed = fleet_bed(&crew.fleet, 0);
    crew_fill(&crew, 0, BLOCK, 1);
    struct move_copy copy = up(0, 0, 0, 0);
    crew_start(&crew, &copy);
    crew_await(&crew, 1);
    bed_fail(&bed, names[which], 1, DRIVER_OUT_OF_MEMORY);
    for (uint32_t i = 1; i < 100; i++) {
        crew_fill(&crew, i * BLOCK, BLOCK, i);
        copy = up(i, 0, i, i);
        crew_start(&crew, &copy);
    }
    crew_await(&crew, 100);
    if (which == 1) { /* the last one has no mark, and nothing follows it that could tell */
        bed_delay(&bed, 20000);
        bed_fail(&bed, names[which], 1, DRIVER_OUT_OF_MEMORY);
        copy = up(300, 0, 7, 200);
        crew_start(&crew, &copy);
        crew_await(&crew, 101);
        copy = down(301, 0, 101, 200);
        crew_start(&crew, &copy);
        crew_await(&crew, 102);
        child_need(page, crew_holds(&crew, BACK + 101 * BLOCK, BLOCK, 7), "it was not there");
        crew.answered = 100;
        bed_delay(&bed, 100);
    }
    uint32_t failed = 0;
    for (uint32_t i = 1; i < 100; i++) {
        child_need(page, crew.answers[i] == 1, "copy %u: %u answers", i, crew.answers[i]);
        failed += crew.status[i] == STATUS_IO ? 1 : 0;
        child_need(page, crew.status[i] == STATUS_IO || crew.status[i] == STATUS_OK, "status");
    }
    child_need(page, which == 0 ? failed > 0 && failed <= MOVER_BATCH_COPIES : failed == 0,
        "%u failed", failed);
    for (uint32_t i = 1; i < 100; i++) {
        copy = down(100 + i, 0, i, i);
        crew_start(&crew, &copy);
    }
    crew_await(&crew, 199);
    for (uint32_t i = 1; i < 100; i++) {
        child_need(page,
            crew.status[i] != STATUS_OK || crew_holds(&crew, BACK + i * BLOCK, BLOCK, i),
            "block %u", i);
    }
    crew_close(&crew);
    return 0;
}

static void test_a_call_that_fails_costs_its_own_copies_alone(void **state)
{
    (void)state;
    bed_double();
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(child_run(fail_once, &i), 0);
    }
}

/* Not asked for any more, but under way: waited for, and in order. */
static int close_early(void *context, struct child_page *page)
{
    (void)context;
    struct crew crew;
    crew_open(&crew, page, "delay_us=2000", "auto", -1);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        struct move_copy copy = up(i, 0, i, i);
        crew_start(&crew, &copy);
        if (i == 20) {
            crew_await(&crew, 1);
        }
    }
    crew_close(&crew); /* the double sees whether memory goes under a copy */
    return 0;
}

static void test_a_stop_waits_for_what_is_under_way(void **state)
{
    (void)state;
    assert_int_equal(child_run(close_early, NULL), 0);
}

/* One copy is as late as the test lasts. */
static int hang(void *context, struct child_page *page)
{
    (void)context;
    struct crew crew;
    crew_open(&crew, page, "delay_us=0", "auto", -1);
    struct move_copy copy = up(0, 0, 0, 0);
    crew_start(&crew, &copy);
    crew_await(&crew, 1);
    struct bed bed = fleet_bed(&crew.fleet, 0);
    bed_delay(&bed, 10000000);
    crew_start(&crew, &copy);
    const struct channel *channel = crew.movers.thread[0]->channel;
    while (shared32_load_acquire(&channel->ask_head) != channel->ask_in.tail) {
        child_nap(); /* what it took before a stop is begun */
    }
    child_need(page, !movers_close(&crew.movers), "closed under a copy");
    _exit(0); /* as its caller has to */
}

static void test_a_thread_that_hangs_is_left_to_the_end_of_the_process(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(hang, NULL), 0);
}

int main(void)
{
    if (!bed_found()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_go_to_devices_and_back),
        cmocka_unit_test(test_without_page_locking_copies_go_on_and_the_log_says_so),
        cmocka_unit_test(test_each_device_accepts_so_many_and_then_again),
        cmocka_unit_test(test_a_call_that_fails_costs_its_own_copies_alone),
        cmocka_unit_test(test_a_stop_waits_for_what_is_under_way),
        cmocka_unit_test(test_a_thread_that_hangs_is_left_to_the_end_of_the_process),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
