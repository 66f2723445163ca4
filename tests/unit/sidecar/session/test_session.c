/* session: what a client was lent stands while its process may use it, and comes home after it. */
#include "tests/unit/sidecar/session/world.h"

#include "sidecar/block/admit.h"
#include "sidecar/block/claim.h"
#include "sidecar/block/evict.h"
#include "sidecar/block/quarantine.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXTENTS 16u

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

/* Which slots does the sweep find pinned, when `slot` is a victim? */
static bool sweep_sees(uint32_t slot, uint32_t *out_wild)
{
    uint8_t marks[EXTENTS * WORLD_PER] = {0};
    marks[slot] = PIN_VICTIM;
    *out_wild = session_sweep(&world.table, marks, EXTENTS * WORLD_PER);
    return marks[slot] == PIN_PINNED;
}

static void the_sweep_sees_pins_of_the_attached_and_of_the_revoked(void **state)
{
    (void)state;
    struct player player;
    struct hello hello = world_hello("a");
    uint32_t wild = 0;
    uint32_t record;
    hello.seats = 3;
    player_enter(&player, &world, &hello);
    assert_true(pin_take(&player.seats[2].pins, 7, &record));
    pin_fence();
    assert_true(sweep_sees(7, &wild));
    assert_false(sweep_sees(8, &wild));
    assert_int_equal(wild, 0);
    session_revoke(player.session, "test");
    assert_int_equal(player.session->state, SESSION_REVOKED);
    assert_true(sweep_sees(7, &wild));
    /* It may pin more: it reads on until its process ends. */
    assert_true(pin_take(&player.seats[0].pins, 8, &record));
    assert_true(sweep_sees(8, &wild));
    session_end(player.session, false);
    assert_false(sweep_sees(7, &wild));
    assert_false(sweep_sees(8, &wild));
    player_leave(&player);
}

static void wild_pins_and_marks_are_clamped_and_counted(void **state)
{
    (void)state;
    struct player player;
    struct hello hello = world_hello("a");
    uint32_t wild = 0;
    hello.seats = 2;
    player_enter(&player, &world, &hello);
    struct player_seat *seat = &player.seats[0];
    shared32_store_release(&seat->pins.records[0], EXTENTS * WORLD_PER + 1); /* behind the last */
    shared32_store_release(&seat->pins.records[1], UINT32_MAX);
    shared32_store_release(&seat->pins.records[2], 5 + 1);
    shared32_store_release(seat->pins.high_word, 3);
    assert_true(sweep_sees(5, &wild));
    assert_int_equal(wild, 2);
    shared32_store_release(seat->pins.high_word, UINT32_MAX);
    assert_true(sweep_sees(5, &wild));
    assert_int_equal(wild, 3);
    struct lane_client_header *header = player.lane_client.base;
    shared32_store_release(&header->seats_used, UINT32_MAX);
    assert_true(sweep_sees(5, &wild));
    assert_int_equal(wild, 4);
    player_leave(&player);
}

static void a_revoked_client_keeps_its_slots_until_its_end(void **state)
{
    (void)state;
    struct player player;
    struct hello hello = world_hello("a");
    player_enter(&player, &world, &hello);
    struct reply lent = player_borrow(&player, 0);
    (void)player_borrow(&player, 0);
    session_revoke(player.session, "test");
    assert_int_equal(player.session->lent.count, 2);
    assert_int_equal(grant_borrower(&world.table.grants, lent.slot), player.number);
    assert_int_equal(world_count(&world, COUNTER_slots_lent), 2);
    assert_int_equal(world_count(&world, COUNTER_grants_returned), 0);
    /* No more service. */
    struct request request = {.type = REQUEST_GRANT, .count = 1};
    player_ask(&player, 0, &request);
    assert_int_equal(dispatch_turn(&world.table), 0);
    assert_false(dispatch_pending(&world.table));
    world_check(&world);
    session_end(player.session, false);
    assert_null(session_find(&world.table, player.number));
    assert_int_equal(world_count(&world, COUNTER_slots_lent), 0);
    assert_int_equal(world_count(&world, COUNTER_grants_returned), 2);
    assert_int_equal(world_count(&world, COUNTER_sessions_dead), 1);
    assert_int_equal(world_count(&world, COUNTER_sessions_now), 0);
    player_leave(&player);
}

static void slots_of_late_writers_rest_unless_they_said_goodbye(void **state)
{
    (void)state;
    struct hello hello = world_hello("a");
    for (int clean = 0; clean < 2; clean++) {
        struct player player;
        hello.flags = HELLO_LATE_WRITES;
        player_enter(&player, &world, &hello);
        (void)player_borrow(&player, 0);
        (void)player_borrow(&player, 0);
        session_end(player.session, clean == 1);
        player_leave(&player);
        assert_int_equal(world.blocks.quarantine.count, clean == 1 ? 0 : 2);
        world_check(&world);
        uint64_t rest = world.config.quarantine_ns;
        (void)quarantine_tick(&world.blocks, world.table.now_ns + rest - 1);
        assert_int_equal(world.blocks.quarantine.count, clean == 1 ? 0 : 2);
        assert_int_equal(quarantine_tick(&world.blocks, world.table.now_ns + rest), UINT64_MAX);
        assert_int_equal(world.blocks.quarantine.count, 0);
        assert_int_equal(world_count(&world, COUNTER_slots_lent), 0);
    }
    assert_int_equal(world_count(&world, COUNTER_quarantined), 2);
}

/* Claim, wait, then let the claimer go in two ways. */
static void claims_pass_on_when_the_claimer_is_revoked_or_dies(void **state)
{
    (void)state;
    struct hello hello = world_hello("a");
    for (int died = 0; died < 2; died++) {
        struct player first;
        struct player second;
        player_enter(&first, &world, &hello);
        player_enter(&second, &world, &hello);
        struct request claim = {.type = REQUEST_CLAIM, .cookie = 1, .key = world_key(5)};
        struct request wait = {
            .type = REQUEST_WAIT, .cookie = 2, .timeout_ns = WORLD_MS, .key = world_key(5)};
        assert_int_equal(player_call(&first, 0, &claim).status, STATUS_MINE);
        assert_int_equal(player_call(&second, 0, &claim).status, STATUS_OTHER);
        player_ask(&second, 0, &wait);
        (void)dispatch_turn(&world.table);
        struct reply reply;
        assert_false(player_hear(&second, 0, &reply));
        if (died == 1) {
            session_end(first.session, false);
        } else {
            session_revoke(first.session, "test");
        }
        assert_true(player_hear(&second, 0, &reply));
        assert_int_equal(reply.type, REPLY_WAIT);
        assert_int_equal(reply.status, STATUS_MINE);
        assert_int_equal(reply.cookie, 2);
        assert_int_equal(player_call(&second, 0, &claim).status, STATUS_MINE);
        if (died == 0) {
            session_end(first.session, false);
        }
        session_end(second.session, true);
        player_leave(&first);
        player_leave(&second);
    }
    assert_int_equal(world_count(&world, COUNTER_claims_passed), 2);
}

static void a_pinned_block_is_not_evicted_while_its_reader_lives(void **state)
{
    (void)state;
    struct player reader;
    struct player writer;
    struct hello hello = world_hello("a");
    uint32_t record;
    player_enter(&reader, &world, &hello);
    player_enter(&writer, &world, &hello);
    player_put(&writer, 1);
    struct key key = world_key(1);
    uint32_t slot = admit_find(&world.blocks, &key, (uint16_t)reader.welcome.space);
    assert_true(pin_take(&reader.seats[0].pins, slot, &record));
    session_revoke(reader.session, "test");
    for (uint64_t i = 2; i < 3 * EXTENTS * WORLD_PER; i++) {
        player_put(&writer, i);
    }
    assert_true(world_count(&world, COUNTER_evictions) > EXTENTS * WORLD_PER);
    assert_true(player_sees(&writer, 1));
    session_end(reader.session, false);
    for (uint64_t i = 0; i < 2 * EXTENTS * WORLD_PER; i++) {
        player_put(&writer, 10000 + i);
    }
    assert_false(player_sees(&writer, 1));
    player_leave(&reader);
    player_leave(&writer);
}

static void the_door_holds_a_bounded_number_of_greetings(void **state)
{
    (void)state;
    int ends[SESSION_GREETINGS + 1][2];
    struct session *sessions[SESSION_GREETINGS];
    for (uint32_t i = 0; i <= SESSION_GREETINGS; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends[i]), 0);
    }
    for (uint32_t i = 0; i < SESSION_GREETINGS; i++) {
        sessions[i] = session_new(&world.table, ends[i][0], WORLD_UID, getpid());
        assert_non_null(sessions[i]);
        assert_ptr_equal(session_find(&world.table, sessions[i]->number), sessions[i]);
    }
    assert_null(session_new(&world.table, ends[SESSION_GREETINGS][0], WORLD_UID, getpid()));
    assert_int_equal(session_count_of(&world.table, WORLD_UID), 0);
    session_revoke(sessions[3], "a greeting ends at once");
    assert_int_equal(world.table.greetings, SESSION_GREETINGS - 1);
    assert_int_equal(world.table.active_count, SESSION_GREETINGS - 1);
    for (uint32_t i = 0; i <= SESSION_GREETINGS; i++) {
        (void)close(ends[i][1]);
    }
    (void)close(ends[SESSION_GREETINGS][0]);
}

static void numbers_are_not_used_again_when_a_place_is(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    struct session *old = session_new(&world.table, dup(ends[0]), WORLD_UID, getpid());
    uint32_t number = old->number;
    session_end(old, true);
    world.table.serial = number - 1 + SESSION_PLACES;
    struct session *new = session_new(&world.table, dup(ends[0]), WORLD_UID, getpid());
    assert_int_equal(new->number % SESSION_PLACES, number % SESSION_PLACES);
    assert_null(session_find(&world.table, number));
    assert_ptr_equal(session_find(&world.table, new->number), new);
    /* Around the end of the number's range: never 0, never a place in use. */
    world.table.serial = UINT32_MAX;
    struct session *wrapped = session_new(&world.table, dup(ends[0]), WORLD_UID, getpid());
    assert_int_not_equal(wrapped->number, 0);
    world.table.serial = new->number - 1;
    struct session *beside = session_new(&world.table, dup(ends[0]), WORLD_UID, getpid());
    assert_int_not_equal(session_place(beside), session_place(new));
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_WORLD(the_sweep_sees_pins_of_the_attached_and_of_the_revoked),
        IN_WORLD(wild_pins_and_marks_are_clamped_and_counted),
        IN_WORLD(a_revoked_client_keeps_its_slots_until_its_end),
        IN_WORLD(slots_of_late_writers_rest_unless_they_said_goodbye),
        IN_WORLD(claims_pass_on_when_the_claimer_is_revoked_or_dies),
        IN_WORLD(a_pinned_block_is_not_evicted_while_its_reader_lives),
        IN_WORLD(the_door_holds_a_bounded_number_of_greetings),
        IN_WORLD(numbers_are_not_used_again_when_a_place_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
