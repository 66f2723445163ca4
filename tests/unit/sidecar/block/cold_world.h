/* cold_world: blocks with a pool in plain memory and one tier below it that a test moves by hand.
 * Answers are written down. Block `number` has bytes that only it has. */
#ifndef CISTERN_TESTS_UNIT_SIDECAR_BLOCK_COLD_WORLD_H
#define CISTERN_TESTS_UNIT_SIDECAR_BLOCK_COLD_WORLD_H

#include "tests/unit/sidecar/block/double_tier.h"
#include "tests/unit/sidecar/block/fixture.h"

#include "sidecar/block/cold.h"
#include "sidecar/block/fetch.h"
#include "sidecar/block/hold.h"
#include "sidecar/block/spill.h"

#define COLD_HEARD 4096u
#define COLD_SPACE 1u /* the namespace of fixture_commit() */
#define COLD_BLOCK 4096u
#define COLD_MS UINT64_C(1000000)
#define COLD_SEARCHED (11000 * COLD_MS)
#define COLD_HOLD (50 * COLD_MS)

struct cold_heard {
    struct fetch_ask ask;
    int status;
    uint32_t hot;
};

struct cold_told {
    struct fetch_ask ask;
    struct fetch_part part;
};

struct cold_world {
    struct fixture fixture;
    struct blocks *blocks;
    struct tiers tiers;
    struct double_tier tier;
    unsigned char *pool;
    uint32_t class;
    uint64_t now_ns;
    uint64_t cookie;
    struct cold_heard heard[COLD_HEARD];
    uint32_t heard_count;
    struct cold_told told[COLD_HEARD];
    uint32_t told_count;
    uint32_t claims_ok; /* waits of claims that were told OK */
    uint32_t claims_mine; /* that have the claim now */
    uint32_t claims_miss; /* that were too late */
    bool deaf; /* no answer finds room */
};

static inline bool cold_done(void *context, const struct fetch_ask *ask, int status, uint32_t hot)
{
    struct cold_world *world = context;
    if (world->deaf) {
        return false;
    }
    assert_true(world->heard_count < COLD_HEARD);
    world->heard[world->heard_count++] =
        (struct cold_heard){.ask = *ask, .status = status, .hot = hot};
    return true;
}

static inline void cold_part(
    void *context, const struct fetch_ask *ask, const struct fetch_part *part)
{
    struct cold_world *world = context;
    assert_true(world->told_count < COLD_HEARD);
    world->told[world->told_count++] = (struct cold_told){.ask = *ask, .part = *part};
}

static inline void cold_claim(void *context, const struct claim_waiter *waiter,
    const struct key *key, uint16_t space, int status)
{
    struct cold_world *world = context;
    (void)waiter;
    (void)key;
    (void)space;
    world->claims_ok += status == STATUS_OK ? 1 : 0;
    world->claims_mine += status == STATUS_MINE ? 1 : 0;
    world->claims_miss += status == STATUS_MISS ? 1 : 0;
}

static inline struct fetch_means cold_means(struct cold_world *world)
{
    return (struct fetch_means){
        .sweep = fixture_sweeper(&world->fixture),
        .answers = {.done = cold_done, .part = cold_part, .context = world},
        .claims = {.answer = cold_claim, .context = world},
        .now_ns = world->now_ns,
    };
}

static inline struct space cold_space_named(const char *name)
{
    struct space space = {.block_bytes = COLD_BLOCK, .block_tokens = 16};
    (void)snprintf(space.name, sizeof space.name, "%s", name);
    return space;
}

static inline void cold_close(struct cold_world *world)
{
    tiers_close(&world->tiers, 0);
    fixture_close(&world->fixture);
    free(world->pool);
}

static inline struct tier_id cold_id(const struct cold_world *world, uint64_t number)
{
    struct tier_id id = {.key = fixture_key(number)};
    memcpy(id.space, tiers_space_of(&world->tiers, COLD_SPACE)->digest, sizeof id.space);
    return id;
}

static inline void cold_bytes(uint64_t number, unsigned char out_bytes[COLD_BLOCK])
{
    uint64_t state = number + 1;
    for (uint32_t i = 0; i < COLD_BLOCK; i += 8) {
        uint64_t word = check_random(&state);
        memcpy(out_bytes + i, &word, sizeof word);
    }
}

/* One turn of the loop. */
static inline bool cold_step(struct cold_world *world)
{
    struct fetch_means means = cold_means(world);
    uint32_t work;
    return cold_turn(world->blocks, &means, &work);
}

/* Device extents have no memory: nobody may look for their bytes. */
static inline void cold_open_devices(
    struct cold_world *world, uint32_t host, uint32_t devices, uint32_t device, uint32_t per)
{
    *world = (struct cold_world){.now_ns = 1000 * COLD_MS};
    fixture_open_devices(&world->fixture, host, devices, device, per, POLICY_LRU);
    world->blocks = &world->fixture.blocks;
    world->pool = aligned_alloc(4096, (size_t)host * per * 4096);
    assert_non_null(world->pool);
    assert_int_equal(
        tiers_open(&world->tiers, &world->blocks->index, world->blocks->counters), STATUS_OK);
    double_open(&world->tier);
    tiers_add(&world->tiers, &world->tier.tier);
    cold_attach(world->blocks, &world->tiers, world->pool);
    struct space space = cold_space_named("a");
    cold_space(world->blocks, COLD_SPACE, &space, 0);
    world->class = fixture_class(&world->fixture, COLD_BLOCK);
    world->now_ns += COLD_SEARCHED; /* nothing more is searched for */
}

static inline void cold_open_tiers(
    struct cold_world *world, uint32_t host, uint32_t device, uint32_t per)
{
    cold_open_devices(world, host, device > 0, device, per);
}

static inline void cold_open(struct cold_world *world, uint32_t extents, uint32_t per)
{
    cold_open_tiers(world, extents, 0, per);
}

/* Later by so much, with a tick. */
static inline void cold_pass(struct cold_world *world, uint64_t ns)
{
    world->now_ns += ns;
    struct fetch_means means = cold_means(world);
    (void)cold_tick(world->blocks, &means);
}

/* Block `number` lies on the tier, and its hint says so. */
static inline void cold_put(struct cold_world *world, uint64_t number)
{
    unsigned char bytes[COLD_BLOCK];
    struct tier_id id = cold_id(world, number);
    cold_bytes(number, bytes);
    double_keep(&world->tier, &id, bytes, sizeof bytes);
    double_say(&world->tier, TIER_FOUND, &id);
    (void)cold_step(world);
}

/* Block `number` is committed by a client. Returns its slot. */
static inline uint32_t cold_commit(struct cold_world *world, uint64_t number)
{
    struct blocks *blocks = world->blocks;
    uint32_t slot;
    uint64_t generation;
    bool duplicate;
    assert_int_equal(pool_take(blocks, world->class, SLOT_RESERVED, &slot, &generation), STATUS_OK);
    cold_bytes(number, world->pool + pool_offset(&blocks->pool, slot));
    struct slot_content content = {
        .key = fixture_key(number), .bytes = COLD_BLOCK, .space = COLD_SPACE};
    assert_int_equal(admit_block(blocks, slot, generation, &content, NULL, &duplicate), STATUS_OK);
    struct fetch_means means = cold_means(world);
    fetch_hot(blocks, &content.key, COLD_SPACE, &means);
    return fixture_find(&world->fixture, number);
}

/* Is it hot, with its own bytes? */
static inline bool cold_is_hot(const struct cold_world *world, uint64_t number)
{
    unsigned char bytes[COLD_BLOCK];
    uint32_t slot = fixture_find(&world->fixture, number);
    if (slot == HINT_NONE) {
        return false;
    }
    struct slot_content content;
    slot_load_place(&world->blocks->index.lines[slot], &content);
    cold_bytes(number, bytes);
    assert_int_equal(content.bytes, COLD_BLOCK);
    assert_memory_equal(world->pool + content.offset, bytes, sizeof bytes);
    return true;
}

static inline bool cold_is_cold(const struct cold_world *world, uint64_t number)
{
    struct key key = fixture_key(number);
    return tiers_has(&world->tiers, &key);
}

/* Session `session` asks for `count` blocks from `first` on, each the parent of the next. Returns
 * the cookie. */
static inline uint64_t cold_ask(
    struct cold_world *world, const struct fetch_ask *wanted, uint64_t first)
{
    struct fetch_batches *batches = &world->blocks->fetches.batches;
    struct fetch_means means = cold_means(world);
    struct fetch_ask ask = *wanted;
    ask.cookie = ++world->cookie;
    ask.hold_ns = COLD_HOLD;
    ask.quota = ask.quota == 0 ? 1000 : ask.quota;
    ask.deadline_ns = ask.deadline_ns == 0 ? world->now_ns + 1000 * COLD_MS : ask.deadline_ns;
    uint32_t batch = fetch_batch_begin(batches, &ask);
    assert_int_not_equal(batch, FETCH_BATCH_NONE);
    for (uint32_t i = 0; i < ask.blocks; i++) {
        struct fetch_want want = {
            .key = fixture_key(first + i),
            .parent = fixture_key(first + i - 1),
            .has_parent = i > 0,
            .space = COLD_SPACE,
            .class = world->class,
        };
        fetch_block(world->blocks, batch, &want, &means);
    }
    fetch_batch_close(batches, batch, &means.answers);
    return ask.cookie;
}

/* The answer to this cookie, or NULL. */
static inline const struct cold_heard *cold_answer(const struct cold_world *world, uint64_t cookie)
{
    const struct cold_heard *found = NULL;
    for (uint32_t i = 0; i < world->heard_count; i++) {
        if (world->heard[i].ask.cookie == cookie) {
            assert_null(found); /* one answer */
            found = &world->heard[i];
        }
    }
    return found;
}

static inline uint64_t cold_count(const struct cold_world *world, enum counter which)
{
    return fixture_count(&world->fixture, which);
}

/* Nothing is under way and nothing leaked: every slot is free or holds a block. */
static inline void cold_settled(const struct cold_world *world)
{
    const struct blocks *blocks = world->blocks;
    uint32_t used = 0;
    for (uint32_t i = 0; i < blocks->pool.extent_count; i++) {
        used += blocks->pool.extents[i].used;
    }
    assert_int_equal(blocks->fetches.loading, 0);
    assert_int_equal(blocks->fetches.urgent.count, 0);
    assert_int_equal(blocks->fetches.ahead.count, 0);
    assert_int_equal(blocks->fetches.dying, FETCH_NONE);
    assert_int_equal(blocks->spills.count, 0);
    assert_int_equal(used, cold_count(world, COUNTER_slots_hot));
    for (uint32_t i = 0; i < blocks->index.slots; i++) {
        enum slot_state state = fixture_state(&world->fixture, i);
        assert_true(state == SLOT_FREE || state == SLOT_VALID);
        assert_int_equal(blocks->marks[i], PIN_NONE);
    }
}

/* Of a test whose state is its world: 16 slots, and all accounted for at the end. */
static inline int cold_set_up(void **state)
{
    cold_open(*state, 2, 8);
    return 0;
}

static inline int cold_tear_down(void **state)
{
    cold_settled(*state);
    cold_close(*state);
    return 0;
}

#endif
