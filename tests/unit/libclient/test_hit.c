/* test_hit: what is hot is pinned and read in place, and nothing else is. */
#include "shm/hint.h"
#include "tests/unit/libclient/bed.h"

static void acquire_pins_the_hot_start_of_a_prefix(void **state)
{
    struct bed *bed = *state;
    uint32_t slots[3];
    for (uint32_t i = 0; i < 3; i++) {
        slots[i] = double_add(&bed->server, &bed->keys[i], (uint8_t)(i + 1), 100 + i);
    }
    (void)double_add(&bed->server, &bed->keys[4], 9, 100); /* behind a gap */
    struct cistern_view views[8];
    size_t count = 99;
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 8, views, &count), CISTERN_OK);
    assert_int_equal(count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(views[i].bytes, 100 + i);
        assert_int_equal(views[i].tier, CISTERN_TIER_HOST);
        assert_int_equal(((const uint8_t *)views[i].data)[99], i + 1);
        assert_true(double_is_pinned(&bed->server, slots[i]));
    }
    assert_int_equal(cistern_release(bed->handle, views, count), CISTERN_OK);
    for (uint32_t i = 0; i < 3; i++) {
        assert_false(double_is_pinned(&bed->server, slots[i]));
    }
}

static void a_miss_leaves_the_outputs_alone(void **state)
{
    struct bed *bed = *state;
    struct cistern_view views[2];
    size_t count = 99;
    for (size_t i = 1; i <= 2; i++) {
        assert_int_equal(cistern_acquire(bed->handle, bed->keys, i, views, &count), CISTERN_MISS);
        assert_int_equal(count, 99);
    }
}

static void a_batch_larger_than_a_chunk_is_whole(void **state)
{
    struct bed *bed = *state;
    static struct cistern_view views[BED_KEYS];
    for (uint32_t i = 0; i < BED_KEYS; i++) {
        (void)double_add(&bed->server, &bed->keys[i], (uint8_t)i, 64);
    }
    size_t count;
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, BED_KEYS, views, &count), CISTERN_OK);
    assert_int_equal(count, BED_KEYS);
    for (uint32_t i = 0; i < BED_KEYS; i++) {
        assert_int_equal(((const uint8_t *)views[i].data)[0], (uint8_t)i);
    }
    assert_int_equal(cistern_release(bed->handle, views, BED_KEYS), CISTERN_OK);
}

/* Two keys with the same buckets and tag, one of them hot under the other's hint. */
static void a_hint_of_another_key_is_stepped_over(void **state)
{
    struct bed *bed = *state;
    uint32_t other = double_add(&bed->server, &bed->keys[1], 1, 64);
    struct key key;
    memcpy(&key, &bed->keys[0], sizeof key);
    (void)pthread_mutex_lock(&bed->server.lock);
    assert_true(hint_add(&bed->server.view, &key, HINT_HOT, other));
    (void)pthread_mutex_unlock(&bed->server.lock);
    struct cistern_view view;
    size_t count;
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 1, &view, &count), CISTERN_MISS);
    assert_false(double_is_pinned(&bed->server, other));
    uint32_t right = double_add(&bed->server, &bed->keys[0], 2, 64);
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 1, &view, &count), CISTERN_OK);
    assert_int_equal(((const uint8_t *)view.data)[0], 2);
    assert_true(double_is_pinned(&bed->server, right));
    assert_false(double_is_pinned(&bed->server, other));
    assert_int_equal(cistern_release(bed->handle, &view, 1), CISTERN_OK);
}

static void a_slot_being_retired_is_looked_at_again_then_missed(void **state)
{
    struct bed *bed = *state;
    uint32_t slot = double_add(&bed->server, &bed->keys[0], 1, 64);
    slot_mark(&bed->server.view.lines[slot]);
    struct cistern_view view;
    size_t count;
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 1, &view, &count), CISTERN_MISS);
    assert_false(double_is_pinned(&bed->server, slot));
    struct cistern_stats stats = {.size = sizeof stats};
    assert_int_equal(cistern_stats(bed->handle, &stats), CISTERN_OK);
    assert_true(stats.retries > 1);
    slot_unmark(&bed->server.view.lines[slot]);
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 1, &view, &count), CISTERN_OK);
    assert_int_equal(cistern_release(bed->handle, &view, 1), CISTERN_OK);
}

/* In a batch the pins behind a miss were set already: they must go. */
static void a_miss_in_the_middle_drops_the_pins_behind_it(void **state)
{
    struct bed *bed = *state;
    uint32_t slots[4];
    for (uint32_t i = 0; i < 4; i++) {
        slots[i] = double_add(&bed->server, &bed->keys[i], (uint8_t)(i + 1), 64);
    }
    slot_mark(&bed->server.view.lines[slots[1]]);
    struct cistern_view views[4];
    size_t count;
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 4, views, &count), CISTERN_OK);
    assert_int_equal(count, 1);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(double_is_pinned(&bed->server, slots[i]) == (i == 0));
    }
    assert_int_equal(cistern_release(bed->handle, views, 1), CISTERN_OK);
}

static void blocks_of_another_namespace_are_not_seen(void **state)
{
    struct bed *bed = *state;
    uint32_t slot = double_add(&bed->server, &bed->keys[0], 1, 64);
    _Atomic uint64_t *shape = &bed->server.view.lines[slot].shape;
    shared64_store_relaxed(shape, 64 | UINT64_C(2) << 32);
    struct cistern_view view;
    size_t count;
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 1, &view, &count), CISTERN_MISS);
}

static void a_place_outside_the_pool_is_not_believed(void **state)
{
    struct bed *bed = *state;
    uint32_t slot = double_add(&bed->server, &bed->keys[0], 1, 64);
    _Atomic uint64_t *place = &bed->server.view.lines[slot].place;
    const uint64_t wrong[] = {bed->server.pool.bytes - 63, bed->server.pool.bytes, SLOT_OFFSET_MAX,
        UINT64_C(1) << 48 /* another tier */};
    for (size_t i = 0; i < CHECK_COUNT(wrong); i++) {
        shared64_store_relaxed(place, wrong[i]);
        struct cistern_view view;
        size_t count;
        assert_int_equal(cistern_acquire(bed->handle, bed->keys, 1, &view, &count), CISTERN_MISS);
        assert_false(double_is_pinned(&bed->server, slot));
    }
}

static void pins_run_out_and_come_back(void **state)
{
    struct bed *bed = *state;
    cistern_close(&bed->handle);
    bed->options.pins_per_thread = 70;
    bed_open(bed);
    static struct cistern_view views[BED_KEYS];
    for (uint32_t i = 0; i < 100; i++) {
        (void)double_add(&bed->server, &bed->keys[i], (uint8_t)i, 64);
    }
    size_t count;
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 100, views, &count), CISTERN_OK);
    assert_int_equal(count, 70);
    struct cistern_view more[2];
    size_t none = 99;
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 1, more, &none), CISTERN_PINS);
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 2, more, &none), CISTERN_PINS);
    assert_int_equal(none, 99);
    assert_non_null(strstr(cistern_why(), "70 pins"));
    assert_int_equal(cistern_release(bed->handle, &views[30], 1), CISTERN_OK);
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 2, more, &none), CISTERN_OK);
    assert_int_equal(none, 1);
    views[30] = more[0];
    assert_int_equal(cistern_release(bed->handle, views, 70), CISTERN_OK);
}

static void touches_are_logged_deepest_first(void **state)
{
    struct bed *bed = *state;
    uint32_t slots[2];
    for (uint32_t i = 0; i < 2; i++) {
        slots[i] = double_add(&bed->server, &bed->keys[i], 1, 64);
    }
    struct cistern_view views[2];
    size_t count;
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 2, views, &count), CISTERN_OK);
    /* Unlocked: the session stays while its handle lives, and its words are shared ones. */
    const struct lane_seat *seat = &bed->server.sessions[0].seats[0];
    assert_int_equal(shared32_load_acquire(&seat->client->touch_tail), 2);
    assert_int_equal(shared32_load_relaxed(&seat->touches[0]), slots[1]);
    assert_int_equal(shared32_load_relaxed(&seat->touches[1]), slots[0]);
    assert_int_equal(cistern_release(bed->handle, views, 2), CISTERN_OK);
}

static void wrong_arguments_are_refused(void **state)
{
    struct bed *bed = *state;
    struct cistern_view view;
    size_t count;
    assert_int_equal(cistern_acquire(NULL, bed->keys, 1, &view, &count), CISTERN_INVALID);
    assert_int_equal(cistern_acquire(bed->handle, NULL, 1, &view, &count), CISTERN_INVALID);
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 0, &view, &count), CISTERN_INVALID);
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 1, NULL, &count), CISTERN_INVALID);
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 1, &view, NULL), CISTERN_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(acquire_pins_the_hot_start_of_a_prefix),
        TEST(a_miss_leaves_the_outputs_alone),
        TEST(a_batch_larger_than_a_chunk_is_whole),
        TEST(a_hint_of_another_key_is_stepped_over),
        TEST(a_slot_being_retired_is_looked_at_again_then_missed),
        TEST(a_miss_in_the_middle_drops_the_pins_behind_it),
        TEST(blocks_of_another_namespace_are_not_seen),
        TEST(a_place_outside_the_pool_is_not_believed),
        TEST(pins_run_out_and_come_back),
        TEST(touches_are_logged_deepest_first),
        TEST(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
