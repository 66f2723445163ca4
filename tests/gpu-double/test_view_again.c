/* view: sidecars come and go, processes fork, devices fail: what is read stays right, and what
 * nobody reads any more is let go. */
#include "tests/check.h"
#include "tests/gpu-double/stand.h"

#include "shm/status.h"

#define OTHER_POOL UINT64_C(0x8877665544332211)
#define POOL_BYTES (DOUBLE_SLABS * BED_SLAB_BYTES)

/* Call until the handle is on a sidecar again; its device is ready then, or not. */
static void attach_again(struct stand *stand)
{
    struct cistern_match found = {.size = sizeof found};
    int status = CISTERN_NO_SERVER;
    for (int i = 0; i < 10000 && status == CISTERN_NO_SERVER; i++) {
        status = cistern_match(stand->handle, stand->keys, 1, &found);
        child_nap();
    }
    child_need(stand->bed.page, status == CISTERN_OK, "attach: %d: %s", status, cistern_why());
}

static struct cistern_view view_of(struct stand *stand, uint32_t key)
{
    struct cistern_view view;
    size_t count = 0;
    STAND_EXPECT(
        stand, CISTERN_OK, cistern_acquire(stand->handle, &stand->keys[key], 1, &view, &count));
    return view;
}

/* The sidecar is gone, and the handle has seen it. */
static void lose_server(struct stand *stand)
{
    struct cistern_match found = {.size = sizeof found};
    double_stop(&stand->server);
    STAND_EXPECT(stand, CISTERN_NO_SERVER, cistern_match(stand->handle, stand->keys, 1, &found));
}

static int keep_pool(void *context, struct child_page *page)
{
    struct stand stand;
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand);
    stand_add(&stand, 0, 0, 20);
    struct cistern_view old = view_of(&stand, 0);
    double_crash(&stand.server);
    uint64_t free_bytes = stand_free_bytes(&stand);
    stand_restart(&stand, 1); /* before anybody misses it */
    struct cistern_stats stats = {.size = sizeof stats};
    struct cistern_match found = {.size = sizeof found};
    while (stats.reattaches == 0) { /* until a miss looks at the socket */
        (void)cistern_match(stand.handle, &stand.keys[9], 1, &found);
        child_nap();
        STAND_EXPECT(&stand, CISTERN_OK, cistern_stats(stand.handle, &stats));
    }
    stand_see(&stand, &old, CISTERN_TIER_DEVICE, 20);
    double_add_on(&stand.server, &stand.keys[0], DOUBLE_OWN, 0, DOUBLE_BLOCK);
    struct cistern_view next = view_of(&stand, 0);
    child_need(page, next.data == old.data, "the same memory has another address");
    child_need(page, stand_free_bytes(&stand) == free_bytes, "mapped twice");
    STAND_EXPECT(&stand, CISTERN_OK, cistern_release(stand.handle, &old, 1));
    stand_see(&stand, &next, CISTERN_TIER_DEVICE, 20);
    STAND_EXPECT(&stand, CISTERN_OK, cistern_release(stand.handle, &next, 1));
    stand_close(&stand);
    return 0;
}

static void the_same_memory_keeps_its_addresses(void **state)
{
    (void)state;
    assert_int_equal(child_run(keep_pool, NULL), 0);
}

/* A callback of the driver has been on the sidecar that is gone, and none will come again. */
static int end_callbacks(void *context, struct child_page *page)
{
    struct stand stand;
    struct cistern_slot slot;
    size_t count = 0;
    (void)context;
    stand_start(&stand, page);
    uint64_t free_bytes = stand_free_bytes(&stand);
    stand_open(&stand);
    STAND_EXPECT(
        &stand, CISTERN_OK, cistern_device_reserve(stand.device, 1, STAND_WAIT_NS, &slot, &count));
    STAND_EXPECT(&stand, CISTERN_OK,
        cistern_device_commit(
            stand.device, &slot, stand.keys, NULL, 1, DOUBLE_BLOCK, stand.stream.stream));
    STAND_EXPECT(&stand, CISTERN_OK, cistern_device_drain(stand.device, STAND_WAIT_NS));
    lose_server(&stand);
    slab_close(&stand.slabs);
    for (int i = 0; i < 1000 && stand_free_bytes(&stand) != free_bytes + POOL_BYTES; i++) {
        struct cistern_match found = {.size = sizeof found};
        (void)cistern_match(stand.handle, stand.keys, 1, &found);
        child_nap();
    }
    child_need(page, stand_free_bytes(&stand) == free_bytes + POOL_BYTES, "it is held");
    stand_make(&stand, OTHER_POOL);
    stand_restart(&stand, 3);
    stand_close(&stand);
    return 0;
}

static void threads_of_the_driver_keep_no_memory_of_a_sidecar_that_is_gone(void **state)
{
    (void)state;
    assert_int_equal(child_run(end_callbacks, NULL), 0);
}

static int change_pool(void *context, struct child_page *page)
{
    struct stand stand;
    struct cistern_slot slot;
    size_t count = 0;
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand);
    stand_add(&stand, 0, 0, 20);
    STAND_EXPECT(
        &stand, CISTERN_OK, cistern_device_reserve(stand.device, 1, STAND_WAIT_NS, &slot, &count));
    struct cistern_view old = view_of(&stand, 0);
    lose_server(&stand);
    slab_close(&stand.slabs);
    uint64_t free_bytes = stand_free_bytes(&stand); /* the old pool is ours alone now */
    stand_make(&stand, OTHER_POOL);
    stand_restart(&stand, 3);
    attach_again(&stand);
    stand_add(&stand, 0, 0, 30);
    struct cistern_view next = view_of(&stand, 0);
    stand_see(&stand, &next, CISTERN_TIER_DEVICE, 30);
    stand_see(&stand, &old, CISTERN_TIER_DEVICE, 20); /* not what lies there now */
    child_need(page, stand_free_bytes(&stand) == free_bytes - POOL_BYTES, "both are in use");
    STAND_EXPECT(&stand, CISTERN_OK, cistern_release(stand.handle, &old, 1));
    child_need(page, stand_free_bytes(&stand) == free_bytes - POOL_BYTES, "a slot is lent");
    STAND_EXPECT(&stand, CISTERN_NO_SERVER,
        cistern_commit(stand.handle, &slot, stand.keys, NULL, DOUBLE_BLOCK));
    child_need(page, stand_free_bytes(&stand) == free_bytes, "the old memory is let go");
    lose_server(&stand);
    slab_close(&stand.slabs);
    stand_make(&stand, STAND_POOL + 1);
    stand_restart(&stand, 5);
    attach_again(&stand);
    stand_see(&stand, &next, CISTERN_TIER_DEVICE, 30);
    child_need(page, stand_free_bytes(&stand) == free_bytes - POOL_BYTES, "a view is read");
    STAND_EXPECT(&stand, CISTERN_OK, cistern_release(stand.handle, &next, 1));
    child_need(page, stand_free_bytes(&stand) == free_bytes, "its memory is let go");
    stand_close(&stand);
    return 0;
}

static void other_memory_is_mapped_beside_what_is_still_read(void **state)
{
    (void)state;
    assert_int_equal(child_run(change_pool, NULL), 0);
}

static int stay_alone(void *context, struct child_page *page)
{
    struct stand stand;
    struct cistern_match found = {.size = sizeof found};
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand);
    stand_add(&stand, 0, 0, 20);
    stand_find(&stand, stand.handle, 0, CISTERN_TIER_DEVICE, 20);
    uint64_t free_bytes = stand_free_bytes(&stand);
    lose_server(&stand);
    slab_close(&stand.slabs);
    for (int i = 0; i < 10000 && stand_free_bytes(&stand) == free_bytes; i++) {
        (void)cistern_match(stand.handle, stand.keys, 1, &found);
        child_nap();
    }
    child_need(page, stand_free_bytes(&stand) == free_bytes + POOL_BYTES,
        "the memory of a sidecar that stopped lives on");
    STAND_EXPECT(&stand, CISTERN_NO_SERVER, cistern_device_ready(stand.handle));
    stand_restart(&stand, 9);
    stand_close(&stand);
    return 0;
}

static void nobodys_memory_does_not_live_on(void **state)
{
    (void)state;
    assert_int_equal(child_run(stay_alone, NULL), 0);
}

/* The driver calls back while no sidecar is attached, and the next one is there already: that
 * thread may not map its memory. */
static int call_back_between(void *context, struct child_page *page)
{
    struct stand stand;
    struct cistern_slot slot;
    size_t count = 0;
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand);
    STAND_EXPECT(
        &stand, CISTERN_OK, cistern_device_reserve(stand.device, 1, STAND_WAIT_NS, &slot, &count));
    bed_delay(&stand.bed, 200000);
    int result = stand.bed.driver.cuMemsetD8Async(
        (uint64_t)(uintptr_t)slot.data, 1, slot.bytes, stand.stream.stream);
    child_need(page, result == DRIVER_SUCCESS, "memset: %d", result);
    STAND_EXPECT(&stand, CISTERN_OK,
        cistern_device_commit(
            stand.device, &slot, stand.keys, NULL, 1, DOUBLE_BLOCK, stand.stream.stream));
    lose_server(&stand);
    struct slab_pool former = stand.slabs;
    stand_make(&stand, OTHER_POOL);
    stand_restart(&stand, 3);
    STAND_EXPECT(&stand, CISTERN_OK, cistern_device_drain(stand.device, STAND_WAIT_NS));
    bed_delay(&stand.bed, 0);
    attach_again(&stand);
    STAND_EXPECT(&stand, CISTERN_OK, cistern_device_ready(stand.handle));
    stand_add(&stand, 0, 0, 30);
    stand_find(&stand, stand.handle, 0, CISTERN_TIER_DEVICE, 30);
    slab_close(&former);
    stand_close(&stand);
    return 0;
}

static void a_thread_of_the_driver_attaches_nothing(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(call_back_between, NULL), 0);
}

static int in_child(void *context, struct child_page *page)
{
    struct stand *stand = context;
    struct cistern_view view;
    struct cistern_slot slot;
    size_t count;
    stand->bed.page = page;
    STAND_EXPECT(stand, CISTERN_FORKED, cistern_device_ready(stand->handle));
    STAND_EXPECT(
        stand, CISTERN_FORKED, cistern_acquire(stand->handle, stand->keys, 1, &view, &count));
    STAND_EXPECT(stand, CISTERN_FORKED, cistern_device_reserve(stand->device, 1, 0, &slot, &count));
    STAND_EXPECT(stand, CISTERN_FORKED, cistern_device_prefetch(stand->device, stand->keys, 1));
    cistern_device_close(&stand->device);
    cistern_close(&stand->handle);
    child_need(page, bed_violations(&stand->bed) == 0, "the driver was called");
    return 0;
}

static int fork_it(void *context, struct child_page *page)
{
    struct stand stand;
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand);
    stand_add(&stand, 0, 0, 20);
    struct cistern_view view = view_of(&stand, 0);
    child_need(page, child_run(in_child, &stand) == 0, "in the child");
    stand.bed.page = page;
    stand_see(&stand, &view, CISTERN_TIER_DEVICE, 20);
    STAND_EXPECT(&stand, CISTERN_OK, cistern_release(stand.handle, &view, 1));
    stand_find(&stand, stand.handle, 0, CISTERN_TIER_DEVICE, 20);
    stand_close(&stand);
    return 0;
}

static void a_forked_child_leaves_the_device_alone(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(fork_it, NULL), 0);
}

/* The device fails, the sidecar lives: the handle leaves, and comes back for host memory. */
static int lose(void *context, struct child_page *page)
{
    struct stand stand;
    struct cistern_slot slot;
    size_t count = 0;
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand);
    stand_add(&stand, 0, 0, 20);
    (void)double_add(&stand.server, &stand.keys[0], 10, DOUBLE_BLOCK);
    struct cistern_view view = view_of(&stand, 0);
    child_need(page, view.tier == CISTERN_TIER_DEVICE, "tier %u", view.tier);
    bed_break(&stand.bed, "cuLaunchHostFunc", 1);
    STAND_EXPECT(&stand, CISTERN_DEVICE_LOST,
        cistern_device_release(stand.device, &view, 1, stand.stream.stream));
    STAND_EXPECT(&stand, CISTERN_DEVICE_LOST, cistern_device_ready(stand.handle));
    child_need(page, !stand.server.goodbye_heard, "a view is pinned still");
    STAND_EXPECT(&stand, CISTERN_OK, cistern_release(stand.handle, &view, 1));
    attach_again(&stand);
    child_need(page, (stand.server.heard.flags & HELLO_DEVICE) == 0, "asked for again");
    stand_find(&stand, stand.handle, 0, CISTERN_TIER_HOST, 10);
    STAND_EXPECT(&stand, CISTERN_DEVICE_LOST, cistern_device_ready(stand.handle));
    child_need(page, strstr(cistern_why(), "host memory serves on") != NULL, "%s", cistern_why());
    STAND_EXPECT(
        &stand, CISTERN_UNSUPPORTED, cistern_device_reserve(stand.device, 1, 0, &slot, &count));
    for (int i = 0; i < 10000 && !stand.server.goodbye_heard; i++) {
        child_nap();
    }
    child_need(page, stand.server.goodbye_heard, "the session that had the device ends");
    /* And the next sidecar is not asked either. */
    double_stop(&stand.server);
    stand_restart(&stand, 4);
    attach_again(&stand);
    child_need(page, (stand.server.heard.flags & HELLO_DEVICE) == 0, "asked for again");
    cistern_device_close(&stand.device);
    cistern_close(&stand.handle);
    double_stop(&stand.server);
    return 0;
}

static void a_lost_device_leaves_host_memory(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(lose, NULL), 0);
}

/* The first to meet the failure is a copying get. */
static int lose_in_get(void *context, struct child_page *page)
{
    struct stand stand;
    uint8_t data[DOUBLE_BLOCK];
    uint64_t bytes = 0;
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand);
    stand_add(&stand, 0, 0, 20);
    bed_break(&stand.bed, "cuMemcpyAsync", 1);
    STAND_EXPECT(
        &stand, CISTERN_MISS, cistern_get(stand.handle, stand.keys, data, sizeof data, &bytes));
    STAND_EXPECT(&stand, CISTERN_DEVICE_LOST, cistern_device_ready(stand.handle));
    attach_again(&stand);
    (void)double_add(&stand.server, &stand.keys[0], 10, DOUBLE_BLOCK);
    stand_find(&stand, stand.handle, 0, CISTERN_TIER_HOST, 10);
    cistern_device_close(&stand.device);
    cistern_close(&stand.handle);
    double_stop(&stand.server);
    return 0;
}

static void a_copy_that_finds_the_device_lost_is_a_miss(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(lose_in_get, NULL), 0);
}

int main(void)
{
    if (!bed_found()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_memory_keeps_its_addresses),
        cmocka_unit_test(threads_of_the_driver_keep_no_memory_of_a_sidecar_that_is_gone),
        cmocka_unit_test(other_memory_is_mapped_beside_what_is_still_read),
        cmocka_unit_test(nobodys_memory_does_not_live_on),
        cmocka_unit_test(a_thread_of_the_driver_attaches_nothing),
        cmocka_unit_test(a_forked_child_leaves_the_device_alone),
        cmocka_unit_test(a_lost_device_leaves_host_memory),
        cmocka_unit_test(a_copy_that_finds_the_device_lost_is_a_miss),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
