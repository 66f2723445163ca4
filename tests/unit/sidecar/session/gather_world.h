/* gather_world: two clients of one namespace, and a tier below the pool that a test moves by hand.
 * */
#ifndef CISTERN_TESTS_UNIT_SIDECAR_SESSION_GATHER_WORLD_H
#define CISTERN_TESTS_UNIT_SIDECAR_SESSION_GATHER_WORLD_H

#include "tests/unit/sidecar/block/double_tier.h"
#include "tests/unit/sidecar/session/world.h"

#include "sidecar/block/admit.h"
#include "sidecar/block/cold.h"
#include "sidecar/session/gather.h"
#include "sidecar/session/reply.h"
#include "sidecar/session/touch.h"

#define EXTENTS 16u
#define TIMEOUT (500 * WORLD_MS)

static struct world world;
static struct tiers tiers;
static struct double_tier tier;
static struct player player;
static struct player other;

static inline void open_world(uint32_t flags)
{
    struct hello hello = world_hello("a");
    world_open(&world, EXTENTS);
    assert_int_equal(tiers_open(&tiers, &world.blocks.index, world.blocks.counters), STATUS_OK);
    double_open(&tier);
    tiers_add(&tiers, &tier.tier);
    cold_attach(&world.blocks, &tiers, world.pool.base);
    hello.flags = flags;
    hello.seats = 2;
    hello.pins = 128;
    player_enter(&player, &world, &hello);
    player_enter(&other, &world, &hello);
}

static inline int trusted(void **state)
{
    (void)state;
    open_world(0);
    return 0;
}

static inline int isolated(void **state)
{
    (void)state;
    open_world(HELLO_ISOLATED);
    return 0;
}

static inline void step(void)
{
    struct fetch_means means = reply_means(&world.table);
    uint32_t work;
    (void)cold_turn(&world.blocks, &means, &work);
    dispatch_wake(&world.table);
}

static inline void pass(uint64_t ns)
{
    world.table.now_ns += ns;
    struct fetch_means means = reply_means(&world.table);
    (void)cold_tick(&world.blocks, &means);
}

static inline void arrive(void)
{
    step();
    double_end_all(&tier, STATUS_OK);
    step();
}

static inline int teardown(void **state)
{
    (void)state;
    arrive();
    pass(10 * WORLD_MS);
    world_check(&world);
    assert_int_equal(world.blocks.fetches.loading, 0);
    cold_attach(&world.blocks, NULL, NULL);
    tiers_close(&tiers, 0);
    player_leave(&player);
    player_leave(&other);
    world_close(&world);
    return 0;
}

/* Block `number` of the players' namespace lies on the tier. */
static inline void put_cold(uint64_t number)
{
    unsigned char bytes[WORLD_SLOT];
    struct tier_id id = {.key = world_key(number)};
    const struct tiers_space *space = tiers_space_of(&tiers, player.welcome.space);
    assert_non_null(space);
    memcpy(id.space, space->digest, sizeof id.space);
    memset(bytes, (int)number, sizeof bytes);
    double_keep(&tier, &id, bytes, sizeof bytes);
    double_say(&tier, TIER_FOUND, &id);
    step();
}

static inline struct request fetch_of(uint64_t cookie, uint64_t number, uint32_t follow)
{
    return (struct request){
        .type = REQUEST_FETCH,
        .cookie = cookie,
        .count = follow,
        .timeout_ns = TIMEOUT,
        .key = world_key(number),
    };
}

/* `count` blocks from `first` on, in one batch. */
static inline void ask(struct player *from, uint32_t seat, uint64_t cookie, uint64_t first,
    uint32_t count, uint64_t bytes, uint32_t flags)
{
    for (uint32_t i = 0; i < count; i++) {
        struct request request = fetch_of(cookie, first + i, count - 1 - i);
        request.bytes = bytes;
        request.flags = flags | (i > 0 ? REQUEST_PARENT : 0);
        request.parent = world_key(first + i - 1);
        player_ask(from, seat, &request);
        (void)dispatch_turn(&world.table);
    }
}

static inline struct reply hear(struct player *from, uint32_t seat)
{
    struct reply reply;
    assert_true(player_hear(from, seat, &reply));
    return reply;
}

static inline bool is_silent(struct player *from, uint32_t seat)
{
    struct reply reply;
    return !player_hear(from, seat, &reply);
}

#define TRUSTED(test) cmocka_unit_test_setup_teardown(test, trusted, teardown)
#define ISOLATED(test) cmocka_unit_test_setup_teardown(test, isolated, teardown)

#endif
