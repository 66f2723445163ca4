/* tier_world: a file tier in a folder of the test's own, and operations that wait for their end. */
#ifndef CISTERN_TESTS_UNIT_SIDECAR_TIER_TIER_WORLD_H
#define CISTERN_TESTS_UNIT_SIDECAR_TIER_TIER_WORLD_H

#include "sidecar/tier/tier_file.h"

#include "shm/status.h"
#include "tests/unit/sidecar/tier/folder.h"

#define TIER_WORLD_BYTES 100000u
#define TIER_WORLD_ROOM 102400u

struct tier_world {
    struct folder folder;
    struct tier *tier;
    char why[TIER_WHY];
    struct tier_done done[64]; /* the events of the last operation */
    uint32_t count;
};

static inline struct tier_id tier_world_id(uint64_t number)
{
    struct tier_id id = {.key.word = {number, ~number}};
    memset(id.space, 7, sizeof id.space);
    return id;
}

static inline int tier_world_start(
    struct tier_world *world, uint64_t capacity, enum codec codec, const char *key_file)
{
    struct tier_file_options options = {.directory = world->folder.path,
        .capacity_bytes = capacity,
        .codec = codec,
        .key_file = key_file};
    world->tier = NULL;
    return tier_file_open(&options, &world->tier, world->why, sizeof world->why);
}

static inline void tier_world_open(struct tier_world *world, uint64_t capacity)
{
    *world = (struct tier_world){.tier = NULL};
    folder_open(&world->folder);
    assert_int_equal(tier_world_start(world, capacity, CODEC_RAW, NULL), STATUS_OK);
}

static inline void tier_world_close(struct tier_world *world)
{
    tier_close(world->tier, 0);
    folder_close(&world->folder);
}

static inline void tier_world_poll(struct tier_world *world)
{
    world->count = tier_poll(world->tier, 0, world->done, CHECK_COUNT(world->done));
}

/* Store block `number`, all bytes `number`. Returns what store or STORED said. */
static inline int tier_world_store(struct tier_world *world, uint64_t number)
{
    static _Alignas(4096) uint8_t data[TIER_WORLD_ROOM];
    struct tier_block block = {
        .id = tier_world_id(number), .data = data, .bytes = TIER_WORLD_BYTES};
    memset(data, (int)number, sizeof data);
    int status = tier_store(world->tier, &block, number);
    if (status != STATUS_PENDING) {
        return status;
    }
    tier_world_poll(world);
    for (uint32_t i = 0; i < world->count; i++) {
        if (world->done[i].event == TIER_STORED) {
            assert_int_equal(world->done[i].cookie, number);
            return world->done[i].status;
        }
    }
    fail_msg("no STORED");
    return STATUS_INTERNAL;
}

/* Load it and compare. Returns what load or LOADED said. */
static inline int tier_world_load(struct tier_world *world, uint64_t number)
{
    static _Alignas(4096) uint8_t data[TIER_WORLD_ROOM];
    struct tier_wish wish = {.id = tier_world_id(number),
        .out_data = data,
        .room = sizeof data,
        .deadline_ns = UINT64_MAX};
    int status = tier_load(world->tier, &wish, number);
    if (status != STATUS_PENDING) {
        return status;
    }
    tier_world_poll(world);
    for (uint32_t i = 0; i < world->count; i++) {
        if (world->done[i].event != TIER_LOADED) {
            continue;
        }
        for (uint32_t at = 0; world->done[i].status == STATUS_OK && at < TIER_WORLD_BYTES; at++) {
            assert_int_equal(data[at], (uint8_t)number);
        }
        return world->done[i].status;
    }
    fail_msg("no LOADED");
    return STATUS_INTERNAL;
}

static inline bool tier_world_saw(
    const struct tier_world *world, enum tier_event event, uint64_t number)
{
    struct tier_id id = tier_world_id(number);
    for (uint32_t i = 0; i < world->count; i++) {
        if (world->done[i].event == event && memcmp(&world->done[i].id, &id, sizeof id) == 0) {
            return true;
        }
    }
    return false;
}

static inline struct tier_health tier_world_health(const struct tier_world *world)
{
    struct tier_health health;
    world->tier->ops->health(world->tier, &health);
    return health;
}

#endif
