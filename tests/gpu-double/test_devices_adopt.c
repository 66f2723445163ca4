/* devices_adopt: the memory of devices goes from a killed server to the next, under a real keeper;
 * and what is lost is lost for good before its number means other memory. */
#include "tests/check.h"
#include "tests/gpu-double/fleet.h"

#include "shm/hello.h"
#include "shm/status.h"
#include "sidecar/keeper.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define POOL_BYTES (2 * FLEET_POOL_BYTES) /* two slabs */
#define LAST_PAGE (POOL_BYTES - 4096)

/* Words of the page: what one server leaves to the next, and to the test. */
enum word { WORD_GENERATION, WORD_PID, WORD_ID_FIRST, WORD_ID_SECOND };

struct line;

/* One server's life, from its start to its end; its result is its exit status. */
typedef int life(struct line *line, struct fleet *fleet);

/* A keeper's line of servers. */
struct line {
    const char *switches;
    const char *which;
    bool legacy;
    life *lives[3];
    int log;
    struct child_page *page;
    struct keep *keep; /* of the server that lives */
};

static int serve(void *context, struct keep *keep, bool again)
{
    struct line *line = context;
    struct child_page *page = line->page;
    struct fleet fleet;
    uint64_t generation = shared64_load_relaxed(&page->word[WORD_GENERATION]);
    if (page->said[0] != '\0') {
        return 0; /* one failed: it is over */
    }
    child_need(page, generation < 3, "one server too many");
    child_need(page, again == (generation > 0), "again");
    shared64_store_relaxed(&page->word[WORD_GENERATION], generation + 1);
    shared64_store_relaxed(&page->word[WORD_PID], (uint64_t)getpid());
    line->keep = keep;
    fleet_begin(&fleet, page, line->switches, line->which, line->log);
    fleet.config.device_pool_bytes = POOL_BYTES;
    fleet.config.device_handles = line->legacy ? CONFIG_HANDLES_LEGACY : CONFIG_HANDLES_VMM;
    return line->lives[generation](line, &fleet);
}

static int run_keeper(void *context, struct child_page *page)
{
    struct line *line = context;
    struct log log;
    log_init(&log, line->log, LOG_DEBUG);
    line->page = page;
    int status = keeper_run(&log, serve, line);
    return page->said[0] == '\0' ? status : 1;
}

/* Serve, be at `point`, and wait to be killed. */
static int serve_until_killed(struct line *line, uint32_t point)
{
    child_need(line->page, keep_ready(line->keep) == STATUS_OK, "ready");
    child_at(line->page, point);
    child_await(line->page, 100);
    return 1;
}

static int open_and_hold(struct line *line, struct fleet *fleet)
{
    fleet_open(fleet);
    child_need(line->page, devices_hold(&fleet->devices, line->keep) == STATUS_OK, "hold");
    for (uint32_t i = 0; i < fleet->devices.count; i++) {
        shared64_store_relaxed(
            &line->page->word[WORD_ID_FIRST + i], fleet->devices.gift[i].pool_id);
        fleet_fill(fleet, i, 0, (uint8_t)(10 + i));
        fleet_fill(fleet, i, LAST_PAGE, (uint8_t)(20 + i));
    }
    return STATUS_OK;
}

static int make_and_die(struct line *line, struct fleet *fleet)
{
    (void)open_and_hold(line, fleet);
    return serve_until_killed(line, 1);
}

static void take_over(struct line *line, struct fleet *fleet)
{
    struct child_page *page = line->page;
    devices_adopt(&fleet->devices, line->keep, &fleet->log);
    child_need(page, fleet->devices.count == 2 && fleet->devices.lost == 0, "count %u, lost %x",
        fleet->devices.count, fleet->devices.lost);
    devices_refill(&fleet->devices, &fleet->config, line->keep, &fleet->log);
    for (uint32_t i = 0; i < 2; i++) {
        const struct device_gift *gift = &fleet->devices.gift[i];
        child_need(page,
            gift->usable && gift->pool_id == shared64_load_relaxed(&page->word[WORD_ID_FIRST + i]),
            "device %u has other memory", i);
        child_need(page, gift->slabs->slab[0].fd >= 0 && gift->slabs->slab[1].fd >= 0,
            "no descriptors for clients");
        child_need(page, fleet_holds(fleet, i, 0, (uint8_t)(10 + i)), "first page of %u", i);
        child_need(page, fleet_holds(fleet, i, LAST_PAGE, (uint8_t)(20 + i)), "last of %u", i);
    }
}

static int adopt_and_die(struct line *line, struct fleet *fleet)
{
    take_over(line, fleet);
    fleet_fill(fleet, 1, 4096, 33); /* it may write there as well */
    return serve_until_killed(line, 2);
}

static int adopt_and_end(struct line *line, struct fleet *fleet)
{
    take_over(line, fleet);
    child_need(line->page, fleet_holds(fleet, 1, 4096, 33), "what the second server wrote");
    fleet_close(fleet);
    child_at(line->page, 3);
    return 0;
}

/* Run a line; the test kills its servers at points 1 and 2 if they are `killed`. */
static void run_line(struct line *line, uint32_t killed)
{
    struct child keeper;
    line->log = fleet_log_open();
    assert_true(child_start(&keeper, run_keeper, line));
    for (uint32_t point = 1; point <= killed; point++) {
        assert_true(child_reaches(&keeper, point));
        pid_t pid = (pid_t)shared64_load_relaxed(&keeper.page->word[WORD_PID]);
        assert_int_equal(kill(pid, SIGKILL), 0);
    }
    assert_int_equal(child_end(&keeper), 0);
}

/* Memory for one pool a device alone: whoever made it anew would not get it. */
static void test_a_killed_servers_memory_lives_on_in_the_next(void **state)
{
    (void)state;
    bed_double();
    struct line line = {.switches = "devices=2,memory=160M",
        .which = "all",
        .lives = {make_and_die, adopt_and_die, adopt_and_end}};
    run_line(&line, 2);
    assert_true(fleet_log_has(line.log, "took over 128 MiB in 2 slabs"));
    (void)close(line.log);
}

/* Adopt one device, which is lost; `refilled`: other memory can be had at once. */
static void lose_it(struct line *line, struct fleet *fleet, const char *words, bool refilled)
{
    struct child_page *page = line->page;
    const struct device_gift *gift = &fleet->devices.gift[0];
    devices_adopt(&fleet->devices, line->keep, &fleet->log);
    child_need(page, fleet->devices.count == 1 && fleet->devices.lost == 1 && !gift->usable,
        "it is not lost");
    child_need(page, fleet_log_has(line->log, words), "the log lacks: %s", words);
    devices_refill(&fleet->devices, &fleet->config, line->keep, &fleet->log);
    child_need(page, gift->usable == refilled, "refilled: %d", gift->usable);
    child_need(page,
        !refilled || gift->pool_id != shared64_load_relaxed(&page->word[WORD_ID_FIRST]),
        "other memory under the same number");
    child_need(page, fleet->devices.lost == 0, "still lost");
}

static int lose_legacy(struct line *line, struct fleet *fleet)
{
    lose_it(line, fleet, "cuIpc memory ends with the server", true);
    shared64_store_relaxed(&line->page->word[WORD_ID_FIRST], fleet->devices.gift[0].pool_id);
    return serve_until_killed(line, 2);
}

static int lose_legacy_again(struct line *line, struct fleet *fleet)
{
    lose_it(line, fleet, "cuIpc memory ends with the server", true);
    fleet_close(fleet);
    return 0;
}

static void test_legacy_memory_ends_with_its_server_and_is_made_anew(void **state)
{
    (void)state;
    bed_double();
    struct line line = {.switches = "memory=160M",
        .which = "auto",
        .legacy = true,
        .lives = {make_and_die, lose_legacy, lose_legacy_again}};
    run_line(&line, 2);
    (void)close(line.log);
}

static int lose_sight(struct line *line, struct fleet *fleet)
{
    child_need(line->page, setenv("CUDA_VISIBLE_DEVICES", "1", 1) == 0, "setenv");
    lose_it(line, fleet, "it is not here any more", false);
    return serve_until_killed(line, 2);
}

/* There is room for one pool: the keeper let go of the one before. */
static int see_it_again(struct line *line, struct fleet *fleet)
{
    lose_it(line, fleet, "its memory was lost before", true);
    fleet_close(fleet);
    return 0;
}

static void test_memory_of_a_device_that_went_is_let_go(void **state)
{
    (void)state;
    bed_double();
    struct line line = {.switches = "devices=2,memory=160M",
        .which = "auto",
        .lives = {make_and_die, lose_sight, see_it_again}};
    run_line(&line, 2);
    (void)close(line.log);
}

static int make_and_fail(struct line *line, struct fleet *fleet)
{
    (void)open_and_hold(line, fleet);
    child_need(line->page, keep_ready(line->keep) == STATUS_OK, "ready");
    devices_failed(&fleet->devices, 0, line->keep);
    return 1;
}

static int adopt_and_fail(struct line *line, struct fleet *fleet)
{
    devices_adopt(&fleet->devices, line->keep, &fleet->log);
    child_need(line->page, fleet->devices.lost == 0, "lost after one failure");
    child_need(line->page, keep_ready(line->keep) == STATUS_OK, "ready");
    devices_failed(&fleet->devices, 0, line->keep);
    return 1;
}

static int leave_it_alone(struct line *line, struct fleet *fleet)
{
    char text[256];
    lose_it(line, fleet, "failed 2 times within a minute", false);
    devices_describe(&fleet->devices, true, text, sizeof text);
    child_need(line->page, strstr(text, ", lost\n") != NULL, "%s", text);
    fleet_close(fleet);
    return 0;
}

static void test_a_device_that_fails_twice_is_left_alone(void **state)
{
    (void)state;
    bed_double();
    struct line line = {.switches = "memory=160M",
        .which = "auto",
        .lives = {make_and_fail, adopt_and_fail, leave_it_alone}};
    run_line(&line, 0);
    (void)close(line.log);
}

static int lack_a_slab(struct line *line, struct fleet *fleet)
{
    keep_table_drop(&line->keep->held, KEEP_SLAB, 1);
    lose_it(line, fleet, "a slab of the sidecar cannot be imported", false);
    fleet_close(fleet);
    return 0;
}

static void test_a_pool_of_which_a_slab_is_missing_is_lost_whole(void **state)
{
    (void)state;
    bed_double();
    struct line line = {
        .switches = "memory=160M", .which = "auto", .lives = {make_and_die, lack_a_slab, NULL}};
    run_line(&line, 1);
    (void)close(line.log);
}

int main(void)
{
    if (!bed_found()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_killed_servers_memory_lives_on_in_the_next),
        cmocka_unit_test(test_legacy_memory_ends_with_its_server_and_is_made_anew),
        cmocka_unit_test(test_memory_of_a_device_that_went_is_let_go),
        cmocka_unit_test(test_a_device_that_fails_twice_is_left_alone),
        cmocka_unit_test(test_a_pool_of_which_a_slab_is_missing_is_lost_whole),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
