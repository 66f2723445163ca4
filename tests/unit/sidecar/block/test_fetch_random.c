/* fetch, all of it, by random steps of clients, readers, a tier and the clock: what is hot has its
 * own bytes, every batch is answered once, and no slot is lost. */
#include "tests/unit/sidecar/block/cold_world.h"

#define STEPS 20000
#define KEYS 48u

static struct cold_world world;

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    return (uint32_t)(check_random(seed) % below);
}

/* A random step of those who read: pins, unpins, touches; and first parts. */
static void step_reader(uint64_t *seed, uint32_t session)
{
    switch (draw(seed, 4)) {
    case 0:
        if (world.tier.op_count > 0) {
            uint32_t at = draw(seed, world.tier.op_count);
            if (!world.tier.ops[at].store) {
                double_part(&world.tier, at, world.tier.ops[at].wish.part_bytes);
            }
        }
        break;
    case 1:
        if (world.told_count > 0) {
            uint32_t slot = world.told[draw(seed, world.told_count)].part.slot;
            fixture_pin(&world.fixture, draw(seed, 8), slot);
        }
        break;
    case 2:
        fixture_unpin(&world.fixture, draw(seed, 8));
        break;
    default:
        for (uint32_t slot = 0; slot < world.blocks->index.slots; slot++) {
            if (draw(seed, 4) == 0) {
                hold_touched(&world.blocks->holds, slot, session);
                admit_touch(world.blocks, slot);
            }
        }
        break;
    }
}

/* A random step of a client, a tier or the clock. */
static void step(uint64_t *seed, uint32_t *asked)
{
    uint64_t number = draw(seed, KEYS);
    uint32_t session = draw(seed, 4);
    struct evict_sweep sweep = fixture_sweeper(&world.fixture);
    struct tier_id id = cold_id(&world, number);
    struct fetch_ask ask = {.session = session, .quota = 6};
    switch (draw(seed, 10)) {
    case 0:
        if (fixture_find(&world.fixture, number) == HINT_NONE &&
            (pool_available(&world.blocks->pool, world.class) > 0 ||
                evict_room(world.blocks, world.class, 1, &sweep) > 0)) {
            (void)cold_commit(&world, number);
        }
        break;
    case 1:
        if (double_find(&world.tier, &id) == NULL) {
            cold_put(&world, number);
        }
        break;
    case 2:
        if (double_find(&world.tier, &id) != NULL && world.tier.op_count == 0) {
            double_say(&world.tier, TIER_LOST, &id);
        }
        break;
    case 3:
    case 4:
    case 5:
        ask.blocks = 1 + draw(seed, 5);
        ask.part_bytes = draw(seed, 2) * 1024;
        ask.deadline_ns = world.now_ns + draw(seed, 40) * COLD_MS + 1;
        (void)cold_ask(&world, &ask, number);
        ++*asked;
        break;
    case 6:
        cold_pass(&world, draw(seed, 20) * COLD_MS);
        break;
    case 7:
        if (world.tier.op_count > 0) {
            double_end(&world.tier, draw(seed, world.tier.op_count),
                draw(seed, 8) == 0 ? STATUS_IO : STATUS_OK);
        }
        break;
    case 8:
        step_reader(seed, session);
        break;
    default:
        (void)cold_step(&world);
        break;
    }
}

/* Everything that is hot has its own bytes; a slot is in one place. */
static void check(void)
{
    uint32_t hot = 0;
    for (uint64_t i = 0; i < KEYS; i++) {
        hot += cold_is_hot(&world, i) ? 1 : 0;
    }
    assert_int_equal(cold_count(&world, COUNTER_slots_hot), hot);
    assert_true(hot <= world.blocks->index.slots);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(hold_count(&world.blocks->holds, i) <= 6);
    }
}

static void random_steps_lose_no_slot_and_no_answer(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    cold_open(&world, 2, 8);
    uint32_t asked = 0;
    uint32_t answered = 0;
    world.blocks->spills.always = true;
    for (uint32_t i = 0; i < STEPS; i++) {
        step(&seed, &asked);
        check();
        answered += world.heard_count;
        world.heard_count = 0;
        if (world.told_count > COLD_HEARD / 2) {
            world.told_count = 0;
        }
    }
    for (uint32_t i = 0; i < FIXTURE_PINS; i++) {
        fixture_unpin(&world.fixture, i);
    }
    for (uint32_t i = 0; i < 200; i++) {
        double_end_all(&world.tier, STATUS_OK);
        (void)cold_step(&world);
        cold_pass(&world, 10 * COLD_MS);
        answered += world.heard_count;
        world.heard_count = 0;
    }
    while (world.tier.op_count + world.tier.event_count > 0) {
        world.blocks->spills.always = false;
        double_end_all(&world.tier, STATUS_OK);
        (void)cold_step(&world);
    }
    check();
    assert_int_equal(answered, asked);
    assert_int_equal(cold_count(&world, COUNTER_holds_now), 0);
    assert_true(cold_count(&world, COUNTER_fetches) > 100);
    assert_true(cold_count(&world, COUNTER_fetches_joined) > 100);
    assert_true(cold_count(&world, COUNTER_fetches_late) > 10);
    cold_settled(&world);
    cold_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_steps_lose_no_slot_and_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
