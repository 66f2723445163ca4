/* view: slots in a device's memory, and what a stream does with them and with views: committed and
 * released when it got there, not before. */
#include "tests/check.h"
#include "tests/gpu-double/stand.h"

#include "shm/slot.h"
#include "shm/status.h"

#define LATE_US 50000u
#define CHAIN 4u

static void fill(struct stand *stand, const struct cistern_slot *slot, uint8_t value)
{
    int result = stand->bed.driver.cuMemsetD8Async(
        (uint64_t)(uintptr_t)slot->data, value, slot->bytes, stand->stream.stream);
    child_need(stand->bed.page, result == DRIVER_SUCCESS, "memset: %d", result);
}

static void lend(struct stand *stand, size_t count, struct cistern_slot *out_slots)
{
    size_t got = 0;
    STAND_EXPECT(stand, CISTERN_OK,
        cistern_device_reserve(stand->device, count, STAND_WAIT_NS, out_slots, &got));
    child_need(stand->bed.page, got == count, "%zu of %zu slots", got, count);
}

static uint32_t hot(struct stand *stand)
{
    struct cistern_match found = {.size = sizeof found};
    STAND_EXPECT(stand, CISTERN_OK, cistern_match(stand->handle, stand->keys, CHAIN, &found));
    return found.hot;
}

static void drain(struct stand *stand)
{
    STAND_EXPECT(stand, CISTERN_OK, cistern_device_drain(stand->device, STAND_WAIT_NS));
    STAND_EXPECT(stand, CISTERN_OK, cistern_flush(stand->handle, STAND_WAIT_NS));
    /* The commits of the driver's thread are in another seat's ring: its double reads them soon. */
}

static void becomes_hot(struct stand *stand, uint32_t count)
{
    for (int i = 0; i < 10000 && hot(stand) < count; i++) {
        child_nap();
    }
    child_need(stand->bed.page, hot(stand) == count, "%u of %u", hot(stand), count);
}

static int produce(void *context, struct child_page *page)
{
    struct stand stand;
    struct cistern_slot slots[CHAIN];
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand);
    child_need(page, double_count_lent(&stand.server) == 0, "nothing is lent before it is used");
    lend(&stand, CHAIN, slots);
    bed_delay(&stand.bed, LATE_US);
    for (uint32_t i = 0; i < CHAIN; i++) {
        fill(&stand, &slots[i], (uint8_t)(40 + i));
    }
    struct cistern_slot copy = slots[0];
    STAND_EXPECT(&stand, CISTERN_OK,
        cistern_device_commit(
            stand.device, slots, stand.keys, NULL, CHAIN, DOUBLE_BLOCK, stand.stream.stream));
    child_need(page, slots[0].data == NULL, "the device's now");
    child_need(page, hot(&stand) == 0 || !bed_is_double(), "hot before the stream got there");
    drain(&stand);
    becomes_hot(&stand, CHAIN);
    STAND_EXPECT(&stand, CISTERN_STALE, cistern_abort(stand.handle, &copy));
    bed_delay(&stand.bed, 0);
    for (uint32_t i = 0; i < CHAIN; i++) {
        stand_find(&stand, stand.handle, i, CISTERN_TIER_DEVICE, (uint8_t)(40 + i));
    }
    stand_close(&stand);
    return 0;
}

static void a_slot_is_committed_when_the_stream_got_there(void **state)
{
    (void)state;
    assert_int_equal(child_run(produce, NULL), 0);
}

static int consume(void *context, struct child_page *page)
{
    struct stand stand;
    struct cistern_view views[2];
    size_t count = 0;
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand);
    stand_add(&stand, 0, 0, 20);
    stand_add(&stand, 1, 1, 21);
    STAND_EXPECT(&stand, CISTERN_OK, cistern_acquire(stand.handle, stand.keys, 2, views, &count));
    struct cistern_view copy = views[0];
    struct cistern_slot work;
    lend(&stand, 1, &work);
    bed_delay(&stand.bed, 4 * LATE_US);
    fill(&stand, &work, 1); /* what the stream still has to do */
    STAND_EXPECT(
        &stand, CISTERN_OK, cistern_device_release(stand.device, views, 2, stand.stream.stream));
    child_need(page, views[0].data == NULL, "the device's now");
    STAND_EXPECT(&stand, CISTERN_STALE, cistern_release(stand.handle, views, 2));
    if (bed_is_double()) {
        child_need(page, double_is_pinned(&stand.server, DOUBLE_OWN), "pinned until then");
    }
    drain(&stand);
    child_need(page, !double_is_pinned(&stand.server, DOUBLE_OWN), "and no longer");
    STAND_EXPECT(&stand, CISTERN_STALE, cistern_release(stand.handle, &copy, 1));
    STAND_EXPECT(&stand, CISTERN_OK, cistern_abort(stand.handle, &work));
    stand_close(&stand);
    return 0;
}

static void a_view_is_released_when_the_stream_got_there(void **state)
{
    (void)state;
    assert_int_equal(child_run(consume, NULL), 0);
}

/* From one device slot into another, by copies. */
static int copy(void *context, struct child_page *page)
{
    struct stand stand;
    struct cistern_slot slots[2];
    struct cistern_view view;
    size_t count = 0;
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand);
    stand_add(&stand, 0, 0, 20);
    lend(&stand, 2, slots);
    STAND_EXPECT(&stand, CISTERN_OK, cistern_acquire(stand.handle, stand.keys, 1, &view, &count));
    struct cistern_piece tensor = {
        .address = (uint64_t)(uintptr_t)slots[0].data, .bytes = DOUBLE_BLOCK};
    bed_delay(&stand.bed, LATE_US);
    STAND_EXPECT(&stand, CISTERN_OK,
        cistern_device_read(stand.device, &view, 1, &tensor, 1, stand.stream.stream));
    STAND_EXPECT(&stand, CISTERN_OK,
        cistern_device_write(
            stand.device, &slots[1], &stand.keys[1], NULL, 1, &tensor, 1, stand.stream.stream));
    drain(&stand);
    becomes_hot(&stand, 2);
    bed_delay(&stand.bed, 0);
    stand_find(&stand, stand.handle, 1, CISTERN_TIER_DEVICE, 20);
    STAND_EXPECT(&stand, CISTERN_OK, cistern_abort(stand.handle, &slots[0]));
    stand_close(&stand);
    return 0;
}

static void blocks_are_copied_to_and_from_the_devices_memory(void **state)
{
    (void)state;
    assert_int_equal(child_run(copy, NULL), 0);
}

static uint32_t lent_within(struct stand *stand, uint32_t first, uint32_t end)
{
    uint32_t count = 0;
    STAND_EXPECT(stand, CISTERN_OK, cistern_flush(stand->handle, STAND_WAIT_NS));
    for (uint32_t i = first; i < end; i++) {
        uint64_t state = slot_load_state(&stand->server.view.lines[i]);
        count += slot_state_of(state) == SLOT_RESERVED;
    }
    return count;
}

static bool has_checksum(struct stand *stand, uint32_t key)
{
    struct slot_content content;
    struct cistern_view view;
    size_t count = 0;
    STAND_EXPECT(
        stand, CISTERN_OK, cistern_acquire(stand->handle, &stand->keys[key], 1, &view, &count));
    slot_load_place(&stand->server.view.lines[view.opaque[0]], &content);
    STAND_EXPECT(stand, CISTERN_OK, cistern_release(stand->handle, &view, 1));
    return (content.flags & SLOT_CHECKSUM) != 0;
}

/* Two books a seat: neither takes from the other, and both are given back. */
static int keep_books(void *context, struct child_page *page)
{
    struct stand stand;
    struct cistern_slot slots[4];
    struct cistern_slot host;
    size_t count = 0;
    (void)context;
    stand_start(&stand, page);
    stand.options.flags = CISTERN_CHECKSUM;
    stand.offer.grants = 4;
    stand_open(&stand);
    STAND_EXPECT(
        &stand, CISTERN_OK, cistern_reserve(stand.handle, 1, STAND_WAIT_NS, &host, &count));
    child_need(page, lent_within(&stand, DOUBLE_SLOTS, DOUBLE_SLOTS_ALL) == 0, "of a device");
    lend(&stand, 3, slots);
    memset(host.data, 7, host.bytes);
    uint64_t base = (uint64_t)(uintptr_t)slots[0].data % BED_SLAB_BYTES;
    child_need(page, base % DOUBLE_BLOCK == 0 && slots[0].bytes == DOUBLE_BLOCK, "a device's slot");
    bed_fill(&stand.bed, (uint64_t)(uintptr_t)slots[0].data, DOUBLE_BLOCK, 50);
    STAND_EXPECT(&stand, CISTERN_OK,
        cistern_commit(stand.handle, &slots[0], &stand.keys[0], NULL, DOUBLE_BLOCK));
    STAND_EXPECT(&stand, CISTERN_OK,
        cistern_commit(stand.handle, &host, &stand.keys[1], &stand.keys[0], DOUBLE_BLOCK));
    STAND_EXPECT(&stand, CISTERN_OK, cistern_abort(stand.handle, &slots[1]));
    STAND_EXPECT(&stand, CISTERN_STALE, cistern_abort(stand.handle, &slots[1]));
    STAND_EXPECT(&stand, CISTERN_OK, cistern_flush(stand.handle, STAND_WAIT_NS));
    stand_find(&stand, stand.handle, 0, CISTERN_TIER_DEVICE, 50);
    stand_find(&stand, stand.handle, 1, CISTERN_TIER_HOST, 7);
    child_need(page, !has_checksum(&stand, 0) && has_checksum(&stand, 1), "of host memory alone");
    struct cistern_slot more[3];
    lend(&stand, 3, more);
    STAND_EXPECT(
        &stand, CISTERN_LIMIT, cistern_device_reserve(stand.device, 1, 0, &slots[3], &count));
    STAND_EXPECT(
        &stand, CISTERN_INVALID, cistern_device_reserve(stand.device, 129, 0, &slots[3], &count));
    STAND_EXPECT(&stand, CISTERN_INVALID, cistern_device_reserve(NULL, 1, 0, &slots[3], &count));
    stand_close(&stand);
    return 0;
}

static void slots_of_two_memories_are_kept_apart(void **state)
{
    (void)state;
    assert_int_equal(child_run(keep_books, NULL), 0);
}

/* The handle's one seat is this thread's, so the driver's thread cannot commit. */
static int settle_late(void *context, struct child_page *page)
{
    struct stand stand;
    struct cistern_slot slot;
    (void)context;
    stand_start(&stand, page);
    stand.options.threads_max = 1;
    stand_open(&stand);
    lend(&stand, 1, &slot);
    fill(&stand, &slot, 60);
    STAND_EXPECT(&stand, CISTERN_OK,
        cistern_device_commit(
            stand.device, &slot, stand.keys, NULL, 1, DOUBLE_BLOCK, stand.stream.stream));
    int result = stand.bed.driver.cuStreamSynchronize(stand.stream.stream);
    child_need(page, result == DRIVER_SUCCESS, "stream: %d", result);
    STAND_EXPECT(&stand, CISTERN_OK, cistern_flush(stand.handle, STAND_WAIT_NS));
    child_need(page, hot(&stand) == 0, "there was a seat");
    lend(&stand, 1, &slot);
    becomes_hot(&stand, 1);
    stand_find(&stand, stand.handle, 0, CISTERN_TIER_DEVICE, 60);
    STAND_EXPECT(&stand, CISTERN_OK, cistern_abort(stand.handle, &slot));
    stand_close(&stand);
    return 0;
}

static void a_commit_that_found_no_seat_is_made_by_the_next_reserve(void **state)
{
    (void)state;
    assert_int_equal(child_run(settle_late, NULL), 0);
}

static int lend_outside(void *context, struct child_page *page)
{
    struct stand stand;
    struct cistern_slot slot;
    size_t count = 0;
    const struct double_faults wild = {.wild_grants = true};
    (void)context;
    stand_start(&stand, page);
    double_stop(&stand.server);
    double_start_with(&stand.server, stand.path, 1, &wild, &stand.offer);
    stand_open(&stand);
    int status = cistern_device_reserve(stand.device, 1, 50000000, &slot, &count);
    child_need(page, status == CISTERN_BUSY && count == 0, "a slot outside: %d", status);
    stand_close(&stand);
    return 0;
}

static void a_grant_outside_the_devices_memory_is_not_kept(void **state)
{
    (void)state;
    assert_int_equal(child_run(lend_outside, NULL), 0);
}

/* What lies in the memory of one device is out of another one's reach: a copy would break it. */
static int use_another(void *context, struct child_page *page)
{
    struct stand stand;
    struct gpu second;
    char text[GPU_UUID_TEXT];
    cistern_device_t *other = NULL;
    cistern_device_t *same = NULL;
    struct cistern_view view;
    struct cistern_slot slot;
    size_t count = 0;
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand);
    if (gpu_at(&stand.bed.driver, 1, &second) != STATUS_OK) {
        stand_close(&stand);
        return 0; /* a machine with one device */
    }
    stand_add(&stand, 0, 0, 20);
    gpu_uuid_text(&second.uuid, text);
    STAND_EXPECT(&stand, CISTERN_OK, cistern_device_open(stand.handle, text, &other));
    STAND_EXPECT(&stand, CISTERN_UNSUPPORTED, cistern_device_reserve(other, 1, 0, &slot, &count));
    STAND_EXPECT(&stand, CISTERN_UNSUPPORTED, cistern_device_prefetch(other, stand.keys, 1));
    STAND_EXPECT(&stand, CISTERN_OK, cistern_acquire(stand.handle, stand.keys, 1, &view, &count));
    struct cistern_piece piece = {.address = (uint64_t)(uintptr_t)view.data, .bytes = 64};
    STAND_EXPECT(&stand, CISTERN_INVALID, cistern_device_release(other, &view, 1, NULL));
    STAND_EXPECT(&stand, CISTERN_INVALID, cistern_device_read(other, &view, 1, &piece, 1, NULL));
    lend(&stand, 1, &slot);
    STAND_EXPECT(&stand, CISTERN_INVALID,
        cistern_device_commit(other, &slot, stand.keys, NULL, 1, 64, NULL));
    STAND_EXPECT(&stand, CISTERN_INVALID,
        cistern_device_commit(stand.device, &slot, stand.keys, NULL, 1, DOUBLE_BLOCK + 1, NULL));
    gpu_uuid_text(&stand.bed.gpu.uuid, text);
    STAND_EXPECT(&stand, CISTERN_OK, cistern_device_open(stand.handle, text, &same));
    child_need(page, strstr(cistern_device_about(same), "own") != NULL, "not shared");
    STAND_EXPECT(&stand, CISTERN_OK, cistern_device_release(same, &view, 1, stand.stream.stream));
    STAND_EXPECT(&stand, CISTERN_OK, cistern_device_drain(same, STAND_WAIT_NS));
    STAND_EXPECT(&stand, CISTERN_OK, cistern_abort(stand.handle, &slot));
    cistern_device_close(&other);
    cistern_device_close(&same);
    stand_close(&stand);
    return 0;
}

static void another_device_reaches_nothing_of_it(void **state)
{
    (void)state;
    assert_int_equal(child_run(use_another, NULL), 0);
}

/* 0 on the device, 1 and 3 in host memory, 2 in both, 4 nowhere. */
static int hint(void *context, struct child_page *page)
{
    struct stand stand;
    struct double_seen seen;
    struct key key;
    (void)context;
    stand_start(&stand, page);
    stand_open(&stand);
    stand_add(&stand, 0, 0, 20);
    stand_add(&stand, 2, 2, 22);
    for (uint32_t i = 1; i < 4; i++) {
        (void)double_add(&stand.server, &stand.keys[i], (uint8_t)i, DOUBLE_BLOCK);
    }
    STAND_EXPECT(&stand, CISTERN_OK, cistern_device_prefetch(stand.device, stand.keys, 1));
    STAND_EXPECT(&stand, CISTERN_OK, cistern_flush(stand.handle, STAND_WAIT_NS));
    double_look(&stand.server, &seen);
    child_need(page, seen.batches == 0, "it is there");
    STAND_EXPECT(&stand, CISTERN_OK, cistern_device_prefetch(stand.device, stand.keys, 8));
    STAND_EXPECT(&stand, CISTERN_OK, cistern_flush(stand.handle, STAND_WAIT_NS));
    double_look(&stand.server, &seen);
    child_need(page, seen.batches == 1 && seen.last.count == 3, "%u blocks", seen.last.count);
    child_need(page, seen.last.first.flags == (REQUEST_AHEAD | REQUEST_DEVICE | REQUEST_PARENT),
        "flags %u", seen.last.first.flags);
    memcpy(&key, &stand.keys[1], sizeof key);
    child_need(page, memcmp(&seen.last.keys[0], &key, sizeof key) == 0, "from the second on");
    STAND_EXPECT(&stand, CISTERN_INVALID, cistern_device_prefetch(stand.device, stand.keys, 0));
    stand_close(&stand);
    return 0;
}

static void a_hint_asks_for_what_is_in_host_memory_alone(void **state)
{
    (void)state;
    assert_int_equal(child_run(hint, NULL), 0);
}

int main(void)
{
    if (!bed_found()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_is_committed_when_the_stream_got_there),
        cmocka_unit_test(a_view_is_released_when_the_stream_got_there),
        cmocka_unit_test(blocks_are_copied_to_and_from_the_devices_memory),
        cmocka_unit_test(slots_of_two_memories_are_kept_apart),
        cmocka_unit_test(a_commit_that_found_no_seat_is_made_by_the_next_reserve),
        cmocka_unit_test(a_grant_outside_the_devices_memory_is_not_kept),
        cmocka_unit_test(another_device_reaches_nothing_of_it),
        cmocka_unit_test(a_hint_asks_for_what_is_in_host_memory_alone),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
