/* move_down: what leaves a device is copied to host memory before, and who waits for a block that
 * only a device has gets it there, or the claim. */
#include "tests/unit/sidecar/block/move_world.h"

static struct move_world world;
static uint32_t reader = 3; /* the session that reads the device */

static uint64_t missed(void)
{
    return cold_count(&world.cold, COUNTER_moves_missed);
}

static void fill(uint32_t tier, uint64_t number, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        (void)move_commit(&world, tier, number + i, NULL);
    }
}

static void what_leaves_next_is_copied_down_and_then_dropped(void **state)
{
    (void)state;
    struct evict_sweep sweep = fixture_sweeper(&world.cold.fixture);
    fill(MOVE_FIRST, 100, MOVE_SLOTS);
    cold_pass(&world.cold, 10 * COLD_MS);
    uint32_t copies = world.mover.count;
    assert_true(copies >= 4 && copies < MOVE_SLOTS);
    /* Not again before there is reason to look. */
    (void)cold_step(&world.cold);
    assert_int_equal(world.mover.count, copies);
    move_land(&world, STATUS_OK);
    assert_int_equal(
        evict_free(world.blocks, world.classes[MOVE_FIRST], MOVE_SLOTS, &sweep), copies);
    for (uint32_t i = 0; i < MOVE_SLOTS; i++) {
        assert_int_equal(move_find(&world, 100 + i, MOVE_FIRST) == HINT_NONE, i < copies);
        assert_int_equal(move_find(&world, 100 + i, MOVE_HOST) != HINT_NONE, i < copies);
        assert_true(i >= copies || move_is_hot(&world, 100 + i, MOVE_HOST));
    }
    assert_int_equal(missed(), 0);
    assert_int_equal(cold_count(&world.cold, COUNTER_demotions), copies);
}

static void what_is_elsewhere_needs_no_copy(void **state)
{
    (void)state;
    fill(MOVE_FIRST, 100, MOVE_SLOTS);
    for (uint32_t i = 0; i < MOVE_SLOTS; i += 2) {
        if (i % 4 == 0) {
            cold_put(&world.cold, 100 + i);
        } else {
            (void)move_commit(&world, MOVE_HOST, 100 + i, NULL);
        }
    }
    cold_pass(&world.cold, 10 * COLD_MS);
    assert_true(world.mover.count > 0);
    for (uint32_t i = 0; i < world.mover.count; i++) {
        assert_int_equal(world.mover.copies[i].copy.device_offset / COLD_BLOCK % 2, 1);
    }
    move_land(&world, STATUS_OK);
}

static void a_device_with_room_copies_nothing(void **state)
{
    (void)state;
    fill(MOVE_FIRST, 100, MOVE_SLOTS / 2);
    cold_pass(&world.cold, 10 * COLD_MS);
    assert_int_equal(world.mover.starts, 0);
}

static void a_grant_waits_for_no_copy_and_counts_what_is_lost(void **state)
{
    (void)state;
    struct evict_sweep sweep = fixture_sweeper(&world.cold.fixture);
    fill(MOVE_FIRST, 100, MOVE_SLOTS);
    (void)move_commit(&world, MOVE_HOST, 103, NULL);
    /* What loses nothing goes first, though it is younger. */
    assert_int_equal(evict_room(world.blocks, world.classes[MOVE_FIRST], 1, &sweep), 1);
    assert_int_equal(move_find(&world, 103, MOVE_FIRST), HINT_NONE);
    assert_int_equal(missed(), 0);
    assert_int_equal(evict_room(world.blocks, world.classes[MOVE_FIRST], 2, &sweep), 2);
    assert_int_equal(move_find(&world, 100, MOVE_FIRST), HINT_NONE);
    assert_int_equal(missed(), 2);
}

static void a_tick_waits_while_copies_are_under_way(void **state)
{
    (void)state;
    struct evict_sweep sweep = fixture_sweeper(&world.cold.fixture);
    const struct pool_class *class = &world.blocks->pool.classes[world.classes[MOVE_FIRST]];
    fill(MOVE_FIRST, 100, MOVE_SLOTS - 1);
    assert_int_equal(evict_low_mark(class), 2);
    world.mover.most = 1; /* the others are not held by a copy */
    cold_pass(&world.cold, 10 * COLD_MS);
    assert_int_equal(world.mover.count, 1);
    (void)evict_tick(world.blocks, &sweep);
    assert_int_equal(class->free, 1);
    move_land(&world, STATUS_OK);
    (void)evict_tick(world.blocks, &sweep);
    assert_true(class->free > 1);
    assert_int_equal(missed(), 0);
}

static void host_memory_makes_room_for_what_comes_down(void **state)
{
    (void)state;
    fill(MOVE_HOST, 0, MOVE_SLOTS);
    fill(MOVE_FIRST, 100, MOVE_SLOTS);
    move_world_alone(&world);
    uint32_t copies = 0;
    for (uint32_t i = 0; i < 8; i++) {
        cold_pass(&world.cold, 10 * COLD_MS);
        copies += world.mover.count;
        move_land(&world, STATUS_OK);
    }
    assert_true(copies >= 4);
    /* A reserve is left; the oldest went. */
    const struct pool_class *class = &world.blocks->pool.classes[world.classes[MOVE_HOST]];
    assert_int_equal(move_find(&world, 0, MOVE_HOST), HINT_NONE);
    assert_true(class->free >= evict_low_mark(class) / 2);
    assert_true(move_is_hot(&world, MOVE_SLOTS - 1, MOVE_HOST));
    assert_true(move_is_hot(&world, 100, MOVE_HOST));
}

static void for_a_busy_device_host_memory_makes_no_room(void **state)
{
    (void)state;
    struct move_device *device = &world.blocks->moves.devices[0];
    fill(MOVE_HOST, 0, MOVE_SLOTS);
    fill(MOVE_FIRST, 100, MOVE_SLOTS);
    move_world_alone(&world);
    device->count = MOVE_COUNT_MAX;
    cold_pass(&world.cold, 10 * COLD_MS);
    assert_int_equal(cold_count(&world.cold, COUNTER_evictions), 0);
    device->count = 0;
    cold_pass(&world.cold, 10 * COLD_MS);
    assert_true(cold_count(&world.cold, COUNTER_evictions) > 0);
    move_land(&world, STATUS_OK);
}

static void without_a_class_in_host_memory_nothing_comes_down(void **state)
{
    (void)state;
    uint32_t classes = world.blocks->pool.class_count;
    uint32_t large = fixture_class_in(&world.cold.fixture, 2 * COLD_BLOCK, MOVE_FIRST);
    for (uint32_t i = 0; i < 8; i++) {
        (void)fixture_commit(&world.cold.fixture, large, 100 + i, NULL);
    }
    cold_pass(&world.cold, 10 * COLD_MS);
    assert_int_equal(world.mover.starts, 0);
    assert_int_equal(world.blocks->pool.class_count, classes + 1);
}

static bool reads(void *context, uint32_t session)
{
    return session == *(const uint32_t *)context;
}

/* A client commits block 1 to the first device, and its waiters are told. */
static uint32_t commit_claimed(void)
{
    struct fetch_means means = cold_means(&world.cold);
    struct claim_filter filter = {.reads = reads, .context = &reader};
    struct key key = fixture_key(1);
    uint32_t slot = move_commit(&world, MOVE_FIRST, 1, NULL);
    move_down_committed(world.blocks, &key, COLD_SPACE, &filter, &means);
    return slot;
}

/* Session 1 claims block 1, and those in `waiters` wait for it. */
static void claim(const uint32_t *waiters, uint32_t count)
{
    struct claims *claims = &world.blocks->claims;
    struct key key = fixture_key(1);
    uint64_t now_ns = world.cold.now_ns;
    assert_int_equal(
        claim_take(claims, &key, COLD_SPACE, 1, now_ns, now_ns + 100 * COLD_MS), STATUS_MINE);
    for (uint32_t i = 0; i < count; i++) {
        struct claim_waiter waiter = {
            .session = waiters[i], .cookie = i, .deadline_ns = now_ns + 100 * COLD_MS};
        assert_int_equal(claim_wait(claims, &key, COLD_SPACE, &waiter), STATUS_PENDING);
    }
}

/* Is block 1 claimed by anybody? */
static bool is_claimed(void)
{
    struct claims *claims = &world.blocks->claims;
    struct key key = fixture_key(1);
    uint64_t now_ns = world.cold.now_ns;
    if (claim_take(claims, &key, COLD_SPACE, 7, now_ns, now_ns) != STATUS_MINE) {
        return true;
    }
    struct fetch_means means = cold_means(&world.cold);
    (void)claim_release(claims, &key, COLD_SPACE, 7, now_ns, &means.claims);
    return false;
}

static void assert_told(uint32_t ok, uint32_t mine)
{
    assert_int_equal(world.cold.claims_ok, ok);
    assert_int_equal(world.cold.claims_mine, mine);
}

static void who_reads_the_device_is_told_at_once_the_others_when_it_came_down(void **state)
{
    (void)state;
    const uint32_t waiters[] = {2, 3, 4};
    claim(waiters, 3);
    (void)commit_claimed();
    assert_told(1, 0);
    assert_int_equal(world.mover.count, 1);
    assert_true(is_claimed());
    move_land(&world, STATUS_OK);
    assert_told(3, 0);
    assert_false(is_claimed());
    move_same(&world, 1, MOVE_HOST);
}

static void with_nobody_else_no_copy_is_made(void **state)
{
    (void)state;
    const uint32_t waiters[] = {3};
    claim(waiters, 1);
    (void)commit_claimed();
    assert_told(1, 0);
    assert_int_equal(world.mover.starts, 0);
    assert_false(is_claimed());
    /* Nor if host memory has it. */
    const uint32_t others[] = {2, 3};
    uint32_t slot = move_find(&world, 1, MOVE_FIRST);
    (void)move_evict(&world, slot);
    (void)move_commit(&world, MOVE_HOST, 1, NULL);
    claim(others, 2);
    (void)commit_claimed();
    assert_told(3, 0);
    assert_int_equal(world.mover.starts, 0);
    assert_false(is_claimed());
}

static void if_the_copy_fails_the_first_of_them_has_the_claim(void **state)
{
    (void)state;
    const uint32_t waiters[] = {3, 2, 4};
    claim(waiters, 3);
    (void)commit_claimed();
    move_land(&world, STATUS_IO);
    assert_told(1, 1);
    assert_true(is_claimed());
    /* Its own commit, to host memory, ends it. */
    struct fetch_means means = cold_means(&world.cold);
    struct key key = fixture_key(1);
    (void)move_commit(&world, MOVE_HOST, 1, NULL);
    claim_done(&world.blocks->claims, &key, COLD_SPACE, &means.claims);
    assert_told(2, 1);
}

static void if_no_copy_can_begin_the_first_of_them_has_the_claim(void **state)
{
    (void)state;
    const uint32_t waiters[] = {2};
    claim(waiters, 1);
    world.mover.most = 0;
    uint32_t slot = commit_claimed();
    assert_told(0, 1);
    /* Host memory is full, and all of it pinned. */
    struct fetch_means means = cold_means(&world.cold);
    struct key key = fixture_key(1);
    (void)claim_release(
        &world.blocks->claims, &key, COLD_SPACE, 2, world.cold.now_ns, &means.claims);
    (void)move_evict(&world, slot);
    world.mover.most = MOVER_COPIES;
    for (uint32_t i = 0; i < MOVE_SLOTS; i++) {
        fixture_pin(&world.cold.fixture, i, move_commit(&world, MOVE_HOST, 100 + i, NULL));
    }
    claim(waiters, 1);
    slot = commit_claimed();
    assert_told(0, 2);
    assert_int_equal(world.mover.starts, 0);
    /* There is no mover. */
    (void)claim_release(
        &world.blocks->claims, &key, COLD_SPACE, 2, world.cold.now_ns, &means.claims);
    (void)move_evict(&world, slot);
    fixture_unpin(&world.cold.fixture, 0);
    move_attach(world.blocks, NULL);
    claim(waiters, 1);
    (void)commit_claimed();
    assert_told(0, 3);
}

static void room_for_who_waits_is_made_as_for_a_commit(void **state)
{
    (void)state;
    const uint32_t waiters[] = {2};
    fill(MOVE_HOST, 100, MOVE_SLOTS);
    claim(waiters, 1);
    (void)commit_claimed();
    assert_int_equal(world.mover.count, 1);
    move_land(&world, STATUS_OK);
    assert_told(1, 0);
    assert_int_equal(move_find(&world, 100, MOVE_HOST), HINT_NONE);
    move_same(&world, 1, MOVE_HOST);
}

static void a_copy_that_was_under_way_ends_the_claim_too(void **state)
{
    (void)state;
    static const int statuses[] = {STATUS_OK, STATUS_IO};
    const uint32_t waiters[] = {2};
    for (uint32_t i = 0; i < CHECK_COUNT(statuses); i++) {
        uint32_t slot = move_commit(&world, MOVE_FIRST, 1, NULL);
        assert_non_null(move_begin(world.blocks, slot, world.classes[MOVE_HOST]));
        claim(waiters, 1);
        (void)commit_claimed(); /* a duplicate: it was there */
        assert_int_equal(world.mover.count, 1);
        move_land(&world, statuses[i]);
        assert_told(1, i);
        (void)move_evict(&world, slot);
        if (i == 0) {
            (void)move_evict(&world, move_find(&world, 1, MOVE_HOST));
        }
    }
}

static void a_clean_stop_brings_what_is_worth_it_to_the_tier(void **state)
{
    (void)state;
    struct cold_cursor cursor = {0};
    /* Both full; half of the device's were used again, and all of the host's are worth nothing. */
    fill(MOVE_HOST, 0, MOVE_SLOTS);
    fill(MOVE_FIRST, 100, MOVE_SLOTS);
    for (uint32_t i = 0; i < MOVE_SLOTS; i += 2) {
        admit_touch(world.blocks, move_find(&world, 100 + i, MOVE_FIRST));
    }
    bool saved = false;
    for (uint32_t i = 0; i < 100 && !saved; i++) {
        struct fetch_means means = cold_means(&world.cold);
        saved = cold_save(world.blocks, &means, &cursor);
        mover_end_all(&world.mover, STATUS_OK);
        double_end_all(&world.cold.tier, STATUS_OK);
    }
    assert_true(saved);
    for (uint32_t i = 0; i < MOVE_SLOTS; i++) {
        assert_int_equal(cold_is_cold(&world.cold, 100 + i), i % 2 == 0);
        assert_false(cold_is_cold(&world.cold, i));
    }
    assert_int_equal(world.mover.starts, MOVE_SLOTS / 2);
}

static void a_clean_stop_ends_if_there_is_no_room(void **state)
{
    (void)state;
    struct cold_cursor cursor = {0};
    struct fetch_means means = cold_means(&world.cold);
    world.blocks->spills.always = true;
    fill(MOVE_FIRST, 100, MOVE_SLOTS);
    for (uint32_t i = 0; i < MOVE_SLOTS; i++) {
        fixture_pin(&world.cold.fixture, i, move_commit(&world, MOVE_HOST, i, NULL));
    }
    assert_false(cold_save(world.blocks, &means, &cursor));
    double_end_all(&world.cold.tier, STATUS_OK);
    assert_true(cold_save(world.blocks, &means, &cursor));
    assert_int_equal(world.mover.starts, 0);
    assert_true(cold_is_cold(&world.cold, 0));
}

#define IN_WORLD(test) \
    cmocka_unit_test_prestate_setup_teardown(test, move_set_up, move_tear_down, &world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(what_leaves_next_is_copied_down_and_then_dropped),
        IN_WORLD(what_is_elsewhere_needs_no_copy),
        IN_WORLD(a_device_with_room_copies_nothing),
        IN_WORLD(a_grant_waits_for_no_copy_and_counts_what_is_lost),
        IN_WORLD(a_tick_waits_while_copies_are_under_way),
        IN_WORLD(host_memory_makes_room_for_what_comes_down),
        IN_WORLD(for_a_busy_device_host_memory_makes_no_room),
        IN_WORLD(without_a_class_in_host_memory_nothing_comes_down),
        IN_WORLD(who_reads_the_device_is_told_at_once_the_others_when_it_came_down),
        IN_WORLD(with_nobody_else_no_copy_is_made),
        IN_WORLD(if_the_copy_fails_the_first_of_them_has_the_claim),
        IN_WORLD(if_no_copy_can_begin_the_first_of_them_has_the_claim),
        IN_WORLD(room_for_who_waits_is_made_as_for_a_commit),
        IN_WORLD(a_copy_that_was_under_way_ends_the_claim_too),
        IN_WORLD(a_clean_stop_brings_what_is_worth_it_to_the_tier),
        IN_WORLD(a_clean_stop_ends_if_there_is_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
