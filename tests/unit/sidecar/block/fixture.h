/* fixture: blocks over an index in plain memory, and lanes whose pins a test sets by hand. */
#ifndef CISTERN_TESTS_UNIT_SIDECAR_BLOCK_FIXTURE_H
#define CISTERN_TESTS_UNIT_SIDECAR_BLOCK_FIXTURE_H

#include "shm/pin.h"
#include "shm/status.h"
#include "sidecar/block/admit.h"
#include "sidecar/block/blocks.h"
#include "sidecar/block/evict.h"
#include "sidecar/block/pool_class.h"

#include "tests/check.h"

#include <string.h>

#define FIXTURE_PINS 64u
#define FIXTURE_TIERS 2u /* of host memory and one device */
#define FIXTURE_COLD 256u /* hints of cold blocks that the index has room for, as a server's has */

struct fixture {
    void *index;
    uint64_t index_bytes;
    void *ledger; /* NULL: none is kept */
    struct blocks_limits limits;
    struct blocks blocks;
    /* A stand-in for the lanes: one thread's pin records, read by the real pin_sweep(). */
    _Atomic uint32_t pins[FIXTURE_PINS];
    _Atomic uint32_t high;
    uint32_t sweeps;
};

static inline uint32_t fixture_sweep(void *context, uint8_t *marks, uint32_t slots)
{
    struct fixture *fixture = context;
    fixture->sweeps++;
    return pin_sweep(&fixture->high, fixture->pins, FIXTURE_PINS, marks, slots);
}

static inline struct evict_sweep fixture_sweeper(struct fixture *fixture)
{
    return (struct evict_sweep){.sweep = fixture_sweep, .context = fixture};
}

static inline void fixture_pin(struct fixture *fixture, uint32_t record, uint32_t slot)
{
    shared32_store_release(&fixture->pins[record], slot + 1);
    shared32_store_release(&fixture->high, FIXTURE_PINS);
}

static inline void fixture_unpin(struct fixture *fixture, uint32_t record)
{
    shared32_store_release(&fixture->pins[record], 0);
}

/* A pool of `host` extents and behind them `device` ones of each of the devices, of `per` slots of
 * 4096 bytes. */
static inline void fixture_open_devices(struct fixture *fixture, uint32_t host, uint32_t devices,
    uint32_t device, uint32_t per, enum policy_kind policy)
{
    *fixture = (struct fixture){0};
    struct blocks_limits limits = {
        .pool_bytes = (uint64_t)host * per * 4096,
        .device_bytes = (uint64_t)device * per * 4096,
        .extent_bytes = (uint64_t)per * 4096,
        .slot_bytes_min = 4096,
        .devices = devices,
        .policy = policy,
        .quarantine_ns = 1000,
        .claims = {.sessions_max = 8,
            .claims_max = 16,
            .waiters_max = 16,
            .claims_per_session = 4,
            .waits_per_session = 4,
            .seed = 1},
    };
    uint32_t slots = blocks_slots(limits.pool_bytes, limits.device_bytes, limits.devices,
        limits.extent_bytes, limits.slot_bytes_min);
    uint64_t bytes = layout_index_bytes(slots, FIXTURE_COLD);
    fixture->index_bytes = bytes;
    fixture->limits = limits;
    fixture->index = aligned_alloc(LAYOUT_PAGE_BYTES, bytes);
    assert_non_null(fixture->index);
    memset(fixture->index, 0, bytes);
    layout_index_init(fixture->index, slots, FIXTURE_COLD, limits.pool_bytes, 1);
    assert_int_equal(blocks_open(&fixture->blocks, &limits, fixture->index, bytes), STATUS_OK);
}

/* Of host memory and one device; with 0 extents of it, of host memory alone. */
static inline void fixture_open_tiers(
    struct fixture *fixture, uint32_t host, uint32_t device, uint32_t per, enum policy_kind policy)
{
    fixture_open_devices(fixture, host, device > 0, device, per, policy);
}

static inline void fixture_open(
    struct fixture *fixture, uint32_t extents, uint32_t per, enum policy_kind policy)
{
    fixture_open_tiers(fixture, extents, 0, per, policy);
}

static inline void fixture_close(struct fixture *fixture)
{
    blocks_close(&fixture->blocks);
    free(fixture->index);
    free(fixture->ledger);
}

/* Keys that differ in every word. */
static inline struct key fixture_key(uint64_t number)
{
    uint64_t state = number;
    struct key key;
    for (int i = 0; i < 4; i++) {
        key.word[i] = check_random(&state);
    }
    return key;
}

static inline uint32_t fixture_class_in(
    struct fixture *fixture, uint64_t block_bytes, enum slot_tier tier)
{
    uint32_t class;
    assert_int_equal(pool_class_take(&fixture->blocks.pool, block_bytes, tier, &class), STATUS_OK);
    return class;
}

static inline uint32_t fixture_class(struct fixture *fixture, uint64_t block_bytes)
{
    return fixture_class_in(fixture, block_bytes, SLOT_TIER_HOST);
}

/* Take a slot and commit key `number` into it; it must be new. Returns the slot. */
static inline uint32_t fixture_commit(
    struct fixture *fixture, uint32_t class, uint64_t number, const struct key *parent)
{
    uint32_t slot;
    uint64_t generation;
    bool duplicate;
    assert_int_equal(
        pool_take(&fixture->blocks, class, SLOT_RESERVED, &slot, &generation), STATUS_OK);
    struct slot_content content = {.key = fixture_key(number), .bytes = 100, .space = 1};
    assert_int_equal(
        admit_block(&fixture->blocks, slot, generation, &content, parent, &duplicate), STATUS_OK);
    assert_false(duplicate);
    return slot;
}

static inline uint32_t fixture_find(const struct fixture *fixture, uint64_t number)
{
    struct key key = fixture_key(number);
    return admit_find(&fixture->blocks, &key, 1);
}

static inline uint32_t fixture_find_in(
    const struct fixture *fixture, uint64_t number, enum slot_tier tier)
{
    struct key key = fixture_key(number);
    return admit_find_tier(&fixture->blocks, &key, 1, tier);
}

static inline uint64_t fixture_count(const struct fixture *fixture, enum counter which)
{
    return counter_get(fixture->blocks.counters, which);
}

static inline enum slot_state fixture_state(const struct fixture *fixture, uint32_t slot)
{
    return slot_state_of(slot_load_state(&fixture->blocks.index.lines[slot]));
}

#endif
