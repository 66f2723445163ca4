/* uses: the counters say what a pool of another size would have answered. */
#include "tests/unit/sidecar/block/fixture.h"

#include "sidecar/block/uses.h"

#define ROUNDS 50u
#define EXTENTS 4u
#define PER 16u

/* `blocks` keys, used in turn again and again: LRU hits all of them or none. */
static void use_in_turn(struct fixture *fixture, uint64_t blocks)
{
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint64_t i = 0; i < blocks; i++) {
            uses_note(&fixture->blocks.uses, (uint32_t)fixture_key(i).word[3]);
        }
    }
    uses_tick(&fixture->blocks);
}

/* The one slot in use decides the size of a block. */
static uint32_t take(struct fixture *fixture, uint32_t class)
{
    uint32_t slot = 0;
    uint64_t generation = 0;
    assert_int_equal(
        pool_take(&fixture->blocks, class, SLOT_RESERVED, &slot, &generation), STATUS_OK);
    uses_tick(&fixture->blocks);
    return slot;
}

static void test_a_loop_larger_than_the_pool_fits_into_twice_of_it(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, EXTENTS, PER, POLICY_LRU);
    pool_give(&fixture.blocks, take(&fixture, fixture_class(&fixture, 4096)));
    uint64_t loop = EXTENTS * PER * 3 / 2;
    use_in_turn(&fixture, loop);
    uint64_t again = (ROUNDS - 1) * loop;
    assert_int_equal(fixture_count(&fixture, COUNTER_whatif_uses), ROUNDS * loop);
    assert_int_equal(fixture_count(&fixture, COUNTER_whatif_hits_half), 0);
    assert_int_equal(fixture_count(&fixture, COUNTER_whatif_hits_same), 0);
    assert_int_equal(fixture_count(&fixture, COUNTER_whatif_hits_twice), again);
    assert_int_equal(fixture_count(&fixture, COUNTER_whatif_hits_four), again);
    /* Without lower tiers nothing is said of them. */
    assert_int_equal(fixture_count(&fixture, COUNTER_whatif_cold_uses), 0);
    fixture_close(&fixture);
}

static void test_another_block_size_starts_the_count_again(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, EXTENTS, PER, POLICY_LRU);
    uint32_t large = fixture_class(&fixture, 4 * 4096);
    uint32_t small = fixture_class(&fixture, 4096);
    uint32_t slot = take(&fixture, large);
    uint64_t blocks = fixture.blocks.uses.pool_blocks;
    assert_int_equal(blocks, EXTENTS * PER / 4);
    use_in_turn(&fixture, 4);
    assert_int_equal(fixture_count(&fixture, COUNTER_whatif_uses), 4 * ROUNDS);
    pool_give(&fixture.blocks, slot);
    slot = take(&fixture, small);
    assert_int_equal(fixture.blocks.uses.pool_blocks, EXTENTS * PER);
    assert_int_equal(fixture_count(&fixture, COUNTER_whatif_uses), 0);
    pool_give(&fixture.blocks, slot);
    fixture_close(&fixture);
}

static void test_touches_are_uses(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, EXTENTS, PER, POLICY_LRU);
    uint32_t slot = fixture_commit(&fixture, fixture_class(&fixture, 4096), 1, NULL);
    uses_tick(&fixture.blocks);
    admit_touch(&fixture.blocks, slot);
    admit_touch(&fixture.blocks, slot);
    uses_tick(&fixture.blocks);
    assert_int_equal(fixture_count(&fixture, COUNTER_whatif_uses), 2);
    assert_int_equal(fixture_count(&fixture, COUNTER_whatif_hits_half), 1);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_loop_larger_than_the_pool_fits_into_twice_of_it),
        cmocka_unit_test(test_another_block_size_starts_the_count_again),
        cmocka_unit_test(test_touches_are_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
