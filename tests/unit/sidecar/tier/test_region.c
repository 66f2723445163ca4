/* Regions: lent and won back, lists of blocks, who goes first. */
#include "sidecar/tier/region.h"

#include "shm/status.h"

#include "tests/check.h"

#include <string.h>

#define REGIONS 40u

struct world {
    struct regions regions;
    struct catalog catalog;
};

static void begin(struct world *world)
{
    assert_int_equal(region_open(&world->regions, REGIONS, 2), STATUS_OK);
    assert_int_equal(catalog_open(&world->catalog, 1000, 1000, 1), STATUS_OK);
}

static void end(struct world *world)
{
    region_close(&world->regions);
    catalog_close(&world->catalog);
}

/* A block of `bytes` in a region. */
static uint32_t put(struct world *world, uint64_t number, uint32_t region, uint64_t bytes)
{
    struct tier_id id;
    struct record_header header = {.raw_bytes = bytes, .stored_bytes = bytes};
    struct catalog_place place = {.region = region, .page = 2, .back = 1, .directory = 2};
    memset(&id, 0, sizeof id);
    id.key.word[0] = number;
    uint32_t index = catalog_add(&world->catalog, &id, 0, 0);
    catalog_place(&world->catalog, index, &header, &place);
    region_link(&world->regions, &world->catalog, index);
    return index;
}

/* Fill all regions, in order of their numbers. */
static void fill(struct world *world)
{
    for (uint32_t i = 0; i < REGIONS; i++) {
        uint32_t region = region_lend(&world->regions);
        assert_int_equal(region, i);
        (void)put(world, 2 * i, region, 5000);
        (void)put(world, 2 * i + 1, region, 4096);
        region_seal(&world->regions, region);
    }
}

static void empty(struct world *world, uint32_t region)
{
    while (world->regions.region[region].newest != CATALOG_NONE) {
        uint32_t index = world->regions.region[region].newest;
        region_unlink(&world->regions, &world->catalog, index);
        catalog_remove(&world->catalog, index);
    }
}

static void test_generations_rise_over_all_regions(void **state)
{
    struct world world;
    (void)state;
    begin(&world);
    assert_true(region_found(&world.regions, 7, 100));
    assert_false(region_found(&world.regions, 7, 101)); /* not free */
    assert_false(region_found(&world.regions, REGIONS, 101));
    uint32_t first = region_lend(&world.regions);
    uint32_t second = region_lend(&world.regions);
    assert_true(first != 7 && second != 7 && first != second);
    assert_int_equal(world.regions.region[first].generation, 101);
    assert_int_equal(world.regions.region[second].generation, 102);
    end(&world);
}

static void test_the_oldest_goes_first(void **state)
{
    struct world world;
    (void)state;
    begin(&world);
    fill(&world);
    assert_int_equal(region_lend(&world.regions), REGION_NONE);
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t victim = region_victim(&world.regions, 0, true);
        assert_int_equal(victim, i);
        empty(&world, victim);
        region_free(&world.regions, victim);
        assert_int_equal(region_lend(&world.regions), victim);
    }
    end(&world);
}

static void test_of_the_oldest_few_the_least_loaded_goes(void **state)
{
    struct world world;
    (void)state;
    begin(&world);
    fill(&world);
    for (uint32_t i = 0; i < 3; i++) { /* the three oldest of a window of four */
        for (uint32_t hit = 0; hit < 4; hit++) {
            region_hit(&world.regions, &world.catalog, world.regions.region[i].newest);
        }
    }
    assert_int_equal(region_victim(&world.regions, 0, true), 3);
    /* Passed over, they are worth half: the next one that nobody loads goes, then the oldest. */
    assert_int_equal(world.regions.region[0].worth, 2);
    assert_int_equal(region_victim(&world.regions, 0, true), 4);
    assert_int_equal(region_victim(&world.regions, 0, true), 5);
    assert_int_equal(region_victim(&world.regions, 0, true), 0);
    end(&world);
}

static void test_one_that_holds_little_goes_before_all(void **state)
{
    struct world world;
    (void)state;
    begin(&world);
    fill(&world);
    uint32_t index = world.regions.region[20].newest;
    region_unlink(&world.regions, &world.catalog, index);
    catalog_remove(&world.catalog, index);
    assert_int_equal(world.regions.region[20].bytes, 8192);
    assert_int_equal(region_victim(&world.regions, 8192, false), REGION_NONE);
    assert_int_equal(region_victim(&world.regions, 8192, true), 0); /* not little enough */
    assert_int_equal(region_victim(&world.regions, 8193, true), 20);
    end(&world);
}

static void test_lists_hold_what_was_linked(void **state)
{
    struct world world;
    uint64_t seed = check_seed();
    uint32_t index[30];
    (void)state;
    begin(&world);
    uint32_t region = region_lend(&world.regions);
    for (uint32_t i = 0; i < 30; i++) {
        index[i] = put(&world, i, region, 100);
    }
    for (uint32_t left = 30; left > 0; left--) {
        uint32_t count = 0;
        for (uint32_t at = world.regions.region[region].newest; at != CATALOG_NONE;
             at = world.catalog.entries[at].older) {
            count++;
        }
        assert_int_equal(count, left);
        assert_int_equal(world.regions.region[region].blocks, left);
        assert_int_equal(world.regions.region[region].bytes, left * 4096);
        uint32_t pick = (uint32_t)(check_random(&seed) % left);
        region_unlink(&world.regions, &world.catalog, index[pick]);
        catalog_remove(&world.catalog, index[pick]);
        index[pick] = index[left - 1];
    }
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generations_rise_over_all_regions),
        cmocka_unit_test(test_the_oldest_goes_first),
        cmocka_unit_test(test_of_the_oldest_few_the_least_loaded_goes),
        cmocka_unit_test(test_one_that_holds_little_goes_before_all),
        cmocka_unit_test(test_lists_hold_what_was_linked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
