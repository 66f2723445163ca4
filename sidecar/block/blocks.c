/* blocks: see blocks.h. */
#include "sidecar/block/blocks.h"

#include "shm/status.h"

#include <assert.h>
#include <stddef.h>

uint32_t blocks_slots(uint64_t pool_bytes, uint64_t device_bytes, uint32_t devices,
    uint64_t extent_bytes, uint64_t slot_bytes_min)
{
    if (slot_bytes_min == 0 || slot_bytes_min % POOL_PAGE_BYTES != 0 || extent_bytes == 0 ||
        extent_bytes % slot_bytes_min != 0 || pool_bytes == 0 || pool_bytes % extent_bytes != 0 ||
        device_bytes % extent_bytes != 0 || pool_bytes > SLOT_OFFSET_MAX ||
        device_bytes > SLOT_OFFSET_MAX || devices > SLOT_DEVICES ||
        (devices == 0) != (device_bytes == 0)) {
        return 0;
    }
    uint64_t slots = (pool_bytes + devices * device_bytes) / slot_bytes_min;
    return slots > LAYOUT_SLOTS_MAX ? 0 : (uint32_t)slots;
}

/* Reads that fetch has room for: no more than it takes to fill the pool. */
static uint32_t reads_for(const struct blocks_limits *limits, uint32_t slots)
{
    uint32_t wanted = limits->fetches_max < slots ? limits->fetches_max : slots;
    if (wanted > FETCH_READS_MOST) {
        return FETCH_READS_MOST;
    }
    return wanted < FETCH_READS_LEAST ? FETCH_READS_LEAST : wanted;
}

int blocks_open(
    struct blocks *out, const struct blocks_limits *limits, void *index_base, uint64_t index_bytes)
{
    struct index_view index;
    int status = layout_index_view(index_base, index_bytes, &index);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t slots = blocks_slots(limits->pool_bytes, limits->device_bytes, limits->devices,
        limits->extent_bytes, limits->slot_bytes_min);
    if (slots == 0 || slots != index.slots || index.header->pool_bytes != limits->pool_bytes ||
        limits->claims.sessions_max == 0 || limits->claims.claims_max == 0 ||
        limits->claims.claims_max > CLAIM_TABLE_MAX || limits->claims.waiters_max == 0 ||
        limits->claims.waiters_max > CLAIM_TABLE_MAX) {
        return STATUS_INVALID;
    }
    const struct pool_shape shape = {
        .extent_bytes = limits->extent_bytes,
        .slot_bytes_min = limits->slot_bytes_min,
        .host_extents = (uint32_t)(limits->pool_bytes / limits->extent_bytes),
        .device_extents = (uint32_t)(limits->device_bytes / limits->extent_bytes),
        .devices = limits->devices,
    };
    uint32_t extents = pool_shape_extents(&shape);
    struct ledger ledger;
    status = ledger_view(limits->ledger, limits->ledger_bytes, slots, extents, &ledger);
    if (status != STATUS_OK) {
        return status;
    }
    *out = (struct blocks){.index = index, .counters = index.header->counter, .ledger = ledger};
    uint32_t reads = reads_for(limits, slots);
    uint32_t holds = reads + SPILL_COUNT_MAX + limits->devices * MOVE_COUNT_MAX;
    uint32_t sessions = limits->claims.sessions_max;
    status = arena_open(
        pool_arena_bytes(extents, slots) + policy_arena_bytes(limits->policy, slots) +
            arena_bytes(slots, sizeof(uint8_t)) + arena_bytes(BLOCKS_SPACES, sizeof(uint32_t)) +
            claim_arena_bytes(&limits->claims) + quarantine_arena_bytes(slots) +
            hold_arena_bytes(holds, slots, sessions) + fetch_table_arena_bytes(reads, sessions) +
            uses_arena_bytes() + move_arena_bytes(limits->devices, slots),
        &out->arena);
    if (status != STATUS_OK) {
        return status;
    }
    pool_open(&out->pool, &shape, &out->arena);
    policy_memory_open(&out->policy_memory, limits->policy, slots, &out->arena);
    for (uint32_t i = 0; i < POOL_CLASSES_MAX; i++) {
        policy_open(&out->policies[i], &out->policy_memory);
    }
    out->space_blocks = arena_take(&out->arena, BLOCKS_SPACES, sizeof(uint32_t));
    out->marks = arena_take(&out->arena, slots, sizeof(uint8_t));
    claim_open(&out->claims, &limits->claims, out->counters, &out->arena);
    quarantine_open(&out->quarantine, limits->quarantine_ns, slots, &out->arena);
    hold_open(&out->holds, holds, slots, sessions, out->counters, &out->arena);
    fetch_table_open(
        &out->fetches, reads, sessions, limits->claims.seed, out->counters, &out->arena);
    uses_open(&out->uses, slots, &out->arena);
    move_open(&out->moves, limits->devices, slots, &out->arena);
    return STATUS_OK;
}

void blocks_close(struct blocks *blocks)
{
    if (blocks == NULL) {
        return;
    }
    arena_close(&blocks->arena);
    *blocks = (struct blocks){0};
}
