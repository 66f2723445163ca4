/* move_world: a cold_world with two devices whose memory is a buffer each, and a double of a mover
 * between them and the host pool. */
#ifndef CISTERN_TESTS_UNIT_SIDECAR_BLOCK_MOVE_WORLD_H
#define CISTERN_TESTS_UNIT_SIDECAR_BLOCK_MOVE_WORLD_H

#include "tests/unit/sidecar/block/cold_world.h"
#include "tests/unit/sidecar/block/double_mover.h"

#include "sidecar/block/move_down.h"
#include "sidecar/block/move_up.h"

#define MOVE_SLOTS 16u /* of each tier, in a test whose state is its world */
#define MOVE_HOST SLOT_TIER_HOST
#define MOVE_FIRST SLOT_TIER_DEVICE
#define MOVE_SECOND (SLOT_TIER_DEVICE + 1u)

struct move_world {
    struct cold_world cold;
    struct blocks *blocks;
    struct double_mover mover;
    uint32_t classes[1 + MOVER_DEVICES]; /* by tier; the first is cold.class */
};

/* `host` extents, and `device` of each device, of `per` slots of 4096 bytes. */
static inline void move_world_open(
    struct move_world *world, uint32_t host, uint32_t device, uint32_t per)
{
    *world = (struct move_world){0};
    cold_open_devices(&world->cold, host, MOVER_DEVICES, device, per);
    world->blocks = world->cold.blocks;
    world->classes[0] = world->cold.class;
    world->mover = (struct double_mover){
        .mover = {.start = mover_start, .poll = mover_poll, .context = &world->mover},
        .host = world->cold.pool,
        .host_bytes = (uint64_t)host * per * COLD_BLOCK,
        .device_bytes = (uint64_t)device * per * COLD_BLOCK,
        .most = MOVER_COPIES,
    };
    for (uint32_t i = 0; i < MOVER_DEVICES; i++) {
        world->mover.device[i] = calloc(device * per, COLD_BLOCK);
        assert_non_null(world->mover.device[i]);
        world->classes[1 + i] =
            fixture_class_in(&world->cold.fixture, COLD_BLOCK, slot_tier_of_device(i));
    }
    move_attach(world->blocks, &world->mover.mover);
    (void)cold_step(&world->cold); /* the next look at what leaves is cold_pass()'s */
}

static inline void move_world_close(struct move_world *world)
{
    assert_true(move_idle(world->blocks));
    assert_int_equal(cold_count(&world->cold, COUNTER_moves_now), 0);
    move_attach(world->blocks, NULL);
    cold_settled(&world->cold);
    cold_close(&world->cold);
    for (uint32_t i = 0; i < MOVER_DEVICES; i++) {
        free(world->mover.device[i]);
    }
}

/* There are no tiers below memory. */
static inline void move_world_alone(struct move_world *world)
{
    cold_attach(world->blocks, NULL, NULL);
}

/* Where the bytes of a slot are. */
static inline unsigned char *move_bytes(struct move_world *world, uint32_t slot)
{
    const struct pool *pool = &world->blocks->pool;
    enum slot_tier tier = pool_tier(pool, slot);
    unsigned char *base =
        tier == SLOT_TIER_HOST ? world->cold.pool : world->mover.device[slot_device_of(tier)];
    return base + pool_offset(pool, slot);
}

static inline uint32_t move_find(const struct move_world *world, uint64_t number, uint32_t tier)
{
    return fixture_find_in(&world->cold.fixture, number, (enum slot_tier)tier);
}

/* Is it hot in this tier, with its own bytes? */
static inline bool move_is_hot(struct move_world *world, uint64_t number, uint32_t tier)
{
    unsigned char bytes[COLD_BLOCK];
    uint32_t slot = move_find(world, number, tier);
    if (slot == HINT_NONE) {
        return false;
    }
    cold_bytes(number, bytes);
    assert_memory_equal(move_bytes(world, slot), bytes, sizeof bytes);
    return true;
}

/* Block `number` is committed to a tier by a client, with a checksum; a free slot is there. Returns
 * its slot. */
static inline uint32_t move_commit(
    struct move_world *world, uint32_t tier, uint64_t number, const struct key *parent)
{
    struct blocks *blocks = world->blocks;
    uint32_t slot;
    uint64_t generation;
    bool duplicate;
    assert_int_equal(
        pool_take(blocks, world->classes[tier], SLOT_RESERVED, &slot, &generation), STATUS_OK);
    cold_bytes(number, move_bytes(world, slot));
    struct slot_content content = {
        .key = fixture_key(number),
        .bytes = COLD_BLOCK,
        .space = COLD_SPACE,
        .flags = SLOT_CHECKSUM,
        .checksum = number + 7,
    };
    assert_int_equal(
        admit_block(blocks, slot, generation, &content, parent, &duplicate), STATUS_OK);
    return duplicate ? move_find(world, number, tier) : slot;
}

static inline struct move_up_reader move_reader(const struct move_world *world, uint32_t device)
{
    return (struct move_up_reader){
        .device = device, .class = world->classes[1 + device], .space = COLD_SPACE};
}

/* A session of this device touches a slot. */
static inline void move_touch(struct move_world *world, uint32_t slot, uint32_t device)
{
    struct move_up_reader reader = move_reader(world, device);
    struct evict_sweep sweep = fixture_sweeper(&world->cold.fixture);
    admit_touch(world->blocks, slot);
    move_up_touched(world->blocks, slot, &reader, &sweep);
}

/* All copies under way end so, and are taken. */
static inline void move_land(struct move_world *world, int status)
{
    mover_end_all(&world->mover, status);
    do {
        (void)cold_step(&world->cold);
    } while (world->mover.done_count > 0);
}

/* Evict this very block, whatever its age. */
static inline uint32_t move_evict(struct move_world *world, uint32_t slot)
{
    struct evict_sweep sweep = fixture_sweeper(&world->cold.fixture);
    uint32_t class = pool_class_of(&world->blocks->pool, slot);
    policy_choose(&world->blocks->policies[class], slot);
    return evict_batch(world->blocks, class, &slot, 1, true, &sweep);
}

/* Key, checksum and flags of a copy are those of the commit. */
static inline void move_same(struct move_world *world, uint64_t number, uint32_t tier)
{
    struct slot_content content;
    assert_true(move_is_hot(world, number, tier));
    move_content(world->blocks, move_find(world, number, tier), &content);
    assert_int_equal(content.checksum, number + 7);
    assert_int_equal(content.flags, SLOT_CHECKSUM);
    assert_int_equal(content.bytes, COLD_BLOCK);
    assert_int_equal(content.tier, tier);
}

/* Of a test whose state is its world: MOVE_SLOTS in each tier, and all accounted for at the end. */
static inline int move_set_up(void **state)
{
    move_world_open(*state, 2, 2, 8);
    return 0;
}

static inline int move_tear_down(void **state)
{
    move_world_close(*state);
    return 0;
}

#endif
