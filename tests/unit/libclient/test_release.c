/* test_release: a pin ends once, by whichever thread, and never by mistake. */
#include "tests/unit/libclient/bed.h"

static void acquire_one(struct bed *bed, struct cistern_view *out_view)
{
    size_t count;
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 1, out_view, &count), CISTERN_OK);
}

static void a_second_release_is_stale(void **state)
{
    struct bed *bed = *state;
    (void)double_add(&bed->server, &bed->keys[0], 1, 64);
    struct cistern_view view;
    acquire_one(bed, &view);
    assert_int_equal(cistern_release(bed->handle, &view, 1), CISTERN_OK);
    assert_int_equal(cistern_release(bed->handle, &view, 1), CISTERN_STALE);
}

/* The worst case: the record was used again, for the same slot, before the copy is released. */
static void a_stale_copy_does_not_end_a_later_pin(void **state)
{
    struct bed *bed = *state;
    uint32_t slot = double_add(&bed->server, &bed->keys[0], 1, 64);
    struct cistern_view first;
    struct cistern_view second;
    acquire_one(bed, &first);
    struct cistern_view copy = first;
    assert_int_equal(cistern_release(bed->handle, &first, 1), CISTERN_OK);
    acquire_one(bed, &second);
    assert_int_equal(cistern_release(bed->handle, &copy, 1), CISTERN_STALE);
    assert_true(double_is_pinned(&bed->server, slot));
    assert_int_equal(cistern_release(bed->handle, &second, 1), CISTERN_OK);
    assert_false(double_is_pinned(&bed->server, slot));
}

static void one_stale_view_does_not_keep_the_others(void **state)
{
    struct bed *bed = *state;
    uint32_t slots[3];
    for (uint32_t i = 0; i < 3; i++) {
        slots[i] = double_add(&bed->server, &bed->keys[i], 1, 64);
    }
    struct cistern_view views[3];
    size_t count;
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 3, views, &count), CISTERN_OK);
    struct cistern_view middle = views[1];
    assert_int_equal(cistern_release(bed->handle, &middle, 1), CISTERN_OK);
    assert_int_equal(cistern_release(bed->handle, views, 3), CISTERN_STALE);
    for (uint32_t i = 0; i < 3; i++) {
        assert_false(double_is_pinned(&bed->server, slots[i]));
    }
}

static void two_pins_of_one_slot_are_two(void **state)
{
    struct bed *bed = *state;
    uint32_t slot = double_add(&bed->server, &bed->keys[0], 1, 64);
    struct cistern_view views[2];
    acquire_one(bed, &views[0]);
    acquire_one(bed, &views[1]);
    assert_int_equal(cistern_release(bed->handle, &views[0], 1), CISTERN_OK);
    assert_true(double_is_pinned(&bed->server, slot));
    assert_int_equal(cistern_release(bed->handle, &views[1], 1), CISTERN_OK);
    assert_false(double_is_pinned(&bed->server, slot));
}

static void wild_views_are_stale(void **state)
{
    struct bed *bed = *state;
    uint32_t slot = double_add(&bed->server, &bed->keys[0], 1, 64);
    struct cistern_view view;
    acquire_one(bed, &view);
    uint64_t seed = check_seed();
    for (int i = 0; i < 1000; i++) {
        struct cistern_view wild = view;
        /* Spoil one word at least: the seat and record, the attachment, or the ticket. */
        wild.opaque[1 + i % 3] ^= 1 + (uint32_t)check_random(&seed) % 0xfffffffe;
        assert_int_equal(cistern_release(bed->handle, &wild, 1), CISTERN_STALE);
    }
    assert_true(double_is_pinned(&bed->server, slot));
    assert_int_equal(cistern_release(bed->handle, &view, 1), CISTERN_OK);
    assert_int_equal(cistern_release(bed->handle, NULL, 1), CISTERN_INVALID);
    assert_int_equal(cistern_release(NULL, &view, 1), CISTERN_INVALID);
}

struct errand {
    struct bed *bed;
    struct cistern_view view;
    int status;
};

static void *release_elsewhere(void *argument)
{
    struct errand *errand = argument;
    errand->status = cistern_release(errand->bed->handle, &errand->view, 1);
    return NULL;
}

static void *look_then_release_elsewhere(void *argument)
{
    struct errand *errand = argument;
    struct cistern_match match = {.size = sizeof match};
    (void)cistern_match(errand->bed->handle, errand->bed->keys, 1, &match);
    return release_elsewhere(argument);
}

static void another_thread_may_release(void **state)
{
    struct bed *bed = *state;
    uint32_t slot = double_add(&bed->server, &bed->keys[0], 1, 64);
    void *(*const ways[])(void *) = {release_elsewhere, look_then_release_elsewhere};
    for (size_t i = 0; i < CHECK_COUNT(ways); i++) {
        struct errand errand = {.bed = bed};
        acquire_one(bed, &errand.view);
        struct cistern_view copy = errand.view;
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, ways[i], &errand), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(errand.status, CISTERN_OK);
        assert_false(double_is_pinned(&bed->server, slot));
        assert_int_equal(cistern_release(bed->handle, &copy, 1), CISTERN_STALE);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_second_release_is_stale),
        TEST(a_stale_copy_does_not_end_a_later_pin),
        TEST(one_stale_view_does_not_keep_the_others),
        TEST(two_pins_of_one_slot_are_two),
        TEST(wild_views_are_stale),
        TEST(another_thread_may_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
