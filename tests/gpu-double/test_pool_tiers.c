/* pool_tiers: blocks between a device, host memory and a disk, at a real cisternd: whoever asks,
 * and wherever it went, a block is what was made. */
#include "tests/check.h"
#include "tests/e2e/gauge.h"
#include "tests/folder.h"
#include "tests/gpu-double/smith.h"

#include <stdio.h>
#include <stdlib.h>

#define CHAIN 8u
#define BLOCKS 1800u /* of 64 KiB: the device has room for 1024, host memory for 256 */
#define SETTLE 16u /* blocks between two looks at the copies */
#define QUIET 3u /* looks, a millisecond apart, that find none */
#define FETCH_NS INT64_C(20000000000)

struct scene {
    struct daemon daemon;
    char folder[64];
    char flag[96];
};

static int set_up(void **state)
{
    static struct scene scene;
    scene = (struct scene){.folder = "/tmp/cistern-cold-XXXXXX"};
    *state = &scene;
    if (mkdtemp(scene.folder) == NULL || setenv("CUDA_DOUBLE", "strict=1,delay_us=20", 1) != 0) {
        return -1;
    }
    (void)snprintf(scene.flag, sizeof scene.flag, "--nvme=%s", scene.folder);
    const char *flags[] = {"--device-pool=64MiB", scene.flag, "--nvme-size=256MiB",
        "--nvme-region=16MiB", "--nvme-admit=always", NULL};
    return daemon_start(&scene.daemon, flags) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    int clean = daemon_tear_down((void **)&(struct daemon *){&scene->daemon});
    return folder_remove(scene->folder) == 0 ? clean : -1;
}

static uint64_t count(const struct scene *scene, enum counter which)
{
    struct gauge gauge;
    assert_true(gauge_open(&gauge, scene->daemon.socket));
    uint64_t value = gauge_get(&gauge, which);
    gauge_close(&gauge);
    return value;
}

static int put_in_host(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    cistern_t *handle = worker_open(page, scene->daemon.socket, 0);
    for (uint64_t i = 1; i <= CHAIN; i++) {
        worker_put(page, handle, i);
    }
    cistern_close(&handle);
    return 0;
}

static int use_again(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    struct smith smith;
    smith_open(&smith, page, &scene->daemon);
    for (uint64_t i = 1; i <= CHAIN; i++) {
        uint32_t tier = SMITH_ANY;
        int status = smith_look(&smith, i, &tier);
        child_need(
            page, status == CISTERN_OK && tier == CISTERN_TIER_HOST, "%d, tier %u", status, tier);
        smith_find(&smith, i, CISTERN_TIER_DEVICE);
    }
    smith_close(&smith);
    return 0;
}

/* Without the device, all are in host memory still. */
static int find_in_host(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    cistern_t *handle = worker_open(page, scene->daemon.socket, 0);
    for (uint64_t i = 1; i <= CHAIN; i++) {
        worker_find(page, handle, i);
    }
    cistern_close(&handle);
    return 0;
}

static void test_a_block_that_is_used_again_comes_up_to_the_device(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(child_run(put_in_host, scene), 0);
    assert_int_equal(child_run(use_again, scene), 0);
    assert_int_equal(child_run(find_in_host, scene), 0);
    assert_true(count(scene, COUNTER_promotions) >= CHAIN);
    assert_int_equal(count(scene, COUNTER_demotions), 0);
}

/* Until no copy was under way for a while: copies hold their slots. */
static void settle(struct child_page *page, const struct gauge *gauge)
{
    for (uint32_t quiet = 0; quiet < QUIET; quiet++) {
        if (gauge_get(gauge, COUNTER_holds_now) != 0) {
            child_need(page, gauge_becomes(gauge, COUNTER_holds_now, 0), "copies never end");
            quiet = 0;
        }
        child_nap();
    }
}

static int make_all(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    struct smith smith;
    struct gauge gauge;
    smith_open(&smith, page, &scene->daemon);
    child_need(page, gauge_open(&gauge, scene->daemon.socket), "no gauge");
    for (uint64_t i = 0; i < BLOCKS; i += SETTLE) {
        smith_make(&smith, 1 + i, BLOCKS - i < SETTLE ? BLOCKS - i : SETTLE);
        settle(page, &gauge);
    }
    gauge_close(&gauge);
    smith_close(&smith);
    return 0;
}

/* Bring a block up; is it hot now? While all of host memory is under copies it is refused, and
 * asked for again, until then. */
static bool fetch(struct child_page *page, cistern_t *handle, uint64_t number, uint64_t deadline_ns)
{
    struct cistern_key key = worker_key(number);
    size_t hot = 0;
    int status = cistern_fetch(handle, &key, 1, FETCH_NS, &hot);
    while (status == CISTERN_MISS && child_now_ns() < deadline_ns) {
        child_nap();
        status = cistern_fetch(handle, &key, 1, FETCH_NS, &hot);
    }
    child_need(page, status == CISTERN_OK || status == CISTERN_MISS, "fetch: %s: %s",
        cistern_status_name(status), cistern_why());
    return status == CISTERN_OK;
}

#define WORD_TIER 0 /* and the next one: blocks that were found in this tier */

static int read_in_place(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    struct smith smith;
    uint64_t found[2] = {0};
    uint64_t deadline_ns = child_now_ns() + (uint64_t)WORKER_WAIT_NS;
    smith_open(&smith, page, &scene->daemon);
    for (uint64_t i = 1; i <= BLOCKS; i++) {
        uint32_t tier;
        if (fetch(page, smith.desk.handle, i, deadline_ns) &&
            smith_look(&smith, i, &tier) == CISTERN_OK) {
            found[tier]++;
        }
    }
    shared64_store_release(&page->word[WORD_TIER + CISTERN_TIER_HOST], found[CISTERN_TIER_HOST]);
    shared64_store_release(
        &page->word[WORD_TIER + CISTERN_TIER_DEVICE], found[CISTERN_TIER_DEVICE]);
    child_at(page, 1);
    smith_close(&smith);
    return 0;
}

static int read_without_device(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    uint64_t found = 0;
    uint64_t deadline_ns = child_now_ns() + (uint64_t)WORKER_WAIT_NS;
    cistern_t *handle = worker_open(page, scene->daemon.socket, 0);
    for (uint64_t i = 1; i <= BLOCKS; i++) {
        found += fetch(page, handle, i, deadline_ns) && worker_look(page, handle, i) == CISTERN_OK;
    }
    shared64_store_release(&page->word[WORD_TIER], found);
    child_at(page, 1);
    cistern_close(&handle);
    return 0;
}

/* How many blocks a reader finds, all right, in each tier. */
static uint64_t read_all(struct scene *scene, child_work *reader, uint64_t out_found[2])
{
    struct child child;
    assert_true(child_start(&child, reader, scene));
    (void)child_reaches(&child, 1);
    for (uint32_t tier = 0; tier < 2; tier++) {
        out_found[tier] = shared64_load_acquire(&child.page->word[WORD_TIER + tier]);
    }
    assert_int_equal(child_end(&child), 0);
    print_message("%llu blocks in host memory, %llu on the device, of %u\n",
        (unsigned long long)out_found[0], (unsigned long long)out_found[1], BLOCKS);
    return out_found[0] + out_found[1];
}

static void test_what_leaves_a_device_goes_to_host_memory_and_disk_and_comes_back(void **state)
{
    struct scene *scene = *state;
    uint64_t found[2];
    assert_int_equal(child_run(make_all, scene), 0);
    assert_true(count(scene, COUNTER_demotions) > 0);
    assert_true(count(scene, COUNTER_spills) > 0);
    print_message("dropped without a copy: %llu from the device, %llu from host memory\n",
        (unsigned long long)count(scene, COUNTER_moves_missed),
        (unsigned long long)count(scene, COUNTER_spills_missed));
    assert_int_equal(read_all(scene, read_in_place, found), BLOCKS);
    assert_true(found[CISTERN_TIER_HOST] > 0);
    assert_true(found[CISTERN_TIER_DEVICE] > 0);
    assert_true(count(scene, COUNTER_fetches) > 0);
    /* Who reads no device gets everything, too, and so does who comes after a server's death. */
    assert_int_equal(read_all(scene, read_without_device, found), BLOCKS);
    pid_t server = daemon_kill_server(&scene->daemon);
    assert_true(server > 0 && daemon_awaits(&scene->daemon, server) > 0);
    assert_int_equal(read_all(scene, read_in_place, found), BLOCKS);
    assert_true(found[CISTERN_TIER_DEVICE] > 0);
}

static int make_some(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    struct smith smith;
    smith_open(&smith, page, &scene->daemon);
    smith_make(&smith, 1, CHAIN);
    smith_close(&smith);
    return 0;
}

static int fetch_some(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    struct cistern_key keys[CHAIN];
    cistern_t *handle = worker_open(page, scene->daemon.socket, 0);
    struct cistern_match found = {.size = sizeof found};
    size_t hot = 0;
    for (uint32_t i = 0; i < CHAIN; i++) {
        keys[i] = worker_key(1 + i);
    }
    int status = cistern_match(handle, keys, CHAIN, &found);
    child_need(page, status == CISTERN_OK && found.hot == 0 && found.cold == CHAIN,
        "%d: %u hot, %u cold", status, found.hot, found.cold);
    status = cistern_fetch(handle, keys, CHAIN, FETCH_NS, &hot);
    child_need(page, status == CISTERN_OK && hot == CHAIN, "fetch: %d, %zu", status, hot);
    for (uint32_t i = 0; i < CHAIN; i++) {
        worker_find(page, handle, 1 + i);
    }
    cistern_close(&handle);
    return 0;
}

static void test_a_worker_without_the_device_fetches_what_only_that_has(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(child_run(make_some, scene), 0);
    assert_int_equal(child_run(fetch_some, scene), 0);
    assert_int_equal(count(scene, COUNTER_demotions), CHAIN);
    assert_int_equal(count(scene, COUNTER_tier_read_bytes), 0);
}

/* Claims the first block, makes it when another waits, and waits itself for the second. */
static int claim_first(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    struct smith smith;
    struct cistern_key keys[2] = {worker_key(1), worker_key(2)};
    smith_open(&smith, page, &scene->daemon);
    int status = cistern_claim(smith.desk.handle, &keys[0]);
    child_need(page, status == CISTERN_MINE, "claim: %d", status);
    child_at(page, 1);
    child_await(page, 2);
    smith_make(&smith, 1, 1);
    child_await(page, 3);
    status = cistern_claim(smith.desk.handle, &keys[1]);
    child_need(page, status == CISTERN_OTHER, "claim: %d", status);
    status = cistern_wait(smith.desk.handle, &keys[1], WORKER_WAIT_NS);
    child_need(page, status == CISTERN_OK, "wait: %d", status);
    smith_find(&smith, 2, SMITH_ANY);
    smith_close(&smith);
    return 0;
}

static int claim_second(void *context, struct child_page *page)
{
    const struct scene *scene = context;
    struct cistern_key keys[2] = {worker_key(1), worker_key(2)};
    cistern_t *handle = worker_open(page, scene->daemon.socket, 0);
    int status = cistern_claim(handle, &keys[1]);
    child_need(page, status == CISTERN_MINE, "claim: %d", status);
    status = cistern_claim(handle, &keys[0]);
    child_need(page, status == CISTERN_OTHER, "claim: %d", status);
    status = cistern_wait(handle, &keys[0], WORKER_WAIT_NS);
    child_need(page, status == CISTERN_OK, "wait: %d", status);
    status = worker_look(page, handle, 1);
    child_need(page, status == CISTERN_OK, "what was waited for: %d", status);
    child_at(page, 1);
    child_await(page, 2);
    worker_put(page, handle, 2);
    cistern_close(&handle);
    return 0;
}

static void test_workers_with_and_without_the_device_wait_for_each_other(void **state)
{
    struct scene *scene = *state;
    struct child first;
    struct child second;
    struct gauge gauge;
    assert_true(gauge_open(&gauge, scene->daemon.socket));
    assert_true(child_start(&first, claim_first, scene));
    assert_true(child_reaches(&first, 1));
    assert_true(child_start(&second, claim_second, scene));
    assert_true(gauge_reaches(&gauge, COUNTER_waits, 1));
    child_let(&first, 2);
    if (child_reaches(&second, 1)) {
        child_let(&first, 3);
        assert_true(gauge_reaches(&gauge, COUNTER_waits, 2));
    }
    child_let(&second, 2);
    assert_int_equal(child_end(&second), 0);
    assert_int_equal(child_end(&first), 0);
    gauge_close(&gauge);
}

int main(void)
{
    if (!daemon_is_built() || !bed_found()) {
        return CHECK_SKIP;
    }
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_block_that_is_used_again_comes_up_to_the_device),
        TEST(test_what_leaves_a_device_goes_to_host_memory_and_disk_and_comes_back),
        TEST(test_a_worker_without_the_device_fetches_what_only_that_has),
        TEST(test_workers_with_and_without_the_device_wait_for_each_other),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
