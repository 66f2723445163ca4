/* fetch: a block that only a device has is copied from there, as one read for all who want it. */
#include "tests/unit/sidecar/block/move_world.h"

static struct move_world world;

static uint64_t ask_as(const struct fetch_ask *ask, uint64_t first)
{
    uint64_t cookie = cold_ask(&world.cold, ask, first);
    (void)cold_step(&world.cold);
    return cookie;
}

/* A session asks for one block. */
static uint64_t ask(uint32_t session, uint64_t number)
{
    struct fetch_ask one = {.session = session, .blocks = 1};
    return ask_as(&one, number);
}

static void assert_hot(uint64_t cookie, uint32_t hot)
{
    const struct cold_heard *heard = cold_answer(&world.cold, cookie);
    assert_non_null(heard);
    assert_int_equal(heard->hot, hot);
}

static void a_device_is_asked_before_a_tier(void **state)
{
    (void)state;
    cold_put(&world.cold, 1);
    uint32_t slot = move_commit(&world, MOVE_SECOND, 1, NULL);
    uint64_t cookie = ask(1, 1);
    assert_null(cold_answer(&world.cold, cookie));
    assert_int_equal(world.mover.count, 1);
    assert_int_equal(world.cold.tier.loads, 0);
    assert_int_equal(move_evict(&world, slot), 0);
    move_land(&world, STATUS_OK);
    assert_hot(cookie, 1);
    move_same(&world, 1, MOVE_HOST);
    assert_true(hold_is(&world.blocks->holds, move_find(&world, 1, MOVE_HOST)));
    assert_true(spill_is_stored(world.blocks, move_find(&world, 1, MOVE_HOST)));
    assert_int_equal(cold_count(&world.cold, COUNTER_demotions), 1);
    assert_int_equal(cold_count(&world.cold, COUNTER_fetches), 0);
    hold_drop(&world.blocks->holds, 1);
}

static void without_tiers_devices_are_asked_all_the_same(void **state)
{
    (void)state;
    move_world_alone(&world);
    (void)move_commit(&world, MOVE_FIRST, 1, NULL);
    uint64_t cookie = ask(1, 1);
    uint64_t never = ask(1, 2);
    assert_hot(never, 0);
    assert_int_equal(cold_count(&world.cold, COUNTER_fetches_missed), 1);
    move_land(&world, STATUS_OK);
    assert_hot(cookie, 1);
    move_same(&world, 1, MOVE_HOST);
    assert_false(spill_is_stored(world.blocks, move_find(&world, 1, MOVE_HOST)));
    hold_drop(&world.blocks->holds, 1);
}

static void who_wants_it_too_joins(void **state)
{
    (void)state;
    (void)move_commit(&world, MOVE_FIRST, 1, NULL);
    (void)move_commit(&world, MOVE_SECOND, 1, NULL);
    uint64_t cookies[4];
    for (uint32_t i = 0; i < 4; i++) {
        cookies[i] = ask(i, 1);
    }
    assert_int_equal(world.mover.starts, 1);
    assert_int_equal(cold_count(&world.cold, COUNTER_fetches_joined), 3);
    move_land(&world, STATUS_OK);
    for (uint32_t i = 0; i < 4; i++) {
        assert_hot(cookies[i], 1);
        hold_drop(&world.blocks->holds, i);
    }
}

static void a_read_hangs_itself_on_a_copy_under_way(void **state)
{
    (void)state;
    static const int statuses[] = {STATUS_IO, STATUS_OK};
    uint32_t slot = move_commit(&world, MOVE_SECOND, 1, NULL);
    (void)move_commit(&world, MOVE_FIRST, 1, NULL);
    for (uint32_t i = 0; i < 2; i++) {
        assert_non_null(move_begin(world.blocks, slot, world.classes[MOVE_HOST]));
        uint64_t cookie = ask(1, 1);
        assert_int_equal(world.mover.starts, i + 1);
        assert_int_equal(world.blocks->fetches.loading, 1);
        move_land(&world, statuses[i]);
        assert_hot(cookie, i);
    }
    move_same(&world, 1, MOVE_HOST);
    hold_drop(&world.blocks->holds, 1);
}

static void a_device_that_takes_no_copies_is_passed_over(void **state)
{
    (void)state;
    world.mover.most = 0;
    (void)move_commit(&world, MOVE_FIRST, 1, NULL);
    assert_hot(ask(1, 1), 0);
    /* The tier has this one. */
    cold_put(&world.cold, 2);
    (void)move_commit(&world, MOVE_FIRST, 2, NULL);
    uint64_t cookie = ask(1, 2);
    assert_int_equal(world.cold.tier.loads, 1);
    double_end_all(&world.cold.tier, STATUS_OK);
    (void)cold_step(&world.cold);
    assert_hot(cookie, 1);
    assert_true(move_is_hot(&world, 2, MOVE_HOST));
    hold_drop(&world.blocks->holds, 1);
}

static void a_busy_device_is_waited_for(void **state)
{
    (void)state;
    world.mover.most = 1;
    (void)move_commit(&world, MOVE_FIRST, 1, NULL);
    (void)move_commit(&world, MOVE_FIRST, 2, NULL);
    uint64_t first = ask(1, 1);
    uint64_t second = ask(1, 2);
    assert_int_equal(world.mover.starts, 1);
    assert_int_equal(world.blocks->fetches.urgent.count, 1);
    move_land(&world, STATUS_OK);
    assert_hot(first, 1);
    assert_null(cold_answer(&world.cold, second));
    assert_int_equal(world.mover.starts, 2);
    move_land(&world, STATUS_OK);
    assert_hot(second, 1);
    hold_drop(&world.blocks->holds, 1);
}

static void the_answer_tells_of_a_place_in_host_memory(void **state)
{
    (void)state;
    struct fetch_ask parts = {.session = 1, .blocks = 2, .part_bytes = 100};
    (void)move_commit(&world, MOVE_FIRST, 1, NULL);
    (void)move_commit(&world, MOVE_FIRST, 2, NULL);
    uint64_t cookie = ask_as(&parts, 1);
    assert_int_equal(world.cold.told_count, 0);
    move_land(&world, STATUS_OK);
    assert_hot(cookie, 2);
    assert_int_equal(world.cold.told_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        const struct fetch_part *part = &world.cold.told[i].part;
        assert_int_equal(part->slot, move_find(&world, 1 + part->number, MOVE_HOST));
        assert_int_equal(part->offset, pool_offset(&world.blocks->pool, part->slot));
    }
    hold_drop(&world.blocks->holds, 1);
}

static void to_who_reads_the_device_it_is_hot(void **state)
{
    (void)state;
    struct fetch_batches *batches = &world.blocks->fetches.batches;
    struct fetch_means means = cold_means(&world.cold);
    uint32_t slots[] = {HINT_NONE, move_commit(&world, MOVE_FIRST, 1, NULL), HINT_NONE};
    struct fetch_want want = {
        .key = fixture_key(1), .space = COLD_SPACE, .class = world.classes[0]};
    for (uint32_t device = 0; device < 2; device++) {
        for (uint64_t part = 0; part < 2; part++) {
            struct fetch_ask one = {.session = 1,
                .blocks = 1,
                .part_bytes = part * 100,
                .quota = 10,
                .hold_ns = COLD_HOLD,
                .cookie = 100 + device * 2 + part,
                .deadline_ns = world.cold.now_ns + 100 * COLD_MS};
            want.reads = slot_tier_of_device(device);
            uint32_t batch = fetch_batch_begin(batches, &one);
            fetch_block(world.blocks, batch, &want, &means);
            fetch_batch_close(batches, batch, &means.answers);
            bool near = device == 0 && part == 0;
            assert_int_equal(cold_answer(&world.cold, one.cookie) != NULL, near);
            assert_int_equal(hold_is(&world.blocks->holds, slots[1]), near);
            (void)cold_step(&world.cold);
            assert_int_equal(world.mover.count, near ? 0 : 1);
            move_land(&world, STATUS_OK);
            assert_hot(one.cookie, 1);
            hold_drop(&world.blocks->holds, 1);
            if (!near) {
                assert_int_equal(move_evict(&world, move_find(&world, 1, MOVE_HOST)), 1);
            }
        }
    }
}

static void a_hint_copies_down_what_a_device_has(void **state)
{
    (void)state;
    struct fetch_want want = {
        .key = fixture_key(1), .space = COLD_SPACE, .class = world.classes[0]};
    (void)move_commit(&world, MOVE_FIRST, 1, NULL);
    fetch_ahead(world.blocks, 1, &want, world.cold.now_ns + COLD_MS);
    (void)cold_step(&world.cold);
    assert_int_equal(world.mover.count, 1);
    move_land(&world, STATUS_OK);
    move_same(&world, 1, MOVE_HOST);
    assert_false(hold_is(&world.blocks->holds, move_find(&world, 1, MOVE_HOST)));
}

static void a_copy_waits_for_its_parents_read(void **state)
{
    (void)state;
    struct fetch_ask two = {.session = 1, .blocks = 2};
    cold_put(&world.cold, 1);
    uint32_t slot = move_commit(&world, MOVE_FIRST, 2, NULL);
    uint64_t cookie = ask_as(&two, 1);
    assert_int_equal(world.mover.count, 1);
    move_land(&world, STATUS_OK);
    assert_int_equal(move_find(&world, 2, MOVE_HOST), HINT_NONE);
    /* Its source may go meanwhile. */
    assert_int_equal(move_evict(&world, slot), 1);
    double_end_all(&world.cold.tier, STATUS_OK);
    (void)cold_step(&world.cold);
    assert_hot(cookie, 2);
    move_same(&world, 2, MOVE_HOST);
    const struct policy *policy = &world.blocks->policies[world.classes[MOVE_HOST]];
    assert_int_equal(policy_children(policy, move_find(&world, 1, MOVE_HOST)), 1);
    hold_drop(&world.blocks->holds, 1);
}

static void who_is_late_is_told_and_the_copy_is_kept(void **state)
{
    (void)state;
    struct fetch_ask hasty = {
        .session = 1, .blocks = 1, .deadline_ns = world.cold.now_ns + COLD_MS};
    (void)move_commit(&world, MOVE_FIRST, 1, NULL);
    uint64_t cookie = ask_as(&hasty, 1);
    cold_pass(&world.cold, 2 * COLD_MS);
    assert_hot(cookie, 0);
    move_land(&world, STATUS_OK);
    move_same(&world, 1, MOVE_HOST);
}

static void a_commit_to_host_memory_is_an_answer_too(void **state)
{
    (void)state;
    struct fetch_means means = cold_means(&world.cold);
    struct key key = fixture_key(1);
    (void)move_commit(&world, MOVE_FIRST, 1, NULL);
    uint64_t cookie = ask(1, 1);
    uint32_t slot = move_commit(&world, MOVE_HOST, 1, NULL);
    fetch_hot(world.blocks, &key, COLD_SPACE, &means);
    assert_hot(cookie, 1);
    move_land(&world, STATUS_OK);
    assert_int_equal(move_find(&world, 1, MOVE_HOST), slot);
    hold_drop(&world.blocks->holds, 1);
}

static void a_copy_down_is_an_answer_to_a_read_of_a_tier(void **state)
{
    (void)state;
    cold_put(&world.cold, 1);
    uint64_t cookie = ask(1, 1);
    assert_int_equal(world.cold.tier.loads, 1);
    uint32_t slot = move_commit(&world, MOVE_FIRST, 1, NULL);
    assert_non_null(move_begin(world.blocks, slot, world.classes[MOVE_HOST]));
    move_land(&world, STATUS_OK);
    assert_hot(cookie, 1);
    uint32_t host = move_find(&world, 1, MOVE_HOST);
    double_end_all(&world.cold.tier, STATUS_OK);
    (void)cold_step(&world.cold);
    assert_int_equal(move_find(&world, 1, MOVE_HOST), host);
    hold_drop(&world.blocks->holds, 1);
}

static bool nobody(void *context, uint32_t session)
{
    (void)context;
    (void)session;
    return false;
}

static void claims_that_hang_on_a_read_end_with_it(void **state)
{
    (void)state;
    static const int statuses[] = {STATUS_IO, STATUS_OK};
    struct fetch_means means = cold_means(&world.cold);
    struct claims *claims = &world.blocks->claims;
    struct claim_filter filter = {.reads = nobody};
    struct key key = fixture_key(1);
    uint64_t now_ns = world.cold.now_ns;
    (void)move_commit(&world, MOVE_FIRST, 1, NULL);
    for (uint32_t i = 0; i < 2; i++) {
        struct claim_waiter waiter = {
            .session = 4 + i, .cookie = i, .deadline_ns = now_ns + 100 * COLD_MS};
        (void)claim_take(claims, &key, COLD_SPACE, 1, now_ns, now_ns + 100 * COLD_MS);
        assert_int_equal(claim_wait(claims, &key, COLD_SPACE, &waiter), STATUS_PENDING);
        uint64_t cookie = ask(1, 1);
        move_down_committed(world.blocks, &key, COLD_SPACE, &filter, &means);
        assert_int_equal(world.mover.count, 1);
        move_land(&world, statuses[i]);
        assert_hot(cookie, i);
        assert_int_equal(world.cold.claims_mine, 1);
        assert_int_equal(world.cold.claims_ok, i);
    }
    hold_drop(&world.blocks->holds, 1);
}

#define IN_WORLD(test) \
    cmocka_unit_test_prestate_setup_teardown(test, move_set_up, move_tear_down, &world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_device_is_asked_before_a_tier),
        IN_WORLD(without_tiers_devices_are_asked_all_the_same),
        IN_WORLD(who_wants_it_too_joins),
        IN_WORLD(a_read_hangs_itself_on_a_copy_under_way),
        IN_WORLD(a_device_that_takes_no_copies_is_passed_over),
        IN_WORLD(a_busy_device_is_waited_for),
        IN_WORLD(the_answer_tells_of_a_place_in_host_memory),
        IN_WORLD(to_who_reads_the_device_it_is_hot),
        IN_WORLD(a_hint_copies_down_what_a_device_has),
        IN_WORLD(a_copy_waits_for_its_parents_read),
        IN_WORLD(who_is_late_is_told_and_the_copy_is_kept),
        IN_WORLD(a_commit_to_host_memory_is_an_answer_too),
        IN_WORLD(a_copy_down_is_an_answer_to_a_read_of_a_tier),
        IN_WORLD(claims_that_hang_on_a_read_end_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
