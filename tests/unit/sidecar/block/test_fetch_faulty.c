/* fetch and spill on a real tier (files) that fails, delays, tears, corrupts and loses by seed:
 * never a wrong byte, every batch is answered once, no slot is lost. */
#include "tests/folder.h"
#include "tests/unit/sidecar/block/cold_world.h"

#include "sidecar/moment.h"
#include "sidecar/tier/tier_fault.h"
#include "sidecar/tier/tier_file.h"

#include <unistd.h>

#define STEPS 4000
#define KEYS 64u
#define CAPACITY (48u * 8192u) /* fewer than there are blocks: some are lost for others */

static struct cold_world world;
static struct tier *faulty;
static char folder[64];

static void open_faulty(uint64_t seed)
{
    char why[TIER_WHY];
    struct tier *files;
    (void)snprintf(folder, sizeof folder, "/tmp/cistern-faulty-XXXXXX");
    assert_non_null(mkdtemp(folder));
    struct tier_file_options options = {.directory = folder, .capacity_bytes = CAPACITY};
    assert_int_equal(tier_file_open(&options, &files, why, sizeof why), STATUS_OK);
    struct tier_fault_options faults = {
        .inner = files,
        .seed = seed,
        .rates = {.fail_store = 3000,
            .fail_load = 3000,
            .busy = 6000,
            .delay = 20000,
            .tear = 2000,
            .corrupt = 2000,
            .lose = 1000},
        .delay_polls = 5,
    };
    assert_int_equal(tier_fault_open(&faults, &faulty), STATUS_OK);
    cold_open(&world, 2, 8);
    world.tier.refuse = STATUS_IO; /* the double is down */
    /* A real tier compares deadlines with the real clock: the world's is an hour ahead of it. */
    world.now_ns += moment_ns() + 3600000 * COLD_MS;
    tiers_add(&world.tiers, faulty);
    world.blocks->spills.always = true;
}

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    return (uint32_t)(check_random(seed) % below);
}

static void commit(uint64_t number)
{
    struct evict_sweep sweep = fixture_sweeper(&world.fixture);
    bool room = pool_available(&world.blocks->pool, world.class) > 0 ||
                evict_room(world.blocks, world.class, 1, &sweep) > 0;
    if (room && fixture_find(&world.fixture, number) == HINT_NONE) {
        (void)cold_commit(&world, number);
    }
}

static void touch_some(uint64_t *seed)
{
    for (uint32_t slot = 0; slot < world.blocks->index.slots; slot++) {
        if (draw(seed, 2) == 0) {
            hold_touched(&world.blocks->holds, slot, draw(seed, 4));
            admit_touch(world.blocks, slot);
        }
    }
}

static void random_steps_on_a_faulty_tier(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    uint32_t asked = 0;
    uint32_t answered = 0;
    uint32_t hot = 0;
    open_faulty(seed);
    for (uint32_t i = 0; i < STEPS; i++) {
        uint64_t number = draw(&seed, KEYS);
        struct fetch_ask ask = {
            .session = draw(&seed, 4), .blocks = 1 + draw(&seed, 4), .quota = 6};
        switch (draw(&seed, 6)) {
        case 0:
            commit(number);
            break;
        case 1:
        case 2:
            ask.deadline_ns = world.now_ns + (1 + draw(&seed, 60)) * COLD_MS;
            ask.part_bytes = draw(&seed, 2) * 1024;
            (void)cold_ask(&world, &ask, number);
            asked++;
            break;
        case 3:
            touch_some(&seed);
            break;
        case 4:
            cold_pass(&world, draw(&seed, 12) * COLD_MS);
            break;
        default:
            (void)cold_step(&world);
            break;
        }
        for (uint64_t key = 0; key < KEYS; key++) {
            hot += cold_is_hot(&world, key) ? 1 : 0; /* with its own bytes */
        }
        answered += world.heard_count;
        world.heard_count = 0;
        world.told_count = 0;
    }
    struct tier_fault_rates none = {0};
    tier_fault_set(faulty, &none);
    world.blocks->spills.always = false;
    for (uint32_t i = 0; i < 100; i++) {
        (void)cold_step(&world);
        cold_pass(&world, 10 * COLD_MS);
        answered += world.heard_count;
        world.heard_count = 0;
    }
    assert_int_equal(answered, asked);
    assert_true(hot > 0);
    assert_true(cold_count(&world, COUNTER_fetches) > 50);
    assert_true(cold_count(&world, COUNTER_spills) > 50);
    assert_true(cold_count(&world, COUNTER_fetches_missed) > 0);
    assert_true(cold_count(&world, COUNTER_spills_failed) > 0);
    cold_settled(&world);
    cold_close(&world);
    assert_int_equal(folder_remove(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_steps_on_a_faulty_tier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
