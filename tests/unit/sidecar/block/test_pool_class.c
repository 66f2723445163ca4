/* pool_class: a size and a tier make a class, and a class of old comes back with both. */
#include "tests/unit/sidecar/block/heir.h"

static void test_sizes_become_classes(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, 2, 8, POLICY_LRU);
    struct pool *pool = &fixture.blocks.pool;
    uint32_t class = 77;
    assert_int_equal(pool_class_take(pool, 0, SLOT_TIER_HOST, &class), STATUS_INVALID);
    assert_int_equal(pool_class_take(pool, 8 * 4096 + 1, SLOT_TIER_HOST, &class), STATUS_TOO_LARGE);
    assert_int_equal(class, 77);
    assert_int_equal(fixture_class(&fixture, 5000), fixture_class(&fixture, 8192));
    assert_int_not_equal(fixture_class(&fixture, 8192), fixture_class(&fixture, 8193));
    assert_int_equal(pool_slot_bytes(pool, fixture_class(&fixture, 1)), 4096);
    assert_int_equal(pool_slot_bytes(pool, fixture_class(&fixture, 8 * 4096)), 8 * 4096);
    fixture_close(&fixture);
}

static void test_too_many_classes_is_a_limit(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, 1, 300, POLICY_LRU);
    uint32_t class;
    for (uint32_t i = 1; i <= POOL_CLASSES_MAX; i++) {
        assert_int_equal(fixture_class(&fixture, i * 4096), i - 1);
    }
    struct pool *pool = &fixture.blocks.pool;
    assert_int_equal(pool_class_take(pool, 256 * 4096, SLOT_TIER_HOST, &class), STATUS_LIMIT);
    assert_int_equal(fixture_class(&fixture, 3 * 4096), 2);
    /* One that nobody uses and that has no extent makes room; one with users does not. */
    pool_class_drop(pool, 2);
    assert_int_equal(pool_class_take(pool, 256 * 4096, SLOT_TIER_HOST, &class), STATUS_LIMIT);
    pool_class_drop(pool, 2);
    assert_int_equal(pool_class_take(pool, 256 * 4096, SLOT_TIER_HOST, &class), STATUS_OK);
    assert_int_equal(class, 2);
    assert_int_equal(pool_slot_bytes(pool, 2), 256 * 4096);
    assert_int_equal(pool_class_take(pool, 3 * 4096, SLOT_TIER_HOST, &class), STATUS_LIMIT);
    fixture_close(&fixture);
}

static void test_only_sizes_that_fit_become_classes(void **state)
{
    (void)state;
    struct heir heir;
    heir_open(&heir, 4, 8, POLICY_LRU);
    struct pool *pool = &heir_blocks(&heir)->pool;
    assert_int_equal(pool_class_adopt(heir_blocks(&heir), 0, 0), STATUS_MALFORMED);
    assert_int_equal(pool_class_adopt(heir_blocks(&heir), 0, 4095), STATUS_MALFORMED);
    assert_int_equal(pool_class_adopt(heir_blocks(&heir), 0, 4096 + 512), STATUS_MALFORMED);
    assert_int_equal(pool_class_adopt(heir_blocks(&heir), 0, 9 * 4096), STATUS_MALFORMED);
    assert_int_equal(
        pool_class_adopt(heir_blocks(&heir), POOL_CLASSES_MAX, 4096), STATUS_MALFORMED);
    assert_int_equal(pool_class_adopt(heir_blocks(&heir), 2, 8 * 4096), STATUS_OK);
    assert_int_equal(pool->class_count, 3);
    /* Blocks of that size find the class that they had. */
    uint32_t class = 0;
    assert_int_equal(pool_class_take(pool, 7 * 4096 + 1, SLOT_TIER_HOST, &class), STATUS_OK);
    assert_int_equal(class, 2);
    heir_close(&heir);
}

static void test_without_device_memory_there_is_no_class_of_it(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, 2, 8, POLICY_LRU);
    struct pool *pool = &fixture.blocks.pool;
    uint32_t class = 77;
    assert_int_equal(pool_class_take(pool, 4096, SLOT_TIER_DEVICE, &class), STATUS_UNSUPPORTED);
    assert_int_equal(pool_class_take(pool, 9 * 4096, SLOT_TIER_DEVICE, &class), STATUS_UNSUPPORTED);
    assert_int_equal(class, 77);
    assert_int_equal(pool->class_count, 0);
    fixture_close(&fixture);
}

static void test_one_size_in_two_tiers_is_two_classes(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open_tiers(&fixture, 2, 2, 8, POLICY_LRU);
    struct pool *pool = &fixture.blocks.pool;
    uint32_t host = fixture_class(&fixture, 4096);
    uint32_t device = fixture_class_in(&fixture, 4096, SLOT_TIER_DEVICE);
    assert_int_not_equal(host, device);
    assert_int_equal(pool->classes[host].tier, SLOT_TIER_HOST);
    assert_int_equal(pool->classes[device].tier, SLOT_TIER_DEVICE);
    assert_int_equal(fixture_class(&fixture, 100), host);
    assert_int_equal(fixture_class_in(&fixture, 100, SLOT_TIER_DEVICE), device);
    assert_int_equal(pool->classes[device].users, 2);
    fixture_close(&fixture);
}

/* A pool of both tiers dies with a slot in use of `tier`, and its class 1 comes back. */
static void die_with_one(struct heir *heir, enum slot_tier tier)
{
    heir_open_tiers(heir, 2, 2, 8, POLICY_LRU);
    (void)fixture_class(&heir->fixture, 8192);
    uint32_t class = fixture_class_in(&heir->fixture, 4096, tier);
    assert_int_equal(class, 1);
    uint32_t slot;
    uint64_t generation;
    assert_int_equal(
        pool_take(heir_blocks(heir), class, SLOT_RESERVED, &slot, &generation), STATUS_OK);
    heir_die(heir);
    assert_int_equal(
        blocks_open(heir_blocks(heir), &heir->limits, heir->fixture.index, heir->index_bytes),
        STATUS_OK);
    assert_int_equal(pool_class_adopt(heir_blocks(heir), class, 4096), STATUS_OK);
}

static void test_a_class_comes_back_in_the_tier_of_its_extents(void **state)
{
    (void)state;
    for (uint32_t tier = 0; tier < FIXTURE_TIERS; tier++) {
        struct heir heir;
        die_with_one(&heir, (enum slot_tier)tier);
        uint32_t other = FIXTURE_TIERS - 1 - tier;
        assert_int_equal(fixture_class_in(&heir.fixture, 4096, (enum slot_tier)tier), 1);
        assert_int_equal(fixture_class_in(&heir.fixture, 4096, (enum slot_tier)other), 2);
        heir_close(&heir);
    }
}

static void test_a_class_without_extents_is_of_the_tier_that_is_asked_for(void **state)
{
    (void)state;
    struct heir heir;
    die_with_one(&heir, SLOT_TIER_HOST);
    struct blocks *blocks = heir_blocks(&heir);
    /* Nothing is of 0 and 2; the ledger's word of a free extent is of an older life. */
    ledger_class(&blocks->ledger, 1, 0);
    ledger_class(&blocks->ledger, 3, 0);
    assert_int_equal(pool_class_adopt(blocks, 0, 4096), STATUS_OK);
    assert_int_equal(pool_class_adopt(blocks, 2, 8192), STATUS_OK);
    /* Of two that might do, the one with extents. */
    assert_int_equal(fixture_class(&heir.fixture, 4096), 1);
    assert_int_equal(fixture_class_in(&heir.fixture, 4096, SLOT_TIER_DEVICE), 0);
    assert_int_equal(blocks->pool.classes[0].tier, SLOT_TIER_DEVICE);
    assert_int_equal(fixture_class_in(&heir.fixture, 8192, SLOT_TIER_DEVICE), 2);
    assert_int_equal(fixture_class(&heir.fixture, 8192), 3);
    heir_close(&heir);
}

static void test_a_class_that_nobody_took_is_not_found(void **state)
{
    (void)state;
    struct heir heir;
    die_with_one(&heir, SLOT_TIER_HOST);
    struct pool *pool = &heir_blocks(&heir)->pool;
    /* One of the size, of no tier yet: whoever takes it first says which. */
    assert_int_equal(pool_class_adopt(heir_blocks(&heir), 2, 8192), STATUS_OK);
    assert_int_equal(pool_class_find(pool, 8192, SLOT_TIER_HOST), POOL_NONE);
    assert_int_equal(pool_class_find(pool, 8192, SLOT_TIER_DEVICE), POOL_NONE);
    assert_int_equal(pool_class_find(pool, 4096, SLOT_TIER_HOST), 1);
    assert_int_equal(pool_class_find(pool, 4096, SLOT_TIER_DEVICE), POOL_NONE);
    assert_int_equal(fixture_class_in(&heir.fixture, 8192, SLOT_TIER_DEVICE), 2);
    assert_int_equal(pool_class_find(pool, 8192, SLOT_TIER_DEVICE), 2);
    assert_int_equal(pool_class_find(pool, 8192, SLOT_TIER_HOST), POOL_NONE);
    heir_close(&heir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_become_classes),
        cmocka_unit_test(test_too_many_classes_is_a_limit),
        cmocka_unit_test(test_only_sizes_that_fit_become_classes),
        cmocka_unit_test(test_without_device_memory_there_is_no_class_of_it),
        cmocka_unit_test(test_one_size_in_two_tiers_is_two_classes),
        cmocka_unit_test(test_a_class_comes_back_in_the_tier_of_its_extents),
        cmocka_unit_test(test_a_class_without_extents_is_of_the_tier_that_is_asked_for),
        cmocka_unit_test(test_a_class_that_nobody_took_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
