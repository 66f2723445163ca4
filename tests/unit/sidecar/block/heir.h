/* heir: blocks whose index and ledger outlive them, and are taken over by the next ones. */
#ifndef CISTERN_TESTS_UNIT_SIDECAR_BLOCK_HEIR_H
#define CISTERN_TESTS_UNIT_SIDECAR_BLOCK_HEIR_H

#include "sidecar/block/adopt.h"
#include "sidecar/block/ledger.h"

#include "tests/unit/sidecar/block/fixture.h"

struct heir {
    struct fixture fixture; /* its pins stand for the lanes of old */
    void *ledger;
    uint64_t ledger_bytes;
    uint64_t index_bytes;
    struct blocks_limits limits;
    bool known[BLOCKS_SPACES];
    uint32_t lost_devices; /* a bit each */
    uint64_t slot_bytes[POOL_CLASSES_MAX]; /* what the keeper knows of classes */
    uint32_t classes;
};

static inline struct blocks *heir_blocks(struct heir *heir)
{
    return &heir->fixture.blocks;
}

/* A pool of `host` extents and behind them `device` ones of each of the devices, of `per` slots of
 * 4096 bytes, and a ledger. */
static inline void heir_open_devices(struct heir *heir, uint32_t host, uint32_t devices,
    uint32_t device, uint32_t per, enum policy_kind policy)
{
    memset(heir, 0, sizeof *heir);
    uint32_t extents = host + devices * device;
    uint32_t slots = extents * per;
    heir->index_bytes = layout_index_bytes(slots, 0);
    heir->ledger_bytes = ledger_bytes(slots, extents);
    heir->fixture.index = aligned_alloc(LAYOUT_PAGE_BYTES, heir->index_bytes);
    heir->ledger = aligned_alloc(LAYOUT_PAGE_BYTES, heir->ledger_bytes);
    assert_non_null(heir->fixture.index);
    assert_non_null(heir->ledger);
    memset(heir->fixture.index, 0, heir->index_bytes);
    memset(heir->ledger, 0, heir->ledger_bytes);
    heir->limits = (struct blocks_limits){
        .pool_bytes = (uint64_t)host * per * 4096,
        .device_bytes = (uint64_t)device * per * 4096,
        .extent_bytes = (uint64_t)per * 4096,
        .slot_bytes_min = 4096,
        .devices = devices,
        .policy = policy,
        .quarantine_ns = 1000,
        .ledger = heir->ledger,
        .ledger_bytes = heir->ledger_bytes,
        .claims = {.sessions_max = 8,
            .claims_max = 16,
            .waiters_max = 16,
            .claims_per_session = 4,
            .waits_per_session = 4,
            .seed = 1},
    };
    layout_index_init(heir->fixture.index, slots, 0, heir->limits.pool_bytes, 1);
    ledger_init(heir->ledger, slots, extents);
    heir->known[1] = true; /* fixture_commit()'s namespace */
    assert_int_equal(
        blocks_open(heir_blocks(heir), &heir->limits, heir->fixture.index, heir->index_bytes),
        STATUS_OK);
}

/* Of host memory and one device; with 0 extents of it, of host memory alone. */
static inline void heir_open_tiers(
    struct heir *heir, uint32_t host, uint32_t device, uint32_t per, enum policy_kind policy)
{
    heir_open_devices(heir, host, device > 0, device, per, policy);
}

static inline void heir_open(
    struct heir *heir, uint32_t extents, uint32_t per, enum policy_kind policy)
{
    heir_open_tiers(heir, extents, 0, per, policy);
}

/* The server dies here: what it had in private memory is gone. */
static inline void heir_die(struct heir *heir)
{
    const struct pool *pool = &heir_blocks(heir)->pool;
    heir->classes = pool->class_count;
    for (uint32_t i = 0; i < pool->class_count; i++) {
        heir->slot_bytes[i] = pool->classes[i].slot_bytes;
    }
    blocks_close(heir_blocks(heir));
}

/* The next one takes over. Returns adopt_blocks()'s status. */
static inline int heir_succeed(struct heir *heir, struct adopt_found *out_found)
{
    struct blocks *blocks = heir_blocks(heir);
    struct evict_sweep sweep = fixture_sweeper(&heir->fixture);
    assert_int_equal(
        blocks_open(blocks, &heir->limits, heir->fixture.index, heir->index_bytes), STATUS_OK);
    for (uint32_t i = 0; i < heir->classes; i++) {
        assert_int_equal(pool_class_adopt(blocks, i, heir->slot_bytes[i]), STATUS_OK);
    }
    const struct adopt_terms terms = {.known = heir->known, .lost_devices = heir->lost_devices};
    return adopt_blocks(blocks, &terms, &sweep, out_found);
}

static inline void heir_close(struct heir *heir)
{
    blocks_close(heir_blocks(heir));
    free(heir->fixture.index);
    free(heir->ledger);
}

/* Every slot is in one place, and counters and lines say the same; `resting` of them are in chains
 * that the test did not give away. */
static inline void heir_check(struct heir *heir)
{
    const struct blocks *blocks = heir_blocks(heir);
    uint64_t states[SLOT_EVICTING + 1] = {0};
    uint64_t used = 0;
    uint64_t free = 0;
    for (uint32_t i = 0; i < blocks->index.slots; i++) {
        states[slot_state_of(slot_load_state(&blocks->index.lines[i]))]++;
    }
    for (uint32_t i = 0; i < blocks->pool.extent_count; i++) {
        used += blocks->pool.extents[i].used;
    }
    for (uint32_t i = 0; i < blocks->pool.class_count; i++) {
        free += blocks->pool.classes[i].free;
    }
    assert_int_equal(states[SLOT_EVICTING], 0);
    assert_int_equal(used, states[SLOT_RESERVED] + states[SLOT_LOADING] + states[SLOT_VALID]);
    assert_int_equal(fixture_count(&heir->fixture, COUNTER_slots_hot), states[SLOT_VALID]);
    assert_int_equal(fixture_count(&heir->fixture, COUNTER_slots_lent), states[SLOT_RESERVED]);
    assert_int_equal(fixture_count(&heir->fixture, COUNTER_slots_free), free);
}

#endif
