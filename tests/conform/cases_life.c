/* cases_life: see cases.h. */
#include "tests/conform/cases.h"

#include "shm/status.h"
#include "tests/conform/conform.h"

#include <string.h>

static void store_some(struct conform *world, uint64_t first, uint64_t count, uint64_t most)
{
    for (uint64_t i = first; i < first + count; i++) {
        assert_int_equal(conform_store_now(world, i, conform_size(world, most)), STATUS_OK);
    }
}

/* Twice as much as there is room for: what is given up is told, the rest is as it was. */
void cases_life_capacity(void **state)
{
    struct conform *world = *state;
    uint64_t bytes = UINT64_C(1) << 20;
    uint64_t count = 2 * conform_health(world).capacity_bytes / bytes;
    uint64_t lost = 0;
    assert_true(count >= 8 && count <= CONFORM_BLOCKS);
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(conform_store_now(world, i, bytes), STATUS_OK);
        struct tier_health health = conform_health(world);
        assert_true(health.used_bytes <= health.capacity_bytes);
    }
    assert_true(world->blocks[count - 1].there);
    for (uint64_t i = 0; i < count; i++) {
        int status = conform_load_now(world, i);
        assert_int_equal(status, world->blocks[i].there ? STATUS_OK : STATUS_MISS);
        assert_true(world->blocks[i].lost <= 1);
        lost += world->blocks[i].lost;
    }
    struct tier_health health = conform_health(world);
    /* A codec may have made room for more. */
    assert_true(lost == 0 ? health.used_bytes < health.capacity_bytes : lost >= count / 8);
    assert_int_equal(health.blocks, count - lost);
    assert_int_equal(health.dropped, lost);
}

void cases_life_reopen(void **state)
{
    struct conform *world = *state;
    store_some(world, 0, 60, 300000);
    conform_drop(world, 59);
    for (int life = 0; life < 3; life++) {
        conform_reopen(world);
        conform_wait_found(world, 0, 59);
        for (uint64_t i = 0; i < 59; i++) {
            assert_int_equal(world->blocks[i].found, 1);
            assert_int_equal(conform_load_now(world, i), STATUS_OK);
            assert_int_equal(conform_store(world, i, 0), STATUS_OK); /* here already */
        }
        uint64_t fresh = 100 + (uint64_t)life;
        assert_int_equal(conform_load_now(world, fresh), STATUS_MISS);
        store_some(world, fresh, 1, 300000);
        assert_int_equal(conform_load_now(world, fresh), STATUS_OK);
    }
    conform_reopen(world);
    conform_wait_found(world, 0, 110);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(conform_load_now(world, 100 + i), STATUS_OK);
    }
}

/* What was accepted and stored before the end is there again; what was not is not half there. */
void cases_life_close_under_way(void **state)
{
    struct conform *world = *state;
    store_some(world, 0, 20, 200000);
    for (uint64_t i = 0; i < 60; i++) {
        (void)conform_store(world, 20 + i, conform_size(world, 200000));
        (void)conform_load(world, i % 20, NULL, NULL);
    }
    conform_reopen(world);
    conform_wait_found(world, 0, 20);
    conform_settle(world);
    for (uint64_t i = 0; i < 80; i++) {
        int status = conform_load_now(world, i);
        assert_true(status == STATUS_OK || (i >= 20 && status == STATUS_MISS));
    }
}

void cases_life_second_opener(void **state)
{
    struct conform *world = *state;
    struct tier *second = NULL;
    char why[TIER_WHY] = "";
    int status = world->backend->open(&world->place, &second, why, sizeof why);
    assert_int_equal(status, STATUS_BUSY);
    assert_null(second);
    assert_non_null(strstr(why, world->place.path));
    store_some(world, 0, 1, 5000); /* the first one did not notice */
    assert_int_equal(conform_load_now(world, 0), STATUS_OK);
}

void cases_life_late(void **state)
{
    struct conform *world = *state;
    struct conform_wish past = {.deadline_ns = 1};
    uint64_t op = 0;
    store_some(world, 0, 1, 5000);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(conform_load(world, 0, &past, &op), STATUS_PENDING);
        conform_settle(world);
        assert_int_equal(world->ops[op].status, STATUS_MISS);
        assert_int_equal(world->ops[op].parts, 0);
    }
    assert_int_equal(conform_health(world).late, 3);
    assert_int_equal(conform_health(world).loads, 0);
    assert_int_equal(world->blocks[0].lost, 0);
    assert_int_equal(conform_load_now(world, 0), STATUS_OK); /* late is not gone */
}

void cases_life_urgent(void **state)
{
    struct conform *world = *state;
    struct conform_wish ahead = {.urgency = TIER_AHEAD, .quick = true};
    struct conform_wish urgent = {.urgency = TIER_URGENT, .quick = true};
    uint64_t count = 0;
    uint64_t op = 0;
    if (!world->backend->orders) {
        skip(); /* it does everything at once */
    }
    for (uint64_t i = 0; i < 24; i++) {
        assert_int_equal(conform_store_now(world, i, UINT64_C(1) << 20), STATUS_OK);
    }
    while (count < 400 && conform_load(world, count % 23, &ahead, NULL) == STATUS_PENDING) {
        count++;
    }
    while (conform_load(world, 23, &urgent, &op) == STATUS_BUSY) {
        conform_wait(world);
    }
    while (conform_poll(world, 64) > 0) {
    }
    uint64_t before = world->ended; /* these were faster than we */
    uint64_t waiting = world->live;
    conform_settle(world);
    assert_int_equal(world->ops[op].status, STATUS_OK);
    uint64_t order = world->ops[op].order < before ? 0 : world->ops[op].order - before;
    printf("urgent: %llu of %llu that waited ended before it\n", (unsigned long long)order,
        (unsigned long long)waiting);
    if (waiting < 32) {
        skip(); /* this disk is too fast for a queue */
    }
    assert_true(order < waiting * 3 / 4);
}

/* Damage beneath an open tier: never wrong bytes, a counter, and room for a fresh copy. */
static void damage(struct conform *world, bool tear)
{
    uint64_t spoiled = 0;
    store_some(world, 0, 40, 300000);
    for (uint64_t i = 0; i < 40; i += 2) {
        struct tier_id id = conform_id(i);
        uint64_t random = check_random(&world->random);
        assert_true(world->backend->spoil(&world->place, &id, tear, random));
        spoiled++;
    }
    for (uint64_t i = 0; i < 40; i++) {
        assert_int_equal(conform_load_now(world, i), i % 2 == 0 ? STATUS_MISS : STATUS_OK);
    }
    assert_int_equal(conform_health(world).corrupt, spoiled);
    for (uint64_t i = 0; i < 40; i += 2) {
        assert_int_equal(conform_load_now(world, i), STATUS_MISS);
        assert_int_equal(conform_store_now(world, i, 0), STATUS_OK);
        assert_int_equal(conform_load_now(world, i), STATUS_OK);
    }
    assert_int_equal(conform_health(world).corrupt, spoiled);
}

void cases_life_corrupt(void **state)
{
    damage(*state, false);
}

void cases_life_torn(void **state)
{
    damage(*state, true);
}

void cases_life_spoiled_while_closed(void **state)
{
    struct conform *world = *state;
    store_some(world, 0, 20, 300000);
    tier_close(world->tier, CONFORM_WAIT_NS);
    for (uint64_t i = 0; i < 20; i += 2) {
        struct tier_id id = conform_id(i);
        assert_true(
            world->backend->spoil(&world->place, &id, i % 4 == 0, check_random(&world->random)));
    }
    char why[TIER_WHY] = "";
    assert_int_equal(world->backend->open(&world->place, &world->tier, why, sizeof why), STATUS_OK);
    for (uint64_t i = 1; i < 20; i += 2) {
        conform_wait_found(world, i, 1);
    }
    for (uint64_t i = 0; i < 20; i++) {
        assert_int_equal(conform_load_now(world, i), i % 2 == 0 ? STATUS_MISS : STATUS_OK);
    }
    assert_true(conform_health(world).corrupt > 0);
}

/* Written under another key: refused at open, or every block is a miss. Never wrong bytes. */
void cases_life_other_key(void **state)
{
    struct conform *world = *state;
    char why[TIER_WHY] = "";
    if (!world->backend->sealed) {
        skip();
    }
    store_some(world, 0, 10, 100000);
    tier_close(world->tier, CONFORM_WAIT_NS);
    world->tier = NULL;
    place_write_key(&world->place, 'b');
    int status = world->backend->open(&world->place, &world->tier, why, sizeof why);
    if (status != STATUS_OK) {
        assert_int_equal(status, STATUS_DENIED);
        assert_non_null(strstr(why, "key"));
        return;
    }
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(conform_load_now(world, i), STATUS_MISS);
    }
    store_some(world, 0, 10, 100000);
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(conform_load_now(world, i), STATUS_OK);
    }
}
