/* adopt_order: after a takeover victims go in the order in which they would have gone before. */
#include "tests/check.h"

#include "tests/unit/sidecar/block/heir.h"

#define EXTENTS 4u
#define PER 64u
#define BLOCKS 200u

/* Commits and touches by seed: chains with forks, touched deepest block first as lanes do. */
static void play(struct heir *heir, uint32_t class, uint64_t *random)
{
    uint32_t parents[BLOCKS];
    for (uint32_t i = 0; i < BLOCKS; i++) {
        uint64_t roll = check_random(random);
        parents[i] =
            i == 0 || roll % 8 == 0 ? UINT32_MAX : (uint32_t)(roll % 3 < 2 ? i - 1 : roll % i);
        struct key parent = fixture_key(parents[i] == UINT32_MAX ? 0 : parents[i]);
        fixture_commit(&heir->fixture, class, i, parents[i] == UINT32_MAX ? NULL : &parent);
        for (uint32_t at = roll % 4 == 1 ? (uint32_t)(roll >> 8) % (i + 1) : UINT32_MAX;
             at != UINT32_MAX; at = parents[at]) {
            admit_touch(heir_blocks(heir), fixture_find(&heir->fixture, at));
        }
    }
}

/* All victims, in order. */
static uint32_t victims(struct heir *heir, uint32_t class, uint32_t *out_slots)
{
    struct policy *policy = &heir_blocks(heir)->policies[class];
    uint32_t count = 0;
    uint32_t some;
    while ((some = policy_victims(policy, 1, out_slots + count)) > 0) {
        policy_evicted(policy, out_slots[count]);
        count += some;
    }
    return count;
}

static void compare(uint64_t seed, enum policy_kind kind)
{
    struct heir heir;
    struct adopt_found found;
    uint32_t before[BLOCKS];
    uint32_t after[BLOCKS];
    uint64_t random = seed;
    heir_open(&heir, EXTENTS, PER, kind);
    uint32_t class = fixture_class(&heir.fixture, 4096);
    play(&heir, class, &random);
    assert_int_equal(victims(&heir, class, before), BLOCKS);
    heir_die(&heir); /* the policy's state is private: the lines still say VALID */
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    assert_int_equal(found.blocks, BLOCKS);
    assert_int_equal(victims(&heir, class, after), BLOCKS);
    assert_memory_equal(before, after, sizeof before);
    heir_close(&heir);
}

static void test_lru_goes_on_in_the_same_order(void **state)
{
    (void)state;
    uint64_t random = check_seed();
    for (int i = 0; i < 100; i++) {
        compare(check_random(&random), POLICY_LRU);
    }
}

static void test_arc_goes_on_in_the_same_order(void **state)
{
    (void)state;
    uint64_t random = check_seed();
    for (int i = 0; i < 100; i++) {
        compare(check_random(&random), POLICY_ARC);
    }
}

static void test_a_long_chain_keeps_all_its_links(void **state)
{
    (void)state;
    struct heir heir;
    struct adopt_found found;
    uint32_t slots[BLOCKS];
    uint32_t order[BLOCKS];
    heir_open(&heir, EXTENTS, PER, POLICY_LRU);
    uint32_t class = fixture_class(&heir.fixture, 4096);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        struct key parent = fixture_key(i - 1);
        slots[i] = fixture_commit(&heir.fixture, class, i, i == 0 ? NULL : &parent);
    }
    for (uint32_t i = BLOCKS; i-- > 0;) {
        admit_touch(heir_blocks(&heir), slots[i]);
    }
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        assert_int_equal(policy_children(&heir_blocks(&heir)->policies[class], slots[i]),
            i + 1 < BLOCKS ? 1 : 0);
    }
    assert_int_equal(victims(&heir, class, order), BLOCKS);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        assert_int_equal(order[i], slots[BLOCKS - 1 - i]);
    }
    heir_close(&heir);
}

static void test_a_parent_whose_slot_was_used_again_is_none(void **state)
{
    (void)state;
    struct heir heir;
    struct adopt_found found;
    heir_open(&heir, EXTENTS, PER, POLICY_LRU);
    uint32_t class = fixture_class(&heir.fixture, 4096);
    struct evict_sweep sweep = fixture_sweeper(&heir.fixture);
    struct key parent = fixture_key(1);
    uint32_t old = fixture_commit(&heir.fixture, class, 1, NULL);
    fixture_commit(&heir.fixture, class, 2, &parent);
    /* As a draining extent does: the parent goes before its child. */
    policy_choose(&heir_blocks(&heir)->policies[class], old);
    assert_int_equal(evict_batch(heir_blocks(&heir), class, &old, 1, true, &sweep), 1);
    assert_int_equal(fixture_commit(&heir.fixture, class, 3, NULL), old);
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    assert_int_equal(policy_children(&heir_blocks(&heir)->policies[class], old), 0);
    heir_close(&heir);
}

static void test_a_ring_of_parents_does_not_hang(void **state)
{
    (void)state;
    struct heir heir;
    struct adopt_found found;
    uint32_t slots[3];
    uint32_t order[3];
    heir_open(&heir, EXTENTS, PER, POLICY_LRU);
    uint32_t class = fixture_class(&heir.fixture, 4096);
    struct blocks *blocks = heir_blocks(&heir);
    for (uint32_t i = 0; i < 3; i++) {
        slots[i] = fixture_commit(&heir.fixture, class, i, NULL);
    }
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t next = slots[(i + 1) % 3];
        ledger_follow(&blocks->ledger, slots[i], next,
            slot_generation_of(slot_load_state(&blocks->index.lines[next])));
    }
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    assert_int_equal(victims(&heir, class, order), 3);
    heir_close(&heir);
}

static void test_serials_go_on_behind_the_old_ones(void **state)
{
    (void)state;
    struct heir heir;
    struct adopt_found found;
    heir_open(&heir, EXTENTS, PER, POLICY_LRU);
    uint32_t class = fixture_class(&heir.fixture, 4096);
    fixture_commit(&heir.fixture, class, 1, NULL);
    uint32_t last = fixture_commit(&heir.fixture, class, 2, NULL);
    uint64_t serial = ledger_serial_of(&heir_blocks(&heir)->ledger, last);
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    uint32_t next = fixture_commit(&heir.fixture, class, 3, NULL);
    assert_true(ledger_serial_of(&heir_blocks(&heir)->ledger, next) > serial);
    heir_close(&heir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lru_goes_on_in_the_same_order),
        cmocka_unit_test(test_arc_goes_on_in_the_same_order),
        cmocka_unit_test(test_a_long_chain_keeps_all_its_links),
        cmocka_unit_test(test_a_parent_whose_slot_was_used_again_is_none),
        cmocka_unit_test(test_a_ring_of_parents_does_not_hang),
        cmocka_unit_test(test_serials_go_on_behind_the_old_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
