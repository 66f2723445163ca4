/* cases_store: see cases.h. */
#include "tests/conform/cases.h"

#include "shm/status.h"
#include "sidecar/tier/record.h"
#include "tests/conform/conform.h"

#include <string.h>

static const uint64_t sizes[] = {
    1, 4095, 4096, 4097, 65535, 65536, 65537, UINT64_C(1) << 20, CONFORM_BLOCK_MOST};

void cases_store_comes_back(void **state)
{
    struct conform *world = *state;
    for (size_t i = 0; i < CHECK_COUNT(sizes); i++) {
        assert_int_equal(conform_store_now(world, i, sizes[i]), STATUS_OK);
        assert_int_equal(conform_load_now(world, i), STATUS_OK);
    }
    for (size_t i = 0; i < CHECK_COUNT(sizes); i++) {
        assert_int_equal(conform_load_now(world, i), STATUS_OK);
    }
}

void cases_store_twice(void **state)
{
    struct conform *world = *state;
    assert_int_equal(conform_store_now(world, 5, 10000), STATUS_OK);
    assert_int_equal(conform_store(world, 5, 10000), STATUS_OK); /* it is here already */
    assert_int_equal(conform_load_now(world, 5), STATUS_OK);
    assert_int_equal(conform_health(world).blocks, 1);
}

/* One key in two namespaces is two blocks. */
void cases_store_other_namespace(void **state)
{
    struct conform *world = *state;
    static _Alignas(4096) uint8_t memory[4096];
    struct tier_wish wish = {.id = conform_id(7),
        .out_data = memory,
        .room = sizeof memory,
        .deadline_ns = CONFORM_NEVER};
    assert_int_equal(conform_store_now(world, 7, 3000), STATUS_OK);
    for (size_t i = 0; i < sizeof wish.id.space; i += 31) {
        wish.id.space[i] ^= 1;
        int status = tier_load(world->tier, &wish, 0);
        assert_int_equal(status, STATUS_MISS);
        wish.id.space[i] ^= 1;
    }
    assert_int_equal(conform_load_now(world, 7), STATUS_OK);
}

void cases_store_miss(void **state)
{
    struct conform *world = *state;
    assert_int_equal(conform_load_now(world, 1), STATUS_MISS);
    assert_int_equal(conform_store_now(world, 2, 5000), STATUS_OK);
    assert_int_equal(conform_load_now(world, 1), STATUS_MISS);
    assert_int_equal(conform_health(world).corrupt, 0);
}

void cases_store_drop(void **state)
{
    struct conform *world = *state;
    conform_drop(world, 3); /* it is not here: nothing happens */
    assert_int_equal(conform_store_now(world, 3, 5000), STATUS_OK);
    conform_drop(world, 3);
    assert_int_equal(conform_load_now(world, 3), STATUS_MISS);
    assert_int_equal(world->blocks[3].lost, 0);
    assert_int_equal(conform_health(world).blocks, 0);
    assert_int_equal(conform_store_now(world, 3, 5000), STATUS_OK);
    assert_int_equal(conform_load_now(world, 3), STATUS_OK);
}

void cases_store_room(void **state)
{
    struct conform *world = *state;
    uint64_t bytes = world->backend->too_large_bytes;
    struct conform_wish small = {.room = 4096};
    struct conform_wish exact = {.room = 8192};
    assert_int_equal(conform_store_now(world, 4, 8000), STATUS_OK);
    assert_int_equal(conform_load(world, 4, &small, NULL), STATUS_TOO_LARGE);
    assert_int_equal(conform_load(world, 4, &exact, NULL), STATUS_PENDING);
    conform_settle(world);
    assert_int_equal(world->loaded, 1);
    assert_int_equal(conform_store(world, 6, bytes), STATUS_TOO_LARGE);
    assert_int_equal(conform_load_now(world, 4), STATUS_OK); /* nothing had to go for it */
}

/* Of a large block its first parts come first, verified; and once, before the rest. */
void cases_store_parts(void **state)
{
    struct conform *world = *state;
    for (size_t i = 0; i < CHECK_COUNT(sizes); i++) {
        uint64_t step = record_part_bytes(sizes[i]);
        const uint64_t wanted[] = {
            1, step - 1, step, step + 1, sizes[i] / 2 + 1, sizes[i], sizes[i] + 1};
        assert_int_equal(conform_store_now(world, i, sizes[i]), STATUS_OK);
        for (size_t j = 0; j < CHECK_COUNT(wanted); j++) {
            struct conform_wish wish = {.part_bytes = wanted[j]};
            uint64_t op = 0;
            assert_int_equal(conform_load(world, i, &wish, &op), STATUS_PENDING);
            conform_settle(world);
            assert_int_equal(world->ops[op].status, STATUS_OK);
            assert_true(world->ops[op].parts <= 1);
            if (world->ops[op].parts == 1) {
                assert_true(world->ops[op].part_bytes >= wanted[j]);
            }
            if (world->backend->parts && wanted[j] + step < sizes[i]) {
                assert_int_equal(world->ops[op].parts, 1);
                assert_true(world->ops[op].part_bytes < sizes[i]);
            }
        }
    }
}

/* Hundreds at one time: stores, then loads and stores together. */
void cases_store_many(void **state)
{
    struct conform *world = *state;
    for (uint64_t round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < 300; i++) {
            while (
                conform_store(world, round * 300 + i, conform_size(world, 65536)) == STATUS_BUSY) {
                conform_wait(world);
            }
            uint64_t other = check_random(&world->random) % 300;
            while (round == 1 && conform_load(world, other, NULL, NULL) == STATUS_BUSY) {
                conform_wait(world);
            }
        }
        conform_settle(world);
        assert_int_equal(world->stored, 300 * (round + 1));
    }
    assert_int_equal(world->loaded, 300);
    for (uint64_t i = 0; i < 600; i++) {
        assert_int_equal(world->blocks[i].lost, 0); /* there was room for all */
        assert_int_equal(conform_load_now(world, i), STATUS_OK);
    }
}

void cases_store_small_polls(void **state)
{
    struct conform *world = *state;
    for (uint64_t i = 0; i < 40; i++) {
        while (conform_store(world, i, 1000 + i) == STATUS_BUSY) {
            conform_wait(world);
        }
    }
    assert_int_equal(conform_poll(world, 0), 0);
    while (world->live > 0) {
        if (conform_poll(world, 1) == 0) {
            conform_wait(world);
        }
    }
    assert_int_equal(world->stored, 40);
}

void cases_store_health(void **state)
{
    struct conform *world = *state;
    for (uint64_t i = 0; i < 30; i++) {
        assert_int_equal(conform_store_now(world, i, conform_size(world, 200000)), STATUS_OK);
        assert_int_equal(
            conform_load_now(world, check_random(&world->random) % (i + 1)), STATUS_OK);
    }
    conform_drop(world, 0);
    struct tier_health health = conform_health(world);
    assert_true(health.up);
    assert_int_equal(health.blocks, 29);
    assert_int_equal(health.stores, world->stored);
    assert_int_equal(health.loads, world->loaded);
    assert_int_equal(health.stored_bytes, world->stored_bytes);
    assert_int_equal(health.loaded_bytes, world->loaded_bytes);
    assert_true(health.written_bytes >= health.stored_bytes / 2);
    assert_true(health.read_bytes > 0);
    assert_true(health.used_bytes > 0 && health.used_bytes <= health.capacity_bytes);
    assert_int_equal(health.corrupt + health.errors + health.late + health.dropped, 0);
    assert_true(health.error_worst == 0);
    assert_true(health.load_ns > 0);
}

void cases_store_describe(void **state)
{
    struct conform *world = *state;
    char text[TIER_WHY];
    char cut[8];
    memset(text, 'x', sizeof text);
    world->tier->ops->describe(world->tier, text, sizeof text);
    assert_non_null(memchr(text, '\0', sizeof text));
    assert_non_null(strstr(text, world->place.path));
    assert_null(strchr(text, '\n'));
    world->tier->ops->describe(world->tier, cut, sizeof cut);
    assert_non_null(memchr(cut, '\0', sizeof cut));
    assert_true(world->tier->ops->name[0] != '\0');
}
