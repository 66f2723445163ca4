/* admit: a key may be hot in host and in device memory, once in each; the copies know nothing of
 * each other. */
#include "tests/unit/sidecar/block/fixture.h"

#define HOST 2u
#define DEVICE 2u
#define PER 8u

static struct fixture fixture;
static uint32_t classes[FIXTURE_TIERS];

static int set_up(void **state)
{
    (void)state;
    fixture_open_tiers(&fixture, HOST, DEVICE, PER, POLICY_ADAPTIVE);
    classes[SLOT_TIER_HOST] = fixture_class(&fixture, 4096);
    classes[SLOT_TIER_DEVICE] = fixture_class_in(&fixture, 4096, SLOT_TIER_DEVICE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_close(&fixture);
    return 0;
}

static void evict(uint32_t slot)
{
    struct evict_sweep sweep = fixture_sweeper(&fixture);
    uint32_t class = pool_class_of(&fixture.blocks.pool, slot);
    policy_choose(&fixture.blocks.policies[class], slot);
    assert_int_equal(evict_batch(&fixture.blocks, class, &slot, 1, true, &sweep), 1);
}

/* Hint words of a key that lead to hot slots. */
static uint32_t hints_of(uint64_t number)
{
    struct key key = fixture_key(number);
    struct hint_place place = hint_place_of(&key, fixture.blocks.index.hint_mask);
    uint32_t position = 0;
    uint32_t count = 0;
    while (hint_next(&fixture.blocks.index, &place, HINT_HOT, &position) != HINT_NONE) {
        count++;
    }
    return count;
}

static void hot_in_both_is_found_in_both_and_in_the_host_first(void **state)
{
    (void)state;
    /* Whatever came first, and stands first in the bucket. */
    uint32_t device[2];
    uint32_t host[2];
    device[0] = fixture_commit(&fixture, classes[SLOT_TIER_DEVICE], 1, NULL);
    assert_int_equal(fixture_find(&fixture, 1), device[0]);
    host[0] = fixture_commit(&fixture, classes[SLOT_TIER_HOST], 1, NULL);
    host[1] = fixture_commit(&fixture, classes[SLOT_TIER_HOST], 2, NULL);
    device[1] = fixture_commit(&fixture, classes[SLOT_TIER_DEVICE], 2, NULL);
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(fixture_find(&fixture, i + 1), host[i]);
        assert_int_equal(fixture_find_in(&fixture, i + 1, SLOT_TIER_HOST), host[i]);
        assert_int_equal(fixture_find_in(&fixture, i + 1, SLOT_TIER_DEVICE), device[i]);
        assert_int_equal(hints_of(i + 1), 2);
    }
    assert_int_equal(fixture_count(&fixture, COUNTER_duplicates), 0);
    assert_int_equal(fixture_count(&fixture, COUNTER_slots_hot), 4);
    assert_int_equal(fixture.blocks.space_blocks[1], 4);
}

static void evicted_from_one_it_stays_in_the_other(void **state)
{
    (void)state;
    for (uint32_t gone = 0; gone < FIXTURE_TIERS; gone++) {
        uint64_t number = 1 + gone;
        uint32_t slots[FIXTURE_TIERS];
        for (uint32_t tier = 0; tier < FIXTURE_TIERS; tier++) {
            slots[tier] = fixture_commit(&fixture, classes[tier], number, NULL);
        }
        uint32_t stays = FIXTURE_TIERS - 1 - gone;
        evict(slots[gone]);
        assert_int_equal(fixture_find(&fixture, number), slots[stays]);
        assert_int_equal(fixture_find_in(&fixture, number, (enum slot_tier)gone), HINT_NONE);
        assert_int_equal(hints_of(number), 1);
        /* It may come back, and the other may go. */
        uint32_t again = fixture_commit(&fixture, classes[gone], number, NULL);
        evict(slots[stays]);
        assert_int_equal(fixture_find(&fixture, number), again);
        evict(again);
        assert_int_equal(fixture_find(&fixture, number), HINT_NONE);
        assert_int_equal(hints_of(number), 0);
    }
    assert_int_equal(fixture.blocks.space_blocks[1], 0);
    assert_int_equal(fixture_count(&fixture, COUNTER_slots_hot), 0);
}

static void a_second_one_in_its_tier_is_a_duplicate(void **state)
{
    (void)state;
    for (uint32_t tier = 0; tier < FIXTURE_TIERS; tier++) {
        (void)fixture_commit(&fixture, classes[tier], 1, NULL);
    }
    for (uint32_t tier = 0; tier < FIXTURE_TIERS; tier++) {
        uint32_t slot;
        uint64_t generation;
        bool duplicate = false;
        struct slot_content content = {.key = fixture_key(1), .bytes = 100, .space = 1};
        assert_int_equal(
            pool_take(&fixture.blocks, classes[tier], SLOT_RESERVED, &slot, &generation),
            STATUS_OK);
        assert_int_equal(
            admit_block(&fixture.blocks, slot, generation, &content, NULL, &duplicate), STATUS_OK);
        assert_true(duplicate);
        assert_int_equal(fixture_state(&fixture, slot), SLOT_FREE);
        assert_int_equal(fixture_count(&fixture, COUNTER_duplicates), tier + 1);
    }
    assert_int_equal(hints_of(1), 2);
}

static void place_and_tier_are_those_of_the_slot(void **state)
{
    (void)state;
    for (uint32_t tier = 0; tier < FIXTURE_TIERS; tier++) {
        uint32_t slot;
        uint64_t generation;
        bool duplicate;
        /* Whatever the caller says. */
        struct slot_content content = {
            .key = fixture_key(1), .bytes = 100, .space = 1, .tier = (uint8_t)(1 - tier)};
        assert_int_equal(
            pool_take(&fixture.blocks, classes[tier], SLOT_RESERVED, &slot, &generation),
            STATUS_OK);
        assert_int_equal(
            admit_block(&fixture.blocks, slot, generation, &content, NULL, &duplicate), STATUS_OK);
        slot_load_place(&fixture.blocks.index.lines[slot], &content);
        assert_int_equal(content.tier, tier);
        assert_int_equal(content.offset, 0); /* the first slot of each tier's memory */
        assert_int_equal(content.size_class, classes[tier]);
    }
}

static void links_are_within_a_tier(void **state)
{
    (void)state;
    struct key parent = fixture_key(1);
    uint32_t slots[FIXTURE_TIERS];
    for (uint32_t tier = 0; tier < FIXTURE_TIERS; tier++) {
        slots[tier] = fixture_commit(&fixture, classes[tier], 1, NULL);
    }
    for (uint32_t tier = 0; tier < FIXTURE_TIERS; tier++) {
        const struct policy *policy = &fixture.blocks.policies[classes[tier]];
        (void)fixture_commit(&fixture, classes[tier], 2, &parent);
        assert_int_equal(policy_children(policy, slots[tier]), 1);
        (void)fixture_commit(&fixture, classes[tier], 3, &parent);
        assert_int_equal(policy_children(policy, slots[tier]), 2);
    }
    /* A child that leaves is missed by the parent of its own tier alone. */
    evict(fixture_find_in(&fixture, 2, SLOT_TIER_DEVICE));
    evict(fixture_find_in(&fixture, 3, SLOT_TIER_DEVICE));
    assert_int_equal(
        policy_children(&fixture.blocks.policies[classes[SLOT_TIER_DEVICE]], slots[1]), 0);
    assert_int_equal(
        policy_children(&fixture.blocks.policies[classes[SLOT_TIER_HOST]], slots[0]), 2);
    /* And leaf first is kept in each. */
    struct evict_sweep sweep = fixture_sweeper(&fixture);
    assert_int_equal(evict_room(&fixture.blocks, classes[0], 2, &sweep), 2);
    assert_int_equal(fixture_find_in(&fixture, 1, SLOT_TIER_HOST), slots[0]);
}

static void a_parent_in_the_other_tier_is_not_missing(void **state)
{
    (void)state;
    struct key parent = fixture_key(1);
    struct key unknown = fixture_key(99);
    (void)fixture_commit(&fixture, classes[SLOT_TIER_HOST], 1, NULL);
    uint32_t child = fixture_commit(&fixture, classes[SLOT_TIER_DEVICE], 2, &parent);
    uint32_t lost = fixture_commit(&fixture, classes[SLOT_TIER_DEVICE], 3, &unknown);
    const struct policy_node *nodes = fixture.blocks.policy_memory.nodes;
    assert_int_equal(nodes[child].parent, POLICY_NONE);
    assert_false(nodes[child].missing);
    assert_true(nodes[lost].missing);
}

/* The host's copy, which may be gone, and those of two devices. */
static void assert_costs(const uint32_t slots[3], enum policy_cost host, enum policy_cost device)
{
    const struct policy_node *nodes = fixture.blocks.policy_memory.nodes;
    assert_int_equal(nodes[slots[0]].cost, host);
    assert_int_equal(nodes[slots[1]].cost, device);
    assert_int_equal(nodes[slots[2]].cost, device);
}

static void what_a_block_costs_is_told_to_all_its_copies(void **state)
{
    (void)state;
    fixture_close(&fixture);
    fixture_open_devices(&fixture, HOST, 2, DEVICE, PER, POLICY_ADAPTIVE);
    const struct policy_node *nodes = fixture.blocks.policy_memory.nodes;
    struct key key = fixture_key(1);
    uint32_t slots[3];
    uint32_t other = HINT_NONE;
    for (uint32_t tier = 0; tier < 3; tier++) {
        uint32_t class = fixture_class_in(&fixture, 4096, (enum slot_tier)tier);
        slots[tier] = fixture_commit(&fixture, class, 1, NULL);
        other = fixture_commit(&fixture, class, 2, NULL);
    }
    /* Host memory has what devices have. */
    admit_cost(&fixture.blocks, &key, 1, false);
    assert_costs(slots, POLICY_COMPUTE, POLICY_FETCH);
    admit_cost(&fixture.blocks, &key, 1, true);
    assert_costs(slots, POLICY_FETCH, POLICY_FETCH);
    /* It leaves host memory, where it was known to lie below. */
    evict(slots[0]);
    assert_costs(slots, POLICY_FETCH, POLICY_FETCH);
    admit_cost(&fixture.blocks, &key, 1, false);
    assert_costs(slots, POLICY_FETCH, POLICY_COMPUTE);
    /* It comes again, and goes without a copy below. */
    slots[0] = fixture_commit(&fixture, 0, 1, NULL);
    assert_costs(slots, POLICY_COMPUTE, POLICY_FETCH);
    evict(slots[0]);
    assert_costs(slots, POLICY_COMPUTE, POLICY_COMPUTE);
    assert_int_equal(
        nodes[other].cost, POLICY_FETCH); /* another key's, of which the host has one */
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(hot_in_both_is_found_in_both_and_in_the_host_first),
        IN_WORLD(evicted_from_one_it_stays_in_the_other),
        IN_WORLD(a_second_one_in_its_tier_is_a_duplicate),
        IN_WORLD(place_and_tier_are_those_of_the_slot),
        IN_WORLD(links_are_within_a_tier),
        IN_WORLD(a_parent_in_the_other_tier_is_not_missing),
        IN_WORLD(what_a_block_costs_is_told_to_all_its_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
