/* test_fetch_layers: the first layers of a block can be read before the others came, and nothing
 * that the sidecar says of them is believed without a pin and a look. */
#include "tests/unit/libclient/bed.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOON (BED_SECOND / 100)
#define LATER (20 * BED_SECOND)
#define LAYERS 4u
#define LAYER (DOUBLE_BLOCK / LAYERS)

static const struct double_fetching first_parts = {.parts = true};

static int layers_setup(void **state)
{
    struct bed *bed = malloc(sizeof *bed);
    assert_non_null(bed);
    bed_start(bed, NULL);
    bed->space.layers = LAYERS;
    bed->options.pins_per_thread = 16;
    bed_open(bed);
    *state = bed;
    return 0;
}

static uint8_t fill_of(uint32_t key)
{
    return (uint8_t)(key + 1);
}

static void store(struct bed *bed, uint32_t from, uint32_t end)
{
    for (uint32_t i = from; i < end; i++) {
        double_store(&bed->server, &bed->keys[i], fill_of(i), DOUBLE_BLOCK);
    }
}

static struct double_seen look(struct bed *bed)
{
    struct double_seen seen;
    double_look(&bed->server, &seen);
    return seen;
}

static void check_view(const struct cistern_view *view, uint32_t key, uint64_t bytes)
{
    const uint8_t *data = view->data;
    assert_int_equal(view->bytes, bytes);
    assert_int_equal(view->tier, CISTERN_TIER_HOST);
    assert_int_equal(data[0], fill_of(key));
    assert_int_equal(data[bytes - 1], fill_of(key));
}

static void check_nothing_pinned(struct bed *bed)
{
    for (uint32_t slot = 0; slot < 40; slot++) {
        assert_false(double_is_pinned(&bed->server, slot));
    }
}

static void first_layers_are_readable_before_the_rest(void **state)
{
    struct bed *bed = *state;
    struct cistern_view views[6];
    size_t count = 0;
    store(bed, 0, 3);
    double_fetches(&bed->server, &first_parts);
    assert_int_equal(
        cistern_fetch_layers(bed->handle, bed->keys, 6, 2, LATER, views, &count), CISTERN_OK);
    assert_int_equal(count, 3);
    assert_int_equal(look(bed).last.first.bytes, 2 * LAYER);
    assert_int_equal(double_count_lent(&bed->server), 3); /* still LOADING */
    for (uint32_t i = 0; i < 3; i++) {
        check_view(&views[i], i, 2 * LAYER);
        assert_int_equal(((const uint8_t *)views[i].data)[2 * LAYER], 0); /* not here yet */
        assert_true(double_is_pinned(&bed->server, views[i].opaque[0]));
    }
    double_finish(&bed->server, true);
    /* The views live on over the publish, and the whole blocks can be had beside them. */
    struct cistern_view whole[3];
    assert_int_equal(cistern_acquire(bed->handle, bed->keys, 3, whole, &count), CISTERN_OK);
    assert_int_equal(count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        check_view(&views[i], i, 2 * LAYER);
        check_view(&whole[i], i, DOUBLE_BLOCK);
        assert_ptr_equal(views[i].data, whole[i].data);
    }
    assert_int_equal(cistern_release(bed->handle, whole, 3), CISTERN_OK);
    struct cistern_view copy = views[1];
    assert_int_equal(cistern_release(bed->handle, views, 3), CISTERN_OK);
    assert_int_equal(cistern_release(bed->handle, &copy, 1), CISTERN_STALE);
    check_nothing_pinned(bed);
}

static void hot_blocks_are_whole_and_the_order_is_the_callers(void **state)
{
    struct bed *bed = *state;
    struct cistern_view views[8];
    size_t count = 0;
    for (uint32_t i = 0; i < 6; i++) {
        if (i == 0 || i == 1 || i == 3) {
            (void)double_add(&bed->server, &bed->keys[i], fill_of(i), DOUBLE_BLOCK);
        } else {
            store(bed, i, i + 1);
        }
    }
    double_fetches(&bed->server, &first_parts);
    assert_int_equal(
        cistern_fetch_layers(bed->handle, bed->keys, 8, 1, LATER, views, &count), CISTERN_OK);
    assert_int_equal(count, 6);
    for (uint32_t i = 0; i < 6; i++) {
        check_view(&views[i], i, i == 0 || i == 1 || i == 3 ? DOUBLE_BLOCK : LAYER);
    }
    assert_int_equal(cistern_release(bed->handle, views, 6), CISTERN_OK);
    /* All of it is hot: no message. */
    double_finish(&bed->server, true);
    uint32_t seen = look(bed).batches;
    assert_int_equal(
        cistern_fetch_layers(bed->handle, bed->keys, 6, 1, LATER, views, &count), CISTERN_OK);
    assert_int_equal(count, 6);
    check_view(&views[5], 5, DOUBLE_BLOCK);
    assert_int_equal(cistern_release(bed->handle, views, 6), CISTERN_OK);
    bed_flush(bed);
    assert_int_equal(look(bed).batches, seen);
    check_nothing_pinned(bed);
}

static void a_block_that_was_published_meanwhile_is_whole(void **state)
{
    struct bed *bed = *state;
    struct cistern_view views[2];
    size_t count = 0;
    store(bed, 0, 2);
    assert_int_equal(
        cistern_fetch_layers(bed->handle, bed->keys, 2, 1, LATER, views, &count), CISTERN_OK);
    assert_int_equal(count, 2);
    check_view(&views[0], 0, DOUBLE_BLOCK);
    check_view(&views[1], 1, DOUBLE_BLOCK);
    assert_int_equal(cistern_release(bed->handle, views, 2), CISTERN_OK);
    check_nothing_pinned(bed);
}

/* The pin stands: what was there stays, though the rest never comes. */
static void a_load_that_fails_later_leaves_the_view(void **state)
{
    struct bed *bed = *state;
    struct cistern_view views[2];
    size_t count = 0;
    store(bed, 0, 1);
    double_fetches(&bed->server, &first_parts);
    assert_int_equal(
        cistern_fetch_layers(bed->handle, bed->keys, 1, 1, LATER, views, &count), CISTERN_OK);
    double_finish(&bed->server, false);
    check_view(&views[0], 0, LAYER);
    assert_true(double_is_pinned(&bed->server, views[0].opaque[0]));
    assert_int_equal(cistern_release(bed->handle, views, 1), CISTERN_OK);
    check_nothing_pinned(bed);
    bed_flush(bed);
}

static void what_does_not_come_ends_the_prefix(void **state)
{
    struct bed *bed = *state;
    struct cistern_view views[4];
    size_t count = 99;
    assert_int_equal(
        cistern_fetch_layers(bed->handle, bed->keys, 4, 1, LATER, views, &count), CISTERN_MISS);
    assert_int_equal(look(bed).batches, 0);
    /* The second one is nowhere: no part comes of it, and the call ends at its deadline. */
    store(bed, 0, 1);
    double_add_cold(&bed->server, &bed->keys[1]);
    store(bed, 2, 3);
    double_fetches(&bed->server, &first_parts);
    assert_int_equal(
        cistern_fetch_layers(bed->handle, bed->keys, 4, 1, SOON, views, &count), CISTERN_OK);
    assert_int_equal(count, 1);
    check_view(&views[0], 0, LAYER);
    assert_int_equal(cistern_release(bed->handle, views, 1), CISTERN_OK);
    bed_flush(bed);
    assert_int_equal(look(bed).cancels, 1);
    check_nothing_pinned(bed);
    double_fetches(&bed->server, &(struct double_fetching){.refuses = CISTERN_BUSY});
    store(bed, 10, 11);
    assert_int_equal(
        cistern_fetch_layers(bed->handle, &bed->keys[10], 1, 1, SOON, views, &count), CISTERN_BUSY);
}

static void a_part_is_believed_only_if_all_of_it_is_true(void **state)
{
    struct bed *bed = *state;
    uint32_t key = 0;
    for (int spoil = DOUBLE_PART_COOKIE; spoil < DOUBLE_SPOILS; spoil++, key += 2) {
        struct cistern_view views[2];
        size_t count = 99;
        store(bed, key, key + 2);
        double_fetches(&bed->server,
            &(struct double_fetching){.parts = true, .spoil = (enum double_spoil)spoil});
        int status = cistern_fetch_layers(bed->handle, &bed->keys[key], 2, 1, SOON, views, &count);
        if (spoil == DOUBLE_PART_TWICE) { /* the first word counts */
            assert_int_equal(status, CISTERN_OK);
            assert_int_equal(count, 2);
            check_view(&views[0], key, LAYER);
            check_view(&views[1], key + 1, LAYER);
            assert_int_equal(cistern_release(bed->handle, views, 2), CISTERN_OK);
        } else {
            assert_int_equal(status, CISTERN_MISS);
            assert_int_equal(count, 99);
        }
        bed_flush(bed);
        check_nothing_pinned(bed);
        double_fetches(&bed->server, &first_parts);
        double_finish(&bed->server, false);
    }
}

static void pins_that_run_out_end_the_prefix(void **state)
{
    struct bed *bed = *state;
    struct cistern_view views[20];
    size_t count = 0;
    store(bed, 0, 20);
    double_fetches(&bed->server, &first_parts);
    assert_int_equal(
        cistern_fetch_layers(bed->handle, bed->keys, 20, 1, LATER, views, &count), CISTERN_OK);
    assert_int_equal(count, 16);
    struct cistern_view more;
    size_t none = 99;
    assert_int_equal(
        cistern_fetch_layers(bed->handle, &bed->keys[16], 1, 1, LATER, &more, &none), CISTERN_PINS);
    assert_int_equal(none, 99);
    assert_non_null(strstr(cistern_why(), "16 pins"));
    assert_int_equal(cistern_release(bed->handle, views, 16), CISTERN_OK);
    check_nothing_pinned(bed);
}

struct errand {
    struct bed *bed;
    int status;
};

static void *fetch_elsewhere(void *argument)
{
    struct errand *errand = argument;
    struct cistern_view view;
    size_t count;
    errand->status =
        cistern_fetch_layers(errand->bed->handle, errand->bed->keys, 1, 1, LATER, &view, &count);
    return NULL;
}

static void a_lost_sidecar_ends_the_wait(void **state)
{
    struct bed *bed = *state;
    struct errand errand = {.bed = bed};
    pthread_t thread;
    store(bed, 0, 1);
    double_fetches(&bed->server, &(struct double_fetching){.holds = true});
    assert_int_equal(pthread_create(&thread, NULL, fetch_elsewhere, &errand), 0);
    for (int i = 0; i < 10000 && look(bed).batches == 0; i++) {
        (void)poll(NULL, 0, 1);
    }
    double_crash(&bed->server);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(errand.status, CISTERN_NO_SERVER);
    bed_restart(bed, 2);
}

static void wrong_calls_are_refused(void **state)
{
    struct bed *bed = *state;
    cistern_t *handle = bed->handle;
    const struct cistern_key *keys = bed->keys;
    struct cistern_view views[1];
    size_t count;
    assert_int_equal(cistern_fetch_layers(NULL, keys, 1, 1, 0, views, &count), CISTERN_INVALID);
    assert_int_equal(cistern_fetch_layers(handle, NULL, 1, 1, 0, views, &count), CISTERN_INVALID);
    assert_int_equal(cistern_fetch_layers(handle, keys, 0, 1, 0, views, &count), CISTERN_INVALID);
    assert_int_equal(cistern_fetch_layers(handle, keys, 129, 1, 0, views, &count), CISTERN_INVALID);
    assert_int_equal(cistern_fetch_layers(handle, keys, 1, 1, -1, views, &count), CISTERN_INVALID);
    assert_int_equal(cistern_fetch_layers(handle, keys, 1, 1, 0, NULL, &count), CISTERN_INVALID);
    assert_int_equal(cistern_fetch_layers(handle, keys, 1, 1, 0, views, NULL), CISTERN_INVALID);
    assert_int_equal(cistern_fetch_layers(handle, keys, 1, 0, 0, views, &count), CISTERN_INVALID);
    assert_int_equal(cistern_fetch_layers(handle, keys, 1, 5, 0, views, &count), CISTERN_INVALID);
    assert_non_null(strstr(cistern_why(), "5 layers of blocks of 4 layers"));
    pid_t child = fork();
    if (child == 0) {
        int status = cistern_fetch_layers(handle, keys, 1, 1, 0, views, &count);
        _exit(status == CISTERN_FORKED ? 0 : 1);
    }
    int ended = 0;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    for (uint32_t layers = 0; layers <= 3; layers += 3) { /* none, and a number that is left over */
        bed->space.layers = layers;
        bed->space.name = layers == 0 ? "none" : "three";
        cistern_t *other = NULL;
        assert_int_equal(cistern_open(&bed->options, &other), CISTERN_OK);
        assert_int_equal(
            cistern_fetch_layers(other, keys, 1, 1, 0, views, &count), CISTERN_INVALID);
        cistern_close(&other);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, layers_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_layers_are_readable_before_the_rest),
        TEST(hot_blocks_are_whole_and_the_order_is_the_callers),
        TEST(a_block_that_was_published_meanwhile_is_whole),
        TEST(a_load_that_fails_later_leaves_the_view),
        TEST(what_does_not_come_ends_the_prefix),
        TEST(a_part_is_believed_only_if_all_of_it_is_true),
        TEST(pins_that_run_out_end_the_prefix),
        TEST(a_lost_sidecar_ends_the_wait),
        TEST(wrong_calls_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
