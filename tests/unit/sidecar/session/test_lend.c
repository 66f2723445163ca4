/* lend: slots go out up to a limit, from free ones or from evicted ones, and come home. */
#include "tests/unit/sidecar/session/world.h"

#include "sidecar/block/admit.h"
#include "sidecar/session/lend.h"

#include <string.h>

#define EXTENTS 16u
#define SLOTS (EXTENTS * WORLD_PER)

static struct world world;

static int setup(void **state)
{
    (void)state;
    world_open(&world, EXTENTS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_check(&world);
    world_close(&world);
    return 0;
}

static void a_full_pool_evicts_for_a_grant(void **state)
{
    (void)state;
    struct player player;
    struct hello hello = world_hello("a");
    player_enter(&player, &world, &hello);
    for (uint64_t i = 0; i < SLOTS; i++) {
        player_put(&player, i);
    }
    assert_int_equal(world_count(&world, COUNTER_evictions), 0);
    assert_int_equal(world_count(&world, COUNTER_slots_free), 0);
    (void)player_borrow(&player, 0);
    assert_in_range(world_count(&world, COUNTER_evictions), 1, SLOTS);
    assert_int_equal(world_count(&world, COUNTER_slots_lent), 1);
    player_leave(&player);
}

static void what_was_touched_stays_when_room_is_made(void **state)
{
    (void)state;
    struct player player;
    struct hello hello = world_hello("a");
    player_enter(&player, &world, &hello);
    for (uint64_t i = 0; i < SLOTS; i++) {
        player_put(&player, i);
    }
    /* The oldest, used just now: the log is read before victims are chosen. */
    struct key key = world_key(0);
    struct player_seat *seat = &player.seats[0];
    uint32_t slot = admit_find(&world.blocks, &key, (uint16_t)player.welcome.space);
    lane_touch(&seat->lane, &seat->touch_tail, slot);
    lane_touch_publish(&seat->lane, seat->touch_tail);
    (void)player_borrow(&player, 0);
    assert_true(player_sees(&player, 0));
    assert_false(player_sees(&player, 1));
    player_leave(&player);
}

static void pinned_blocks_are_passed_over_and_there_is_room_left(void **state)
{
    (void)state;
    struct player player;
    struct hello hello = world_hello("a");
    hello.pins = 1;
    player_enter(&player, &world, &hello);
    for (uint64_t i = 0; i < SLOTS; i++) {
        player_put(&player, i);
    }
    /* Quotas keep this from one client; here isolated ones pin all that they may, together. */
    hello.pins = LANE_PINS_MAX;
    hello.flags = HELLO_ISOLATED;
    struct player others[63];
    uint32_t count = 0;
    uint32_t slot = 0;
    uint32_t record;
    while (pin_take(&player.seats[0].pins, slot, &record)) {
        slot++;
    }
    while (slot < SLOTS && count < CHECK_COUNT(others) &&
           player_greet(&others[count], &world, &hello, WORLD_UID) == STATUS_OK) {
        player_map(&others[count]);
        while (slot < SLOTS && pin_take(&others[count].seats[0].pins, slot, &record)) {
            slot++;
        }
        count++;
    }
    /* The promise of 90 % leaves something to evict, whatever they pin. */
    assert_in_range(slot, SLOTS / 2, SLOTS * 9 / 10);
    /* One request passes over a few pinned ones only; the next goes on behind them. */
    struct reply reply = {0};
    uint32_t asked = 1;
    while (asked < SLOTS && lend_slot(player.session, false, 1, &reply) != STATUS_OK) {
        world_check(&world);
        asked++;
    }
    assert_in_range(asked, 1, SLOTS - 1);
    assert_in_range(world_count(&world, COUNTER_victims_pinned), 1, UINT32_MAX);
    for (uint32_t i = 0; i < slot; i++) {
        assert_int_equal(slot_state_of(slot_load_state(&world.blocks.index.lines[i])), SLOT_VALID);
    }
    player_leave(&player);
    for (uint32_t i = 0; i < count; i++) {
        player_leave(&others[i]);
    }
    if (slot < SLOTS) {
        player_leave(&others[count]); /* the refused one */
    }
}

static void slots_that_all_are_lent_make_a_grant_busy(void **state)
{
    (void)state;
    struct player players[4];
    struct player late;
    struct hello hello = world_hello("a");
    struct reply reply = {0};
    world.config.grants_share = 25;
    hello.grants = UINT32_MAX;
    hello.pins = 1;
    uint32_t lent = 0;
    for (uint32_t i = 0; i < 4; i++) {
        player_enter(&players[i], &world, &hello);
        while (lend_slot(players[i].session, false, 1, &reply) == STATUS_OK) {
            lent++;
        }
    }
    player_enter(&late, &world, &hello);
    while (lend_slot(late.session, false, 1, &reply) == STATUS_OK) {
        lent++;
    }
    assert_int_equal(lent, SLOTS);
    assert_int_equal(lend_slot(late.session, false, 1, &reply), STATUS_BUSY);
    assert_int_equal(late.session->lent.count, SLOTS - 4 * (SLOTS / 4 - 1));
    /* One comes home, and can be had. */
    lend_return(players[0].session, players[0].session->lent.first);
    assert_int_equal(lend_slot(late.session, false, 1, &reply), STATUS_OK);
    for (uint32_t i = 0; i < 4; i++) {
        player_leave(&players[i]);
    }
    player_leave(&late);
}

/* The bytes are taken at the commit: what the client writes later changes nothing. */
static void an_isolated_commit_is_a_copy(void **state)
{
    (void)state;
    struct player player;
    struct hello hello = world_hello("a");
    struct slot_content content;
    uint64_t generation;
    hello.flags = HELLO_ISOLATED;
    player_enter(&player, &world, &hello);
    player_put(&player, 7);
    memset(player.staging.base, 0xee, player.staging.bytes);
    struct key key = world_key(7);
    uint32_t slot = admit_find(&world.blocks, &key, (uint16_t)player.welcome.space);
    assert_true(slot_snapshot(&world.blocks.index.lines[slot], &content, &generation));
    const char *bytes = (const char *)player.pool.base + content.offset;
    for (uint64_t i = 0; i < WORLD_SLOT; i++) {
        assert_int_equal(bytes[i], 7);
    }
    player_leave(&player);
}

static void an_isolated_commit_into_a_lent_out_pool_is_dropped(void **state)
{
    (void)state;
    struct player writers[4];
    struct player player;
    struct hello hello = world_hello("a");
    struct reply reply = {0};
    hello.pins = 1;
    hello.flags = HELLO_ISOLATED;
    player_enter(&player, &world, &hello);
    struct reply place = player_borrow(&player, 0);
    hello.flags = 0;
    hello.grants = UINT32_MAX;
    world.config.grants_share = 50;
    for (uint32_t i = 0; i < 3; i++) {
        player_enter(&writers[i], &world, &hello);
        while (lend_slot(writers[i].session, false, 1, &reply) == STATUS_OK) {
        }
    }
    assert_int_equal(world_count(&world, COUNTER_slots_lent), SLOTS);
    struct request commit = {.type = REQUEST_COMMIT,
        .slot = place.slot,
        .generation = place.generation,
        .bytes = 64,
        .key = world_key(1)};
    player_ask(&player, 0, &commit);
    assert_int_equal(dispatch_turn(&world.table), 1);
    assert_false(player_sees(&player, 1));
    assert_int_equal(player.session->staging.free_count, player.session->staging.places);
    assert_int_equal(world_count(&world, COUNTER_requests_bad), 0);
    for (uint32_t i = 0; i < 3; i++) {
        player_leave(&writers[i]);
    }
    player_leave(&player);
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_full_pool_evicts_for_a_grant),
        IN_WORLD(what_was_touched_stays_when_room_is_made),
        IN_WORLD(pinned_blocks_are_passed_over_and_there_is_room_left),
        IN_WORLD(slots_that_all_are_lent_make_a_grant_busy),
        IN_WORLD(an_isolated_commit_is_a_copy),
        IN_WORLD(an_isolated_commit_into_a_lent_out_pool_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
