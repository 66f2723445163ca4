/* move: a copy holds its source, loads its destination, and ends once, good or bad. */
#include "tests/unit/sidecar/block/move_world.h"

static struct move_world world;

static void while_it_is_copied_a_block_stays_and_its_copy_is_nobodys(void **state)
{
    (void)state;
    for (uint32_t from = 0; from < 2; from++) {
        uint32_t tiers[2] = {MOVE_HOST, MOVE_SECOND};
        uint32_t slot = move_commit(&world, tiers[from], from, NULL);
        struct move_entry *entry = move_begin(world.blocks, slot, world.classes[tiers[1 - from]]);
        assert_non_null(entry);
        assert_int_equal(fixture_state(&world.cold.fixture, entry->to), SLOT_LOADING);
        assert_int_equal(pool_tier(&world.blocks->pool, entry->to), tiers[1 - from]);
        assert_int_equal(cold_count(&world.cold, COUNTER_moves_now), 1);
        assert_true(move_is_busy(world.blocks, MOVE_SECOND));
        assert_int_equal(move_is_down(world.blocks, MOVE_SECOND), from == 1);
        assert_false(move_is_busy(world.blocks, SLOT_TIER_DEVICE));
        assert_int_equal(move_find(&world, from, tiers[1 - from]), HINT_NONE);
        assert_int_equal(move_evict(&world, slot), 0);
        assert_true(move_is_hot(&world, from, tiers[from]));
        move_land(&world, STATUS_OK);
        move_same(&world, from, tiers[1 - from]);
        assert_false(move_is_busy(world.blocks, MOVE_SECOND));
        assert_false(hold_is(&world.blocks->holds, slot));
        assert_int_equal(move_evict(&world, slot), 1);
        assert_true(move_is_hot(&world, from, tiers[1 - from]));
    }
    assert_int_equal(cold_count(&world.cold, COUNTER_promotions), 1);
    assert_int_equal(cold_count(&world.cold, COUNTER_bytes_promoted), COLD_BLOCK);
    assert_int_equal(cold_count(&world.cold, COUNTER_demotions), 1);
    assert_int_equal(cold_count(&world.cold, COUNTER_bytes_demoted), COLD_BLOCK);
}

static void a_copy_that_fails_leaves_nothing_but_its_source(void **state)
{
    (void)state;
    static const int statuses[] = {STATUS_IO, STATUS_DEVICE_LOST};
    uint32_t up = move_commit(&world, MOVE_HOST, 1, NULL);
    uint32_t down = move_commit(&world, MOVE_SECOND, 2, NULL);
    for (uint32_t i = 0; i < CHECK_COUNT(statuses); i++) {
        assert_non_null(move_begin(world.blocks, up, world.classes[MOVE_SECOND]));
        assert_non_null(move_begin(world.blocks, down, world.classes[MOVE_HOST]));
        move_land(&world, statuses[i]);
        assert_true(move_is_hot(&world, 1, MOVE_HOST));
        assert_true(move_is_hot(&world, 2, MOVE_SECOND));
        assert_int_equal(move_find(&world, 1, MOVE_SECOND), HINT_NONE);
        assert_int_equal(move_find(&world, 2, MOVE_HOST), HINT_NONE);
        assert_int_equal(cold_count(&world.cold, COUNTER_moves_failed), 2 * (i + 1));
        cold_settled(&world.cold);
    }
    assert_int_equal(cold_count(&world.cold, COUNTER_holds_now), 0);
    assert_int_equal(cold_count(&world.cold, COUNTER_promotions), 0);
    assert_int_equal(cold_count(&world.cold, COUNTER_demotions), 0);
}

static void what_a_client_committed_meanwhile_stays(void **state)
{
    (void)state;
    uint32_t up = move_commit(&world, MOVE_HOST, 1, NULL);
    uint32_t down = move_commit(&world, MOVE_SECOND, 2, NULL);
    assert_non_null(move_begin(world.blocks, up, world.classes[MOVE_SECOND]));
    assert_non_null(move_begin(world.blocks, down, world.classes[MOVE_HOST]));
    uint32_t first[2] = {
        move_commit(&world, MOVE_SECOND, 1, NULL), move_commit(&world, MOVE_HOST, 2, NULL)};
    move_land(&world, STATUS_OK);
    assert_int_equal(move_find(&world, 1, MOVE_SECOND), first[0]);
    assert_int_equal(move_find(&world, 2, MOVE_HOST), first[1]);
    cold_settled(&world.cold);
}

static void a_copy_without_room_for_its_hint_is_dropped(void **state)
{
    (void)state;
    uint32_t down = move_commit(&world, MOVE_SECOND, 2, NULL);
    assert_non_null(move_begin(world.blocks, down, world.classes[MOVE_HOST]));
    /* Both buckets of the key are full of others' words. */
    struct key key = fixture_key(2);
    const struct index_view *index = &world.blocks->index;
    struct hint_place place = hint_place_of(&key, index->hint_mask);
    struct hint_place filler = place;
    filler.tag ^= 1;
    uint64_t kept[16];
    for (uint32_t i = 0; i < 16; i++) {
        _Atomic uint64_t *word = &index->hints[place.bucket[i / 8]].word[i % 8];
        kept[i] = shared64_load_relaxed(word);
        shared64_store_relaxed(word, kept[i] == 0 ? hint_word(filler.tag, HINT_COLD, 5) : kept[i]);
    }
    move_land(&world, STATUS_OK);
    assert_int_equal(move_find(&world, 2, MOVE_HOST), HINT_NONE);
    assert_int_equal(cold_count(&world.cold, COUNTER_hints_full), 1);
    for (uint32_t i = 0; i < 16; i++) {
        shared64_store_relaxed(&index->hints[place.bucket[i / 8]].word[i % 8], kept[i]);
    }
    assert_true(move_is_hot(&world, 2, MOVE_SECOND));
}

static void what_cannot_begin_leaves_all_as_it_was(void **state)
{
    (void)state;
    uint32_t slot = move_commit(&world, MOVE_HOST, 1, NULL);
    world.mover.most = 0;
    assert_null(move_begin(world.blocks, slot, world.classes[MOVE_SECOND]));
    cold_settled(&world.cold);
    world.mover.most = 1;
    for (uint32_t i = 0; i < MOVE_SLOTS; i++) {
        (void)move_commit(&world, MOVE_SECOND, 100 + i, NULL);
    }
    assert_null(
        move_begin(world.blocks, slot, world.classes[MOVE_SECOND])); /* no free slot there */
    cold_settled(&world.cold);
    assert_int_equal(cold_count(&world.cold, COUNTER_holds_now), 0);
    assert_int_equal(world.mover.starts, 0);
}

static void a_mover_that_is_gone_is_asked_for_nothing(void **state)
{
    (void)state;
    uint32_t slot = move_commit(&world, MOVE_SECOND, 1, NULL);
    assert_true(move_is_wanted(world.blocks, slot));
    struct key key = fixture_key(1);
    assert_int_equal(move_source(world.blocks, &key, COLD_SPACE), slot);
    move_attach(world.blocks, NULL);
    assert_false(move_can(world.blocks));
    assert_false(move_is_wanted(world.blocks, slot));
    assert_int_equal(move_source(world.blocks, &key, COLD_SPACE), HINT_NONE);
    assert_null(move_begin(world.blocks, slot, world.classes[MOVE_HOST]));
    assert_int_equal(move_evict(&world, slot), 1);
    assert_int_equal(cold_count(&world.cold, COUNTER_moves_missed), 0);
}

static void links_and_reuse_go_with_a_block(void **state)
{
    (void)state;
    struct key parent = fixture_key(1);
    uint32_t above = move_commit(&world, MOVE_SECOND, 1, NULL);
    uint32_t below = move_commit(&world, MOVE_SECOND, 2, &parent);
    const struct policy *policy = &world.blocks->policies[world.classes[MOVE_HOST]];
    admit_touch(world.blocks, below);
    assert_non_null(move_begin(world.blocks, above, world.classes[MOVE_HOST]));
    move_land(&world, STATUS_OK);
    assert_non_null(move_begin(world.blocks, below, world.classes[MOVE_HOST]));
    move_land(&world, STATUS_OK);
    assert_int_equal(policy_children(policy, move_find(&world, 1, MOVE_HOST)), 1);
    assert_false(policy_reused(policy, move_find(&world, 1, MOVE_HOST)));
    assert_true(policy_reused(policy, move_find(&world, 2, MOVE_HOST)));
    /* A copy down of what lay below knows it. */
    cold_put(&world.cold, 3);
    uint32_t third = move_commit(&world, MOVE_SECOND, 3, NULL);
    assert_non_null(move_begin(world.blocks, third, world.classes[MOVE_HOST]));
    move_land(&world, STATUS_OK);
    assert_true(spill_is_stored(world.blocks, move_find(&world, 3, MOVE_HOST)));
    assert_false(spill_is_stored(world.blocks, move_find(&world, 2, MOVE_HOST)));
    assert_true(spill_is_stored(world.blocks, below)); /* host memory has it now */
}

static void copies_of_a_device_under_way_are_bounded(void **state)
{
    (void)state;
    uint32_t slots[3];
    move_world_close(&world);
    /* So many that the mover's own limit is not reached. */
    move_world_open(&world, 80, 40, 8);
    for (uint32_t i = 0; i < MOVE_COUNT_MAX + 2; i++) {
        uint32_t slot = move_commit(&world, MOVE_SECOND, i, NULL);
        bool begun = move_begin(world.blocks, slot, world.classes[MOVE_HOST]) != NULL;
        assert_int_equal(begun, i < MOVE_COUNT_MAX);
        slots[i % 3] = slot;
    }
    assert_false(move_has_room(world.blocks, 1, 1));
    /* The other device has its own. */
    assert_true(move_has_room(world.blocks, 0, 1));
    uint32_t other = move_commit(&world, SLOT_TIER_DEVICE, 5000, NULL);
    assert_non_null(move_begin(world.blocks, other, world.classes[MOVE_HOST]));
    mover_end(&world.mover, 7, STATUS_OK);
    (void)cold_step(&world.cold);
    assert_non_null(
        move_begin(world.blocks, slots[(MOVE_COUNT_MAX + 1) % 3], world.classes[MOVE_HOST]));
    move_land(&world, STATUS_OK);
    /* By bytes, too; but one block may always go. */
    struct move_device *device = &world.blocks->moves.devices[1];
    assert_true(move_has_room(world.blocks, 1, MOVE_BYTES_MAX + 1));
    assert_non_null(
        move_begin(world.blocks, slots[(MOVE_COUNT_MAX) % 3], world.classes[MOVE_HOST]));
    assert_int_equal(device->bytes, COLD_BLOCK);
    assert_true(move_has_room(world.blocks, 1, MOVE_BYTES_MAX - COLD_BLOCK));
    assert_false(move_has_room(world.blocks, 1, MOVE_BYTES_MAX - COLD_BLOCK + 1));
    move_land(&world, STATUS_OK);
    assert_int_equal(device->bytes, 0);
}

#define IN_WORLD(test) \
    cmocka_unit_test_prestate_setup_teardown(test, move_set_up, move_tear_down, &world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(while_it_is_copied_a_block_stays_and_its_copy_is_nobodys),
        IN_WORLD(a_copy_that_fails_leaves_nothing_but_its_source),
        IN_WORLD(what_a_client_committed_meanwhile_stays),
        IN_WORLD(a_copy_without_room_for_its_hint_is_dropped),
        IN_WORLD(what_cannot_begin_leaves_all_as_it_was),
        IN_WORLD(a_mover_that_is_gone_is_asked_for_nothing),
        IN_WORLD(links_and_reuse_go_with_a_block),
        IN_WORLD(copies_of_a_device_under_way_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
