/* policy_world: one policy over a few slots, and shorthands for the tests of policies. */
#ifndef CISTERN_TESTS_UNIT_SIDECAR_BLOCK_POLICY_WORLD_H
#define CISTERN_TESTS_UNIT_SIDECAR_BLOCK_POLICY_WORLD_H

#include "sidecar/block/policy.h"

#include "tests/check.h"

#include <stdbool.h>

struct policy_world {
    struct arena arena;
    struct policy_memory memory;
    struct policy policy;
};

static inline void policy_world_open(
    struct policy_world *world, enum policy_kind kind, uint32_t slots, uint32_t capacity)
{
    assert_int_equal(arena_open(policy_arena_bytes(kind, slots), &world->arena), 0);
    policy_memory_open(&world->memory, kind, slots, &world->arena);
    policy_open(&world->policy, &world->memory);
    policy_resize(&world->policy, capacity);
}

/* Evict the next `count` blocks; they must be `slots`, in this order. */
static inline void policy_world_evicts(
    struct policy_world *world, const uint32_t *slots, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t victim;
        assert_int_equal(policy_victims(&world->policy, 1, &victim), 1);
        assert_int_equal(victim, slots[i]);
        policy_evicted(&world->policy, victim);
    }
}

#endif
