/* adopt: blocks of host and of device memory are taken over alike; an extent whose class is of the
 * other tier is a contradiction. */
#include "tests/unit/sidecar/block/heir.h"

#define HOST 2u
#define DEVICE 2u
#define PER 8u

static struct heir heir;
static struct adopt_found found;
static uint32_t classes[FIXTURE_TIERS];

static int set_up(void **state)
{
    (void)state;
    heir_open_tiers(&heir, HOST, DEVICE, PER, POLICY_LRU);
    classes[SLOT_TIER_HOST] = fixture_class(&heir.fixture, 4096);
    classes[SLOT_TIER_DEVICE] = fixture_class_in(&heir.fixture, 4096, SLOT_TIER_DEVICE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    heir_close(&heir);
    return 0;
}

static struct slot_line *line_of(uint32_t slot)
{
    return &heir_blocks(&heir)->index.lines[slot];
}

static void copies_in_both_tiers_both_come_back(void **state)
{
    (void)state;
    struct key parent = fixture_key(1);
    uint32_t slots[FIXTURE_TIERS];
    for (uint32_t tier = 0; tier < FIXTURE_TIERS; tier++) {
        slots[tier] = fixture_commit(&heir.fixture, classes[tier], 1, NULL);
        (void)fixture_commit(&heir.fixture, classes[tier], 2, &parent);
    }
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    assert_int_equal(found.blocks, 4);
    assert_int_equal(found.dropped, 0);
    const struct blocks *blocks = heir_blocks(&heir);
    for (uint32_t tier = 0; tier < FIXTURE_TIERS; tier++) {
        assert_int_equal(blocks->pool.classes[classes[tier]].tier, tier);
        assert_int_equal(fixture_find_in(&heir.fixture, 1, (enum slot_tier)tier), slots[tier]);
        assert_int_equal(policy_children(&blocks->policies[classes[tier]], slots[tier]), 1);
        assert_int_equal(pool_class_of(&blocks->pool, slots[tier]), classes[tier]);
        assert_int_equal(blocks->pool.sides[tier].free.count, 1);
    }
    assert_int_equal(fixture_find(&heir.fixture, 1), slots[SLOT_TIER_HOST]);
    assert_int_equal(blocks->space_blocks[1], 4);
    heir_check(&heir);
}

static void of_two_equal_blocks_in_a_tier_one_stays(void **state)
{
    (void)state;
    for (uint32_t tier = 0; tier < FIXTURE_TIERS; tier++) {
        uint32_t first = fixture_commit(&heir.fixture, classes[tier], 1, NULL);
        struct slot_content content;
        uint32_t slot;
        uint64_t generation;
        assert_true(slot_snapshot(line_of(first), &content, &generation));
        assert_int_equal(
            pool_take(heir_blocks(&heir), classes[tier], SLOT_LOADING, &slot, &generation),
            STATUS_OK);
        content.offset = pool_offset(&heir_blocks(&heir)->pool, slot);
        (void)slot_publish(line_of(slot), &content);
    }
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    assert_int_equal(found.blocks, 2);
    assert_int_equal(found.dropped, 2);
    assert_int_not_equal(fixture_find_in(&heir.fixture, 1, SLOT_TIER_HOST), HINT_NONE);
    assert_int_not_equal(fixture_find_in(&heir.fixture, 1, SLOT_TIER_DEVICE), HINT_NONE);
    heir_check(&heir);
}

static void a_line_that_names_the_other_tier_is_garbage(void **state)
{
    (void)state;
    for (uint32_t tier = 0; tier < FIXTURE_TIERS; tier++) {
        uint32_t slot = fixture_commit(&heir.fixture, classes[tier], 1, NULL);
        uint64_t place = shared64_load_relaxed(&line_of(slot)->place);
        shared64_store_relaxed(&line_of(slot)->place, place ^ UINT64_C(1) << 48);
    }
    /* An offset from the start of all memory is none from the start of its tier's. */
    uint32_t slot = fixture_commit(&heir.fixture, classes[SLOT_TIER_DEVICE], 2, NULL);
    uint64_t place = shared64_load_relaxed(&line_of(slot)->place);
    shared64_store_relaxed(&line_of(slot)->place, place + HOST * PER * 4096);
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    assert_int_equal(found.blocks, 0);
    assert_int_equal(found.dropped, 3);
    heir_check(&heir);
}

static void an_extent_of_a_class_of_the_other_tier_gives_all_of_it_up(void **state)
{
    (void)state;
    for (uint32_t tier = 0; tier < FIXTURE_TIERS; tier++) {
        (void)fixture_commit(&heir.fixture, classes[tier], 1, NULL);
    }
    heir_die(&heir);
    struct ledger *ledger = &heir_blocks(&heir)->ledger;
    assert_int_equal(
        ledger_view(heir.ledger, heir.ledger_bytes, (HOST + DEVICE) * PER, HOST + DEVICE, ledger),
        STATUS_OK);
    ledger_class(ledger, HOST, classes[SLOT_TIER_HOST]);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_MALFORMED);
}

static void what_the_ledger_says_of_a_free_extent_is_no_contradiction(void **state)
{
    (void)state;
    uint32_t host = fixture_commit(&heir.fixture, classes[SLOT_TIER_HOST], 1, NULL);
    uint32_t device = fixture_commit(&heir.fixture, classes[SLOT_TIER_DEVICE], 1, NULL);
    /* The numbers were other classes' once. */
    ledger_class(&heir_blocks(&heir)->ledger, HOST - 1, classes[SLOT_TIER_DEVICE]);
    ledger_class(&heir_blocks(&heir)->ledger, HOST + DEVICE - 1, classes[SLOT_TIER_HOST]);
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    assert_int_equal(fixture_find_in(&heir.fixture, 1, SLOT_TIER_HOST), host);
    assert_int_equal(fixture_find_in(&heir.fixture, 1, SLOT_TIER_DEVICE), device);
    const struct pool *pool = &heir_blocks(&heir)->pool;
    for (uint32_t tier = 0; tier < FIXTURE_TIERS; tier++) {
        assert_int_equal(pool->sides[tier].free.count, 1);
        assert_int_equal(pool_available(pool, classes[tier]), 2 * PER - 1);
    }
    heir_check(&heir);
}

/* Of each tier: key 1 valid and pinned, key 2 a victim, a slot that is lent and one that loads. */
static void die_in_the_middle(uint32_t devices, uint32_t out_slots[][4])
{
    uint64_t generation;
    for (uint32_t tier = 0; tier < 1 + devices; tier++) {
        struct blocks *blocks = heir_blocks(&heir);
        uint32_t class = fixture_class_in(&heir.fixture, 4096, (enum slot_tier)tier);
        for (uint32_t i = 0; i < 2; i++) {
            out_slots[tier][i] = fixture_commit(&heir.fixture, class, 1 + i, NULL);
            static const enum slot_state lent[] = {SLOT_RESERVED, SLOT_LOADING};
            assert_int_equal(
                pool_take(blocks, class, lent[i], &out_slots[tier][2 + i], &generation), STATUS_OK);
        }
        slot_mark(line_of(out_slots[tier][1]));
        fixture_pin(&heir.fixture, tier, out_slots[tier][0]);
    }
    heir_die(&heir);
}

static void of_a_lost_device_every_slot_is_free(void **state)
{
    (void)state;
    uint32_t slots[3][4];
    heir_close(&heir);
    heir_open_devices(&heir, HOST, 2, DEVICE, PER, POLICY_LRU);
    die_in_the_middle(2, slots);
    heir.lost_devices = 1u << 0;
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    assert_int_equal(found.lost, 2);
    assert_int_equal(found.blocks, 4);
    assert_int_equal(found.lent.count, 2);
    assert_int_equal(found.loading.count, 2);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(fixture_state(&heir.fixture, slots[1][i]), SLOT_FREE);
    }
    const struct pool *pool = &heir_blocks(&heir)->pool;
    assert_int_equal(pool->sides[SLOT_TIER_DEVICE].free.count, DEVICE);
    for (uint64_t key = 1; key < 3; key++) {
        uint32_t at = (uint32_t)key - 1;
        assert_int_equal(fixture_find(&heir.fixture, key), slots[0][at]);
        assert_int_equal(fixture_find_in(&heir.fixture, key, slot_tier_of_device(0)), HINT_NONE);
        assert_int_equal(fixture_find_in(&heir.fixture, key, slot_tier_of_device(1)), slots[2][at]);
    }
    heir_check(&heir);
    /* New memory, new blocks, under new generations; a pin of old only delays their eviction. */
    uint64_t before = slot_generation_of(slot_load_state(line_of(slots[1][0])));
    uint32_t class = fixture_class_in(&heir.fixture, 4096, slot_tier_of_device(0));
    uint32_t slot = fixture_commit(&heir.fixture, class, 3, NULL);
    assert_int_equal(slot, slots[1][0]);
    assert_true(slot_generation_of(slot_load_state(line_of(slot))) > before);
    struct evict_sweep sweep = fixture_sweeper(&heir.fixture);
    assert_int_equal(evict_room(heir_blocks(&heir), class, DEVICE * PER, &sweep), 0);
    fixture_unpin(&heir.fixture, 1);
    assert_int_equal(evict_room(heir_blocks(&heir), class, DEVICE * PER, &sweep), 1);
    heir_check(&heir);
}

static void what_a_lost_device_had_cannot_contradict(void **state)
{
    (void)state;
    (void)fixture_commit(&heir.fixture, classes[SLOT_TIER_HOST], 1, NULL);
    uint32_t slot = fixture_commit(&heir.fixture, classes[SLOT_TIER_DEVICE], 1, NULL);
    shared64_store_relaxed(&line_of(slot)->state, slot_word(9, (enum slot_state)77));
    ledger_class(&heir_blocks(&heir)->ledger, HOST, 200);
    heir_die(&heir);
    heir.lost_devices = 1u << 0;
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    assert_int_equal(found.blocks, 1);
    assert_int_equal(fixture_state(&heir.fixture, slot), SLOT_FREE);
    heir_check(&heir);
    /* The next takeover has the device again, and nothing to say of it. */
    heir_die(&heir);
    heir.lost_devices = 0;
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    assert_int_equal(found.blocks, 1);
    heir_check(&heir);
}

static void what_host_memory_has_too_is_no_loss_to_a_device(void **state)
{
    (void)state;
    const struct policy_node *nodes;
    uint32_t host = fixture_commit(&heir.fixture, classes[SLOT_TIER_HOST], 1, NULL);
    uint32_t twin = fixture_commit(&heir.fixture, classes[SLOT_TIER_DEVICE], 1, NULL);
    uint32_t only = fixture_commit(&heir.fixture, classes[SLOT_TIER_DEVICE], 2, NULL);
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    nodes = heir_blocks(&heir)->policy_memory.nodes;
    assert_int_equal(nodes[twin].cost, POLICY_FETCH);
    assert_int_equal(nodes[host].cost, POLICY_COMPUTE);
    assert_int_equal(nodes[only].cost, POLICY_COMPUTE);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(copies_in_both_tiers_both_come_back),
        IN_WORLD(of_two_equal_blocks_in_a_tier_one_stays),
        IN_WORLD(a_line_that_names_the_other_tier_is_garbage),
        IN_WORLD(an_extent_of_a_class_of_the_other_tier_gives_all_of_it_up),
        IN_WORLD(what_the_ledger_says_of_a_free_extent_is_no_contradiction),
        IN_WORLD(what_host_memory_has_too_is_no_loss_to_a_device),
        IN_WORLD(of_a_lost_device_every_slot_is_free),
        IN_WORLD(what_a_lost_device_had_cannot_contradict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
