/* view: a handle with a device reads its blocks there, and believes nothing that does not fit. */
#include "tests/check.h"
#include "tests/gpu-double/stand.h"

#include "shm/hint.h"
#include "shm/slot.h"
#include "shm/status.h"

#include <pthread.h>
#include <sys/mman.h>

/* A handle of the same worker without the device. */
static cistern_t *open_plain(struct stand *stand)
{
    struct cistern_options options = stand->options;
    cistern_t *plain = NULL;
    options.device = NULL;
    STAND_EXPECT(stand, CISTERN_OK, cistern_open(&options, &plain));
    return plain;
}

static struct cistern_match match(
    struct stand *stand, cistern_t *handle, uint32_t from, size_t count)
{
    struct cistern_match found = {.size = sizeof found};
    STAND_EXPECT(stand, CISTERN_OK, cistern_match(handle, &stand->keys[from], count, &found));
    return found;
}

static void misses(struct stand *stand, cistern_t *handle, uint32_t key)
{
    struct cistern_view view;
    size_t count;
    STAND_EXPECT(stand, CISTERN_MISS, cistern_acquire(handle, &stand->keys[key], 1, &view, &count));
}

static int prefer(void *context, struct child_page *page)
{
    struct stand stand;
    struct cistern_view views[3];
    size_t count = 0;
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand);
    child_need(page, (stand.server.heard.flags & HELLO_LATE_WRITES) != 0, "a GPU may write late");
    cistern_t *plain = open_plain(&stand);
    (void)double_add(&stand.server, &stand.keys[0], 10, DOUBLE_BLOCK);
    stand_add(&stand, 0, 0, 20); /* the second copy, in the emptier bucket */
    stand_add(&stand, 1, 1, 21);
    (void)double_add(&stand.server, &stand.keys[1], 11, DOUBLE_BLOCK);
    (void)double_add(&stand.server, &stand.keys[2], 12, DOUBLE_BLOCK);
    STAND_EXPECT(&stand, CISTERN_OK, cistern_acquire(stand.handle, stand.keys, 3, views, &count));
    child_need(page, count == 3, "%zu of 3", count);
    stand_see(&stand, &views[1], CISTERN_TIER_DEVICE, 21);
    stand_see(&stand, &views[2], CISTERN_TIER_HOST, 12);
    child_need(page, double_is_pinned(&stand.server, DOUBLE_OWN + 1), "the device's slot, pinned");
    STAND_EXPECT(&stand, CISTERN_OK, cistern_release(stand.handle, views, 3));
    child_need(page, !double_is_pinned(&stand.server, DOUBLE_OWN + 1), "and let go");
    STAND_EXPECT(&stand, CISTERN_OK, cistern_acquire(plain, stand.keys, 3, views, &count));
    for (uint32_t i = 0; i < 3; i++) {
        stand_see(&stand, &views[i], CISTERN_TIER_HOST, (uint8_t)(10 + i));
    }
    STAND_EXPECT(&stand, CISTERN_OK, cistern_release(plain, views, 3));
    stand_find(&stand, stand.handle, 1, CISTERN_TIER_DEVICE, 21);
    stand_find(&stand, plain, 1, CISTERN_TIER_HOST, 11);
    struct cistern_stats stats = {.size = sizeof stats};
    STAND_EXPECT(&stand, CISTERN_OK, cistern_stats(stand.handle, &stats));
    child_need(page, stats.device == 1, "views may be of the device");
    STAND_EXPECT(&stand, CISTERN_OK, cistern_stats(plain, &stats));
    child_need(page, stats.device == 0, "not those of a handle without");
    cistern_close(&plain);
    stand_close(&stand);
    return 0;
}

static void a_handle_with_a_device_prefers_the_devices_copy(void **state)
{
    (void)state;
    assert_int_equal(child_run(prefer, NULL), 0);
}

/* Key 0 lies in the handle's device alone, key 1 in another device alone. */
static int see_elsewhere(void *context, struct child_page *page)
{
    struct stand stand;
    size_t hot = 0;
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand);
    cistern_t *plain = open_plain(&stand);
    stand_add(&stand, 0, 0, 20);
    double_add_on(&stand.server, &stand.keys[1], DOUBLE_OTHERS, 0, DOUBLE_BLOCK);
    struct cistern_match found = match(&stand, stand.handle, 0, 3);
    child_need(page, found.hot == 1 && found.cold == 1, "%u hot, %u cold", found.hot, found.cold);
    found = match(&stand, plain, 0, 3);
    child_need(page, found.hot == 0 && found.cold == 2, "%u hot, %u cold", found.hot, found.cold);
    misses(&stand, stand.handle, 1);
    misses(&stand, plain, 0);
    misses(&stand, plain, 1);
    double_keep(&stand.server, &stand.keys[0], 30, DOUBLE_BLOCK);
    double_keep(&stand.server, &stand.keys[1], 31, DOUBLE_BLOCK);
    STAND_EXPECT(&stand, CISTERN_OK, cistern_fetch(plain, stand.keys, 3, STAND_WAIT_NS, &hot));
    child_need(page, hot == 2, "%zu of 2 came to host memory", hot);
    stand_find(&stand, plain, 0, CISTERN_TIER_HOST, 30);
    stand_find(&stand, stand.handle, 0, CISTERN_TIER_DEVICE, 20);
    stand_find(&stand, stand.handle, 1, CISTERN_TIER_HOST, 31);
    cistern_close(&plain);
    stand_close(&stand);
    return 0;
}

static void what_only_a_device_has_is_cold_to_who_does_not_read_it(void **state)
{
    (void)state;
    assert_int_equal(child_run(see_elsewhere, NULL), 0);
}

/* Hints that name slots which hold something else, or are being retired. */
static int be_stale(void *context, struct child_page *page)
{
    struct stand stand;
    struct key key;
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand);
    stand_add(&stand, 1, 1, 21);
    memcpy(&key, &stand.keys[0], sizeof key);
    (void)pthread_mutex_lock(&stand.server.lock);
    child_need(page, hint_add(&stand.server.view, &key, HINT_HOT, DOUBLE_OWN + 1), "a hint");
    (void)pthread_mutex_unlock(&stand.server.lock);
    misses(&stand, stand.handle, 0);
    child_need(page, match(&stand, stand.handle, 0, 1).hot == 0, "a stale hint is not hot");
    (void)double_add(&stand.server, &stand.keys[0], 10, DOUBLE_BLOCK);
    stand_find(&stand, stand.handle, 0, CISTERN_TIER_HOST, 10); /* behind the stale one */
    stand_add(&stand, 0, 2, 20);
    stand_find(&stand, stand.handle, 0, CISTERN_TIER_DEVICE, 20);
    slot_mark(&stand.server.view.lines[DOUBLE_OWN + 2]);
    stand_find(&stand, stand.handle, 0, CISTERN_TIER_HOST, 10); /* the other is on its way out */
    child_need(page, !double_is_pinned(&stand.server, DOUBLE_OWN + 2), "and not kept");
    slot_unmark(&stand.server.view.lines[DOUBLE_OWN + 2]);
    stand_find(&stand, stand.handle, 0, CISTERN_TIER_DEVICE, 20);
    stand_close(&stand);
    return 0;
}

static void stale_hints_of_one_memory_lead_to_the_other(void **state)
{
    (void)state;
    assert_int_equal(child_run(be_stale, NULL), 0);
}

/* A hostile index: a line that claims another memory than its number says, or a place outside. */
static int lie(void *context, struct child_page *page)
{
    struct stand stand;
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand);
    stand_add(&stand, 0, 0, 20);
    uint32_t host = double_add(&stand.server, &stand.keys[1], 11, DOUBLE_BLOCK);
    _Atomic uint64_t *place = &stand.server.view.lines[DOUBLE_OWN].place;
    const uint64_t own = UINT64_C(2) << 48; /* the second device's tier */
    const uint64_t bytes = DOUBLE_SLABS * BED_SLAB_BYTES;
    const uint64_t wrong[] = {0, UINT64_C(1) << 48, UINT64_C(3) << 48, UINT64_C(255) << 48,
        own | (bytes - DOUBLE_BLOCK + 1), own | bytes, own | SLOT_OFFSET_MAX};
    for (size_t i = 0; i < CHECK_COUNT(wrong); i++) {
        shared64_store_relaxed(place, wrong[i]);
        misses(&stand, stand.handle, 0);
        bool tier = wrong[i] >> 48 == 2;
        child_need(page, tier || match(&stand, stand.handle, 0, 1).hot == 0, "%zu is hot", i);
        child_need(page, !double_is_pinned(&stand.server, DOUBLE_OWN), "%zu is pinned", i);
    }
    shared64_store_relaxed(place, own | (bytes - DOUBLE_BLOCK));
    bed_fill(&stand.bed, slab_address(&stand.slabs, bytes - DOUBLE_BLOCK), DOUBLE_BLOCK, 22);
    stand_find(&stand, stand.handle, 0, CISTERN_TIER_DEVICE, 22); /* the last place there is */
    shared64_store_relaxed(&stand.server.view.lines[host].place, own);
    misses(&stand, stand.handle, 1);
    child_need(page, match(&stand, stand.handle, 1, 1).hot == 0, "a host slot on a device");
    stand_close(&stand);
    return 0;
}

static void a_line_that_claims_another_memory_is_not_believed(void **state)
{
    (void)state;
    assert_int_equal(child_run(lie, NULL), 0);
}

static void get(struct stand *stand, uint32_t key, uint8_t value)
{
    uint8_t data[DOUBLE_BLOCK];
    uint64_t bytes = 0;
    memset(data, 0, sizeof data);
    STAND_EXPECT(stand, CISTERN_OK,
        cistern_get(stand->handle, &stand->keys[key], data, sizeof data, &bytes));
    child_need(stand->bed.page,
        bytes == sizeof data && data[0] == value && data[sizeof data - 1] == value, "%u, not %u",
        data[0], value);
}

static int get_both(void *context, struct child_page *page)
{
    struct stand stand;
    uint64_t bytes = 0;
    uint8_t data[DOUBLE_BLOCK];
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand);
    stand_add(&stand, 0, 0, 20);
    stand_add(&stand, 1, 1, 21);
    (void)double_add(&stand.server, &stand.keys[1], 11, DOUBLE_BLOCK);
    bed_delay(&stand.bed, 20000);
    get(&stand, 0, 20);
    bed_delay(&stand.bed, 0);
    get(&stand, 1, 11);
    child_need(page, !double_is_pinned(&stand.server, DOUBLE_OWN), "let go");
    if (bed_is_double()) {
        bed_fail(&stand.bed, "cuMemcpyAsync", 1, DRIVER_OUT_OF_MEMORY);
        STAND_EXPECT(
            &stand, CISTERN_MISS, cistern_get(stand.handle, stand.keys, data, sizeof data, &bytes));
        get(&stand, 0, 20);
    }
    /* To put a block into host memory that only the device has is no waste. */
    memset(data, 30, sizeof data);
    STAND_EXPECT(
        &stand, CISTERN_OK, cistern_put(stand.handle, stand.keys, NULL, data, sizeof data));
    STAND_EXPECT(&stand, CISTERN_OK, cistern_flush(stand.handle, STAND_WAIT_NS));
    get(&stand, 0, 30);
    stand_close(&stand);
    return 0;
}

static void a_copy_comes_from_host_memory_if_it_can(void **state)
{
    (void)state;
    assert_int_equal(child_run(get_both, NULL), 0);
}

static void *get_late(void *context)
{
    struct stand *stand = context;
    uint8_t data[DOUBLE_BLOCK];
    uint64_t bytes = 0;
    STAND_EXPECT(
        stand, CISTERN_MISS, cistern_get(stand->handle, stand->keys, data, sizeof data, &bytes));
    return NULL;
}

/* The slot gets another block while the device copies, which no sidecar does. */
static int change_under(void *context, struct child_page *page)
{
    struct stand stand;
    pthread_t thread;
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand);
    stand_add(&stand, 0, 0, 20);
    bed_delay(&stand.bed, 300000);
    child_need(page, pthread_create(&thread, NULL, get_late, &stand) == 0, "no thread");
    while (!double_is_pinned(&stand.server, DOUBLE_OWN)) {
        child_nap();
    }
    child_nap(); /* it has believed the line by now, or misses in any case */
    (void)pthread_mutex_lock(&stand.server.lock);
    slot_mark(&stand.server.view.lines[DOUBLE_OWN]);
    slot_free(&stand.server.view.lines[DOUBLE_OWN]);
    (void)slot_reserve(&stand.server.view.lines[DOUBLE_OWN], SLOT_LOADING);
    (void)pthread_mutex_unlock(&stand.server.lock);
    child_need(page, pthread_join(thread, NULL) == 0, "join");
    struct cistern_stats stats = {.size = sizeof stats};
    STAND_EXPECT(&stand, CISTERN_OK, cistern_stats(stand.handle, &stats));
    child_need(
        page, stats.violations == 1, "%llu violations", (unsigned long long)stats.violations);
    bed_delay(&stand.bed, 0);
    stand_close(&stand);
    return 0;
}

static void a_copy_of_a_slot_that_changed_is_thrown_away(void **state)
{
    (void)state;
    bed_double();
    assert_int_equal(child_run(change_under, NULL), 0);
}

/* What a maker of cuIpc handles gives out. */
struct gift {
    uint8_t ipc[DOUBLE_SLABS][HELLO_IPC];
};

/* A process of its own: cuIpc handles are not for the process that made them. */
static int make_legacy(void *context, struct child_page *page)
{
    struct gift *gift = context;
    struct bed bed;
    struct slab_pool pool;
    bed_open(&bed, page, "delay_us=0,devices=2", "auto");
    int status = slab_make(
        &bed.gpu, SLAB_LEGACY, DOUBLE_SLABS, BED_SLAB_BYTES, &pool, bed.why, sizeof bed.why);
    child_need(page, status == STATUS_OK, "make: %s", bed.why);
    for (uint32_t i = 0; i < DOUBLE_SLABS; i++) {
        bed_fill(&bed, slab_address(&pool, i * BED_SLAB_BYTES), BED_SLAB_BYTES, (uint8_t)(i + 1));
        memcpy(gift->ipc[i], pool.slab[i].ipc.byte, HELLO_IPC);
    }
    child_at(page, 1);
    child_await(page, 2);
    slab_close(&pool);
    bed_close(&bed);
    return 0;
}

/* Slabs that lie apart: a block is in one of them, or it is not believed. */
static int read_legacy(void *context, struct child_page *page)
{
    const struct gift *gift = context;
    const struct double_faults wild = {.wild_grants = true};
    struct stand stand;
    struct cistern_slot slot;
    size_t count = 0;
    stand_start(&stand, page);
    double_stop(&stand.server);
    stand.offer.kind = HELLO_SLABS_IPC;
    memcpy(stand.offer.ipc, gift->ipc, sizeof gift->ipc);
    double_start_with(&stand.server, stand.path, 1, &wild, &stand.offer);
    stand_open(&stand);
    const uint64_t edge = BED_SLAB_BYTES;
    const uint64_t places[] = {0, edge - DOUBLE_BLOCK, edge, 2 * edge - DOUBLE_BLOCK};
    for (uint32_t i = 0; i < CHECK_COUNT(places); i++) {
        double_add_on(&stand.server, &stand.keys[i], DOUBLE_OWN + i, places[i], DOUBLE_BLOCK);
        stand_find(&stand, stand.handle, i, CISTERN_TIER_DEVICE, (uint8_t)(1 + places[i] / edge));
    }
    double_add_on(
        &stand.server, &stand.keys[5], DOUBLE_OWN + 5, edge - DOUBLE_BLOCK + 1, DOUBLE_BLOCK);
    misses(&stand, stand.handle, 5);
    int status = cistern_device_reserve(stand.device, 1, 50000000, &slot, &count);
    child_need(page, status == CISTERN_BUSY, "a slot in two slabs: %d", status);
    stand_close(&stand);
    return 0;
}

static void blocks_lie_in_one_slab_each_where_slabs_lie_apart(void **state)
{
    struct child maker;
    (void)state;
    struct gift *gift =
        mmap(NULL, sizeof *gift, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(gift, MAP_FAILED);
    assert_true(child_start(&maker, make_legacy, gift));
    assert_true(child_reaches(&maker, 1));
    assert_int_equal(child_run(read_legacy, gift), 0);
    child_let(&maker, 2);
    assert_int_equal(child_end(&maker), 0);
    (void)munmap(gift, sizeof *gift);
}

int main(void)
{
    if (!bed_found()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handle_with_a_device_prefers_the_devices_copy),
        cmocka_unit_test(what_only_a_device_has_is_cold_to_who_does_not_read_it),
        cmocka_unit_test(stale_hints_of_one_memory_lead_to_the_other),
        cmocka_unit_test(a_line_that_claims_another_memory_is_not_believed),
        cmocka_unit_test(a_copy_comes_from_host_memory_if_it_can),
        cmocka_unit_test(a_copy_of_a_slot_that_changed_is_thrown_away),
        cmocka_unit_test(blocks_lie_in_one_slab_each_where_slabs_lie_apart),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
