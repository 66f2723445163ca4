/* move, claims and reads with two devices, by random steps of clients, readers, a mover, a tier and
 * the clock: what is hot has its own bytes, wherever it is; every batch and every wait is answered
 * once; no slot and no hold is lost; and so it is when servers die in the middle, with their copies
 * under way, and find devices lost. */
#include "tests/unit/sidecar/block/move_heir.h"

#define STEPS 16000u
#define KEYS 56u
#define SESSIONS 6u /* 0 and 1 have the first device, 2 the second */
#define QUOTA 6u
#define HOST_EXTENTS 2u
#define DEVICE_EXTENTS 2u
#define PER 8u

enum takeover { NO_TAKEOVER, TAKEOVER, TAKEOVER_LOST };

struct game {
    struct move_world world;
    uint64_t seed;
    uint32_t asked; /* batches, of this server */
    uint32_t waits; /* for claims, of this server */
    uint32_t answered;
    uint32_t takeovers;
    uint32_t quarantined;
    uint64_t lost;
    bool tiers;
};

static struct game game;
#define WORLD (&game.world)

static uint32_t draw(uint32_t below)
{
    return (uint32_t)(check_random(&game.seed) % below);
}

/* The tier that a session reads and commits to beside host memory, or SLOT_TIER_HOST. */
static enum slot_tier tier_of(uint32_t session)
{
    static const enum slot_tier tiers[SESSIONS] = {SLOT_TIER_DEVICE, SLOT_TIER_DEVICE,
        (enum slot_tier)(SLOT_TIER_DEVICE + 1), SLOT_TIER_HOST, SLOT_TIER_HOST, SLOT_TIER_HOST};
    return tiers[session];
}

static bool reads(void *context, uint32_t session)
{
    return tier_of(session) == *(const enum slot_tier *)context;
}

static void step_commit(uint32_t session, uint64_t number)
{
    struct blocks *blocks = WORLD->blocks;
    struct fetch_means means = cold_means(&WORLD->cold);
    struct key key = fixture_key(number);
    struct key parent = fixture_key(number - 1);
    enum slot_tier tier = draw(3) == 0 ? SLOT_TIER_HOST : tier_of(session);
    if (pool_available(&blocks->pool, WORLD->classes[tier]) == 0 &&
        evict_room(blocks, WORLD->classes[tier], 1, &means.sweep) == 0) {
        return;
    }
    (void)move_commit(WORLD, tier, number, draw(2) == 0 ? NULL : &parent);
    if (tier == SLOT_TIER_HOST) {
        claim_done(&blocks->claims, &key, COLD_SPACE, &means.claims);
    } else {
        struct claim_filter filter = {.reads = reads, .context = &tier};
        move_down_committed(blocks, &key, COLD_SPACE, &filter, &means);
    }
    fetch_hot(blocks, &key, COLD_SPACE, &means);
}

static void step_claim(uint32_t session, uint64_t number)
{
    struct claims *claims = &WORLD->blocks->claims;
    struct fetch_means means = cold_means(&WORLD->cold);
    struct key key = fixture_key(number);
    uint64_t deadline_ns = means.now_ns + draw(40) * COLD_MS;
    struct claim_waiter waiter = {.session = session, .deadline_ns = deadline_ns};
    switch (draw(6)) {
    case 0:
    case 1:
        (void)claim_take(claims, &key, COLD_SPACE, session, means.now_ns, deadline_ns);
        break;
    case 2:
        (void)claim_release(claims, &key, COLD_SPACE, session, means.now_ns, &means.claims);
        break;
    default:
        game.waits += claim_wait(claims, &key, COLD_SPACE, &waiter) == STATUS_PENDING ? 1 : 0;
        break;
    }
}

static void step_ask(uint32_t session, uint64_t number)
{
    struct fetch_batches *batches = &WORLD->blocks->fetches.batches;
    struct fetch_means means = cold_means(&WORLD->cold);
    struct fetch_ask ask = {
        .session = session,
        .cookie = ++WORLD->cold.cookie,
        .quota = QUOTA,
        .hold_ns = COLD_HOLD,
        .blocks = 1 + draw(4),
        .part_bytes = draw(2) * 1024,
        .deadline_ns = means.now_ns + draw(40) * COLD_MS + 1,
    };
    struct fetch_want want = {
        .space = COLD_SPACE, .class = WORLD->classes[0], .reads = tier_of(session)};
    uint32_t batch = fetch_batch_begin(batches, &ask);
    for (uint32_t i = 0; batch != FETCH_BATCH_NONE && i < ask.blocks; i++) {
        want.key = fixture_key(number + i);
        want.parent = fixture_key(number + i - 1);
        want.has_parent = i > 0;
        fetch_block(WORLD->blocks, batch, &want, &means);
    }
    if (batch != FETCH_BATCH_NONE) {
        fetch_batch_close(batches, batch, &means.answers);
        game.asked++;
    } else if (draw(2) == 0) {
        want.key = fixture_key(number);
        fetch_ahead(WORLD->blocks, session, &want, ask.deadline_ns);
    }
}

static void touch(uint32_t session, uint32_t slot)
{
    hold_touched(&WORLD->blocks->holds, slot, session);
    if (tier_of(session) != SLOT_TIER_HOST) {
        move_touch(WORLD, slot, slot_device_of(tier_of(session)));
    } else {
        admit_touch(WORLD->blocks, slot);
    }
}

/* Lanes are the clients' word: slots that hold anything or nothing. */
static void step_reader(uint32_t session)
{
    struct fixture *fixture = &WORLD->cold.fixture;
    uint32_t slot = draw(WORLD->blocks->index.slots);
    switch (draw(4)) {
    case 0:
        fixture_pin(fixture, draw(4), slot);
        break;
    case 1:
        fixture_unpin(fixture, draw(4));
        break;
    default:
        for (uint32_t i = 0; i < 6; i++) {
            touch(session, draw(WORLD->blocks->index.slots));
        }
        break;
    }
}

static void step_mover(void)
{
    static const uint32_t most[] = {0, 1, 3, MOVER_COPIES, MOVER_COPIES, MOVER_COPIES};
    struct double_mover *mover = &WORLD->mover;
    if (draw(8) == 0) {
        mover->most = most[draw(CHECK_COUNT(most))];
    }
    if (mover->count > 0) {
        uint32_t how = draw(10);
        mover_end(mover, draw(mover->count),
            how == 0   ? STATUS_IO
            : how == 1 ? STATUS_DEVICE_LOST
                       : STATUS_OK);
    }
}

static void step_tier(uint64_t number)
{
    struct cold_world *cold = &WORLD->cold;
    if (!game.tiers) {
        return;
    }
    struct tier_id id = cold_id(cold, number);
    bool kept = double_find(&cold->tier, &id) != NULL;
    if (draw(4) == 0 && !kept) {
        cold_put(cold, number);
    } else if (draw(4) == 0 && kept && cold->tier.op_count == 0) {
        double_say(&cold->tier, TIER_LOST, &id);
    } else if (cold->tier.op_count > 0) {
        double_end(&cold->tier, draw(cold->tier.op_count), draw(8) == 0 ? STATUS_IO : STATUS_OK);
    }
}

static void step(void)
{
    struct cold_world *cold = &WORLD->cold;
    struct fetch_means means = cold_means(cold);
    uint64_t number = 1 + draw(KEYS - 6);
    uint32_t session = draw(SESSIONS);
    switch (draw(13)) {
    case 0:
    case 1:
        step_commit(session, number);
        break;
    case 2:
    case 10:
        step_claim(session, 1 + draw(6)); /* of few, so that several want the same */
        break;
    case 3:
    case 4:
        step_ask(session, number);
        break;
    case 5:
    case 6:
        step_reader(session);
        break;
    case 7:
    case 8:
        step_mover();
        break;
    case 9:
        step_tier(number);
        break;
    case 11:
        cold_pass(cold, draw(12) * COLD_MS);
        means = cold_means(cold);
        (void)claim_tick(&WORLD->blocks->claims, means.now_ns, &means.claims);
        (void)evict_tick(WORLD->blocks, &means.sweep);
        WORLD->blocks->moves.promote = (enum move_promote)draw(3);
        break;
    default:
        (void)cold_step(cold);
        break;
    }
}

/* Everything that is hot has its own bytes, everywhere, and is found; nothing else is. */
static void check(void)
{
    uint32_t hot = 0;
    for (uint64_t i = 0; i <= KEYS; i++) {
        for (uint32_t tier = 0; tier < CHECK_COUNT(WORLD->classes); tier++) {
            if (move_is_hot(WORLD, i, tier)) {
                struct slot_content content;
                move_content(WORLD->blocks, move_find(WORLD, i, tier), &content);
                /* What a tier brought has none; with any it is that of the commit. */
                assert_true(content.flags == 0 || content.checksum == i + 7);
                hot++;
            }
        }
    }
    assert_int_equal(cold_count(&WORLD->cold, COUNTER_slots_hot), hot);
}

static uint32_t claims_told(void)
{
    const struct cold_world *cold = &WORLD->cold;
    return cold->claims_ok + cold->claims_mine + cold->claims_miss;
}

static void hear(void)
{
    game.answered += WORLD->cold.heard_count;
    WORLD->cold.heard_count = 0;
    WORLD->cold.told_count = 0;
}

/* The server dies: nobody of old is answered, and what was under way lands later. */
static void take_over(enum takeover how)
{
    uint32_t lost = how == TAKEOVER_LOST ? draw(4) : 0;
    uint32_t loading = 0;
    for (uint32_t i = 0; i < WORLD->blocks->index.slots; i++) {
        bool gone = pool_tier(&WORLD->blocks->pool, i) != SLOT_TIER_HOST &&
                    (lost >> slot_device_of(pool_tier(&WORLD->blocks->pool, i)) & 1) != 0;
        loading += fixture_state(&WORLD->cold.fixture, i) == SLOT_LOADING && !gone ? 1 : 0;
    }
    struct adopt_found found = move_heir_succeed(WORLD, lost);
    assert_int_equal(found.loading.count + found.read.count, loading);
    check();
    move_heir_land(WORLD, lost);
    check();
    WORLD->cold.now_ns += COLD_MS;
    (void)quarantine_tick(WORLD->blocks, WORLD->cold.now_ns);
    game.takeovers++;
    game.quarantined += loading;
    game.lost += found.lost;
    game.asked = game.answered = game.waits = 0;
    WORLD->cold.claims_ok = WORLD->cold.claims_mine = WORLD->cold.claims_miss = 0;
}

/* Everybody leaves, and all that is under way ends. */
static void wind_up(void)
{
    for (uint32_t i = 0; i < FIXTURE_PINS; i++) {
        fixture_unpin(&WORLD->cold.fixture, i);
    }
    WORLD->mover.most = MOVER_COPIES;
    WORLD->blocks->moves.promote = MOVE_NEVER;
    for (uint32_t i = 0; i < 300; i++) {
        mover_end_all(&WORLD->mover, STATUS_OK);
        double_end_all(&WORLD->cold.tier, STATUS_OK);
        (void)cold_step(&WORLD->cold);
        cold_pass(&WORLD->cold, 10 * COLD_MS);
        struct fetch_means means = cold_means(&WORLD->cold);
        (void)claim_tick(&WORLD->blocks->claims, means.now_ns, &means.claims);
        hear();
    }
    WORLD->blocks->spills.always = false;
    while (WORLD->cold.tier.op_count + WORLD->cold.tier.event_count + WORLD->mover.count +
               WORLD->mover.done_count >
           0) {
        mover_end_all(&WORLD->mover, STATUS_OK);
        double_end_all(&WORLD->cold.tier, STATUS_OK);
        (void)cold_step(&WORLD->cold);
    }
}

static uint64_t count(enum counter which)
{
    return cold_count(&WORLD->cold, which);
}

static void play(bool tiers, enum takeover how, uint64_t seed)
{
    game = (struct game){.seed = seed, .tiers = tiers};
    move_world_open(WORLD, HOST_EXTENTS, DEVICE_EXTENTS, PER);
    if (!tiers) {
        move_world_alone(WORLD);
        move_heir_keep(WORLD);
    }
    WORLD->blocks->spills.always = true;
    for (uint32_t i = 0; i < STEPS; i++) {
        step();
        hear();
        check();
        if (how != NO_TAKEOVER && draw(400) == 0) {
            take_over(how);
        }
    }
    wind_up();
    check();
    assert_int_equal(game.answered, game.asked);
    assert_int_equal(claims_told(), game.waits);
    assert_int_equal(count(COUNTER_holds_now), 0);
    assert_true(count(COUNTER_promotions) > 30 && count(COUNTER_promotions_dropped) > 10);
    assert_true(count(COUNTER_demotions) > 100 && count(COUNTER_moves_failed) > 20);
    assert_true(count(COUNTER_fetches_joined) > 50 && count(COUNTER_claims_passed) > 50);
    assert_true(!tiers || (count(COUNTER_fetches) > 50 && count(COUNTER_spills) > 20));
    assert_true(how == NO_TAKEOVER || (game.takeovers > 10 && game.quarantined > 10));
    assert_true(how != TAKEOVER_LOST || game.lost > 20);
    move_world_close(WORLD);
}

static void random_steps_over_devices_and_tiers(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    play(true, NO_TAKEOVER, seed);
    play(false, NO_TAKEOVER, seed);
}

static void random_steps_with_takeovers(void **state)
{
    (void)state;
    play(false, TAKEOVER, check_seed());
}

static void random_steps_with_takeovers_that_lose_devices(void **state)
{
    (void)state;
    play(false, TAKEOVER_LOST, check_seed());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_steps_over_devices_and_tiers),
        cmocka_unit_test(random_steps_with_takeovers),
        cmocka_unit_test(random_steps_with_takeovers_that_lose_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
