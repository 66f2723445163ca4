/* fetch_load: reads end well, badly or late; a slot that a reader may be at comes home by a sweep.
 * */
#include "tests/unit/sidecar/block/cold_world.h"

#define ONE ((struct fetch_ask){.session = 1, .blocks = 1})

static struct cold_world world;

static void arrive(void)
{
    double_end_all(&world.tier, STATUS_OK);
    (void)cold_step(&world);
}

/* One batch of one block, its first bytes told and pinned by a reader. Returns its slot. */
static uint32_t read_first_part(uint64_t number, uint64_t *out_cookie)
{
    cold_put(&world, number);
    *out_cookie = cold_ask(
        &world, &(struct fetch_ask){.session = 1, .blocks = 1, .part_bytes = 1024}, number);
    (void)cold_step(&world);
    double_part(&world.tier, 0, 512); /* less than was asked for */
    (void)cold_step(&world);
    assert_int_equal(world.told_count, 0);
    double_part(&world.tier, 0, 1024);
    (void)cold_step(&world);
    assert_int_equal(world.told_count, 1);
    const struct fetch_part *part = &world.told[0].part;
    uint64_t word = slot_load_state(&world.blocks->index.lines[part->slot]);
    assert_int_equal(word, slot_word(part->generation, SLOT_LOADING));
    assert_int_equal(part->bytes, 1024);
    assert_int_equal(part->number, 0);
    unsigned char bytes[COLD_BLOCK];
    cold_bytes(number, bytes);
    assert_memory_equal(world.pool + part->offset, bytes, 1024);
    fixture_pin(&world.fixture, 0, part->slot);
    return part->slot;
}

static void a_part_is_told_once_and_then_the_end(void **state)
{
    (void)state;
    uint64_t asked;
    uint32_t slot = read_first_part(1, &asked);
    uint64_t generation = world.told[0].part.generation;
    arrive();
    assert_int_equal(world.told_count, 1);
    assert_int_equal(cold_answer(&world, asked)->hot, 1);
    assert_int_equal(fixture_find(&world.fixture, 1), slot);
    assert_int_equal(
        slot_load_state(&world.blocks->index.lines[slot]), slot_word(generation + 1, SLOT_VALID));
}

static void a_failed_load_comes_home_only_when_its_reader_left(void **state)
{
    (void)state;
    uint64_t asked;
    uint32_t slot = read_first_part(1, &asked);
    uint64_t generation = world.told[0].part.generation;
    double_event(&world.tier, &(struct tier_done){.cookie = world.tier.ops[0].cookie,
                                  .id = world.tier.ops[0].wish.id,
                                  .event = TIER_LOADED,
                                  .status = STATUS_IO});
    world.tier.op_count = 0;
    (void)cold_step(&world);
    assert_int_equal(cold_answer(&world, asked)->status, STATUS_MISS);
    /* Nobody new takes it, and nobody else is given it. */
    uint64_t word = slot_load_state(&world.blocks->index.lines[slot]);
    assert_int_equal(word, slot_word(generation + 1, SLOT_LOADING));
    for (uint32_t i = 0; i < 3; i++) {
        cold_pass(&world, 10 * COLD_MS);
        assert_int_equal(fixture_state(&world.fixture, slot), SLOT_LOADING);
    }
    unsigned char bytes[COLD_BLOCK];
    cold_bytes(1, bytes);
    assert_memory_equal(world.pool + world.told[0].part.offset, bytes, 1024);
    fixture_unpin(&world.fixture, 0);
    cold_pass(&world, 10 * COLD_MS);
    assert_int_equal(fixture_state(&world.fixture, slot), SLOT_FREE);
}

static void a_committed_twin_leaves_the_partly_read_slot_to_its_reader(void **state)
{
    (void)state;
    uint64_t asked;
    uint32_t slot = read_first_part(1, &asked);
    uint32_t twin = cold_commit(&world, 1);
    assert_int_equal(cold_answer(&world, asked)->hot, 1);
    arrive();
    assert_int_equal(fixture_find(&world.fixture, 1), twin);
    cold_pass(&world, 10 * COLD_MS);
    assert_int_equal(fixture_state(&world.fixture, slot), SLOT_LOADING);
    fixture_unpin(&world.fixture, 0);
    cold_pass(&world, 10 * COLD_MS);
    assert_int_equal(fixture_state(&world.fixture, slot), SLOT_FREE);
}

static void parts_are_told_of_blocks_that_are_hot_or_came_whole(void **state)
{
    (void)state;
    uint32_t hot = cold_commit(&world, 1);
    cold_put(&world, 2);
    (void)cold_ask(&world, &ONE, 2);
    struct fetch_ask ask = {.session = 2, .blocks = 2, .part_bytes = 1024};
    uint64_t asked = cold_ask(&world, &ask, 1);
    assert_int_equal(world.told_count, 1);
    assert_int_equal(world.told[0].part.slot, hot);
    assert_int_equal(world.told[0].part.bytes, COLD_BLOCK);
    (void)cold_step(&world);
    arrive();
    assert_int_equal(world.told_count, 2);
    assert_int_equal(world.told[1].part.number, 1);
    uint32_t slot = world.told[1].part.slot;
    assert_int_equal(slot_load_state(&world.blocks->index.lines[slot]),
        slot_word(world.told[1].part.generation + 1, SLOT_VALID));
    assert_int_equal(cold_answer(&world, asked)->hot, 2);
}

static void a_child_that_came_first_waits_for_its_parent(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 4; i++) {
        cold_put(&world, i);
    }
    uint64_t asked = cold_ask(&world, &(struct fetch_ask){.session = 1, .blocks = 4}, 1);
    (void)cold_step(&world);
    while (world.tier.op_count > 1) {
        double_end(&world.tier, world.tier.op_count - 1, STATUS_OK);
    }
    (void)cold_step(&world);
    assert_false(cold_is_hot(&world, 4));
    arrive();
    assert_int_equal(cold_answer(&world, asked)->hot, 4);
    const struct policy *policy = &world.blocks->policies[world.class];
    for (uint64_t i = 1; i <= 4; i++) {
        uint32_t slot = fixture_find(&world.fixture, i);
        assert_int_equal(policy_children(policy, slot), i < 4 ? 1 : 0);
    }
}

static void a_block_lost_below_before_it_is_published_needs_a_copy_again(void **state)
{
    (void)state;
    struct tier_id id = cold_id(&world, 2);
    cold_put(&world, 1);
    cold_put(&world, 2);
    (void)cold_ask(&world, &(struct fetch_ask){.session = 1, .blocks = 2}, 1);
    (void)cold_step(&world);
    double_end(&world.tier, 1, STATUS_OK); /* waits for its parent */
    double_say(&world.tier, TIER_LOST, &id);
    (void)cold_step(&world);
    arrive();
    assert_true(spill_is_stored(world.blocks, fixture_find(&world.fixture, 1)));
    assert_false(spill_is_stored(world.blocks, fixture_find(&world.fixture, 2)));
}

static void children_of_a_lost_parent_are_published_all_the_same(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 3; i++) {
        cold_put(&world, i);
    }
    uint64_t asked = cold_ask(&world, &(struct fetch_ask){.session = 1, .blocks = 3}, 1);
    (void)cold_step(&world);
    double_end(&world.tier, 2, STATUS_OK);
    double_end(&world.tier, 1, STATUS_OK);
    (void)cold_step(&world);
    double_end(&world.tier, 0, STATUS_MISS);
    (void)cold_step(&world);
    assert_int_equal(cold_answer(&world, asked)->hot, 0);
    assert_true(cold_is_hot(&world, 2) && cold_is_hot(&world, 3));
}

static void blocks_that_name_each_other_as_parents_come(void **state)
{
    (void)state;
    struct fetch_batches *batches = &world.blocks->fetches.batches;
    struct fetch_means means = cold_means(&world);
    struct fetch_ask ask = {
        .session = 1, .blocks = 2, .quota = 9, .cookie = 1, .deadline_ns = UINT64_MAX};
    cold_put(&world, 1);
    cold_put(&world, 2);
    uint32_t batch = fetch_batch_begin(batches, &ask);
    for (uint64_t i = 1; i <= 2; i++) {
        struct fetch_want want = {.key = fixture_key(i),
            .parent = fixture_key(3 - i),
            .has_parent = true,
            .space = COLD_SPACE,
            .class = world.class};
        fetch_block(world.blocks, batch, &want, &means);
    }
    fetch_batch_close(batches, batch, &means.answers);
    (void)cold_step(&world);
    double_end(&world.tier, 1, STATUS_OK);
    (void)cold_step(&world);
    double_end(&world.tier, 0, STATUS_OK);
    (void)cold_step(&world);
    assert_int_equal(cold_answer(&world, 1)->hot, 2);
}

static void a_number_that_means_another_namespace_now_gets_no_old_block(void **state)
{
    (void)state;
    cold_put(&world, 1);
    uint64_t asked = cold_ask(&world, &ONE, 1);
    (void)cold_step(&world);
    fetch_drop(world.blocks, 1);
    struct space other = cold_space_named("b");
    cold_space(world.blocks, COLD_SPACE, &other, 0);
    arrive();
    assert_int_equal(fixture_find(&world.fixture, 1), HINT_NONE);
    assert_null(cold_answer(&world, asked));
}

static void a_busy_tier_is_asked_again_when_it_says_something(void **state)
{
    (void)state;
    world.tier.depth = 1;
    cold_put(&world, 1);
    cold_put(&world, 2);
    uint64_t asked = cold_ask(&world, &(struct fetch_ask){.session = 1, .blocks = 2}, 1);
    assert_false(cold_step(&world));
    uint32_t loads = world.tier.loads;
    assert_false(cold_step(&world));
    assert_int_equal(world.tier.loads, loads); /* not before */
    arrive();
    arrive();
    assert_int_equal(cold_answer(&world, asked)->hot, 2);
}

static void a_tier_that_fails_is_a_miss(void **state)
{
    (void)state;
    cold_put(&world, 1);
    uint64_t asked = cold_ask(&world, &ONE, 1);
    (void)cold_step(&world);
    double_end(&world.tier, 0, STATUS_IO);
    (void)cold_step(&world);
    assert_int_equal(cold_answer(&world, asked)->status, STATUS_MISS);
    assert_int_equal(cold_count(&world, COUNTER_fetches_missed), 1);
    world.tier.refuse = STATUS_IO;
    asked = cold_ask(&world, &ONE, 1);
    (void)cold_step(&world);
    assert_int_equal(cold_answer(&world, asked)->status, STATUS_MISS);
}

static void who_joined_with_more_time_is_read_for_again(void **state)
{
    (void)state;
    cold_put(&world, 1);
    struct fetch_ask hurried = {
        .session = 1, .blocks = 1, .deadline_ns = world.now_ns + 10 * COLD_MS};
    uint64_t first = cold_ask(&world, &hurried, 1);
    (void)cold_step(&world);
    uint64_t second = cold_ask(&world, &(struct fetch_ask){.session = 2, .blocks = 1}, 1);
    cold_pass(&world, 20 * COLD_MS);
    /* The tier did not begin in time. */
    double_end(&world.tier, 0, STATUS_MISS);
    (void)cold_step(&world);
    assert_int_equal(cold_answer(&world, first)->hot, 0);
    assert_null(cold_answer(&world, second));
    arrive();
    assert_int_equal(cold_answer(&world, second)->hot, 1);
}

#define IN_WORLD(test) \
    cmocka_unit_test_prestate_setup_teardown(test, cold_set_up, cold_tear_down, &world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_part_is_told_once_and_then_the_end),
        IN_WORLD(a_failed_load_comes_home_only_when_its_reader_left),
        IN_WORLD(a_committed_twin_leaves_the_partly_read_slot_to_its_reader),
        IN_WORLD(parts_are_told_of_blocks_that_are_hot_or_came_whole),
        IN_WORLD(a_child_that_came_first_waits_for_its_parent),
        IN_WORLD(a_block_lost_below_before_it_is_published_needs_a_copy_again),
        IN_WORLD(children_of_a_lost_parent_are_published_all_the_same),
        IN_WORLD(blocks_that_name_each_other_as_parents_come),
        IN_WORLD(a_number_that_means_another_namespace_now_gets_no_old_block),
        IN_WORLD(a_busy_tier_is_asked_again_when_it_says_something),
        IN_WORLD(a_tier_that_fails_is_a_miss),
        IN_WORLD(who_joined_with_more_time_is_read_for_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
