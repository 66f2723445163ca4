/* session_adopt: lanes outlive their server: swept, lent to, given up by their process alone. */
#include "tests/check.h"

#include "tests/unit/sidecar/session/world.h"

#include "sidecar/block/evict.h"
#include "sidecar/block/pool_class.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OLD_EPOCH 6u
#define NUMBER 41u

/* What the server before held of a client: a lane, and the pidfd of a process. */
struct old_lane {
    struct lane_shape shape;
    struct segment client;
    struct session_record record;
    int fds[SESSION_FDS];
    uint32_t pins_slot;
};

static int pidfd_of(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static void make_old(struct old_lane *old, struct world *world, pid_t pid)
{
    struct segment server = SEGMENT_NONE;
    struct registry_record space = {.space = world_hello("old").space};
    *old = (struct old_lane){.shape = {.seats = 2, .pins = 8}, .client = SEGMENT_NONE};
    assert_int_equal(
        segment_make("old-client", lane_client_bytes(&old->shape), false, &old->client), STATUS_OK);
    assert_int_equal(
        segment_make("old-server", lane_server_bytes(&old->shape), false, &server), STATUS_OK);
    old->record = (struct session_record){.block_bytes = WORLD_SLOT,
        .promised_bytes = 0,
        .epoch = OLD_EPOCH,
        .uid = WORLD_UID,
        .pid = pid,
        .space = 9,
        .seats = 2,
        .pins = 8};
    old->fds[0] = fcntl(old->client.fd, F_DUPFD_CLOEXEC, 0);
    old->fds[1] = fcntl(server.fd, F_DUPFD_CLOEXEC, 0);
    old->fds[2] = pidfd_of(pid);
    segment_close(&server);
    if (world->blocks.pool.devices == 0) { /* else a ledger would have to say of which tier it is */
        assert_int_equal(pool_class_adopt(&world->blocks, 0, WORLD_SLOT), STATUS_OK);
    }
    assert_int_equal(registry_adopt(&world->table.registry, 9, &space), STATUS_OK);
}

static void pin_old(const struct old_lane *old, uint32_t seat, uint32_t slot)
{
    struct lane_client_header *header = old->client.base;
    /* Its server part is not needed to pin. */
    struct lane_seat at = lane_seat_at(&old->shape, old->client.base, old->client.base, seat);
    shared32_store_release(&at.pins[0], slot + 1);
    shared32_store_release(&at.client->pins_high, 1);
    shared32_store_release(&header->seats_used, seat + 1);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void test_its_pins_are_swept(void **state)
{
    (void)state;
    struct world world;
    struct old_lane old;
    uint8_t marks[4 * WORLD_PER] = {[3] = PIN_VICTIM, [5] = PIN_VICTIM, [7] = PIN_VICTIM};
    world_open(&world, 4);
    make_old(&old, &world, getpid());
    pin_old(&old, 0, 3);
    pin_old(&old, 1, 7);
    assert_int_equal(session_adopt(&world.table, NUMBER, &old.record, old.fds), STATUS_OK);
    assert_int_equal(session_sweep(&world.table, marks, world.blocks.index.slots), 0);
    assert_int_equal(marks[3], PIN_PINNED);
    assert_int_equal(marks[5], PIN_VICTIM);
    assert_int_equal(marks[7], PIN_PINNED);
    assert_int_equal(session_find(&world.table, NUMBER)->state, SESSION_REVOKED);
    assert_int_equal(world.table.adopted, 1);
    assert_int_equal(session_count_of(&world.table, WORLD_UID), 0);
    segment_close(&old.client);
    world_close(&world);
}

static void test_what_it_was_lent_comes_home_with_its_end(void **state)
{
    (void)state;
    struct world world;
    struct old_lane old;
    uint32_t slot;
    uint64_t generation;
    world_open(&world, 4);
    make_old(&old, &world, getpid());
    assert_int_equal(session_adopt(&world.table, NUMBER, &old.record, old.fds), STATUS_OK);
    struct session *session = session_find(&world.table, NUMBER);
    assert_int_equal(pool_take(&world.blocks, 0, SLOT_RESERVED, &slot, &generation), STATUS_OK);
    grant_lend(&world.table.grants, &session->lent, NUMBER, slot);
    world_check(&world);
    session_end(session, false);
    world_check(&world);
    assert_int_equal(world_count(&world, COUNTER_slots_lent), 0);
    assert_int_equal(world_count(&world, COUNTER_sessions_now), 0);
    assert_null(session_find(&world.table, NUMBER));
    segment_close(&old.client);
    world_close(&world);
}

static void test_it_ends_with_its_process(void **state)
{
    (void)state;
    struct world world;
    struct old_lane old;
    pid_t pid = fork();
    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    world_open(&world, 4);
    make_old(&old, &world, pid);
    assert_int_equal(session_adopt(&world.table, NUMBER, &old.record, old.fds), STATUS_OK);
    assert_true(loop_turn(world.loop, 0) >= 0);
    assert_non_null(session_find(&world.table, NUMBER));
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(loop_turn(world.loop, 1000000000), 1);
    assert_null(session_find(&world.table, NUMBER));
    segment_close(&old.client);
    world_close(&world);
}

static void test_only_its_own_process_gives_it_up(void **state)
{
    (void)state;
    struct world world;
    struct old_lane old;
    struct player player;
    struct hello hello = world_hello("new");
    world_open(&world, 4);
    make_old(&old, &world, getpid());
    assert_int_equal(session_adopt(&world.table, NUMBER, &old.record, old.fds), STATUS_OK);
    player_enter(&player, &world, &hello);
    struct session *session = player.session;
    assert_false(session_give_up(session, NUMBER + 1, OLD_EPOCH));
    assert_false(session_give_up(session, NUMBER, OLD_EPOCH + 1));
    assert_false(session_give_up(session, session->number, world.gifts.epoch));
    session->uid++;
    assert_false(session_give_up(session, NUMBER, OLD_EPOCH));
    session->uid--;
    session->pid++;
    assert_false(session_give_up(session, NUMBER, OLD_EPOCH));
    session->pid--;
    assert_non_null(session_find(&world.table, NUMBER));
    assert_true(session_give_up(session, NUMBER, OLD_EPOCH));
    assert_null(session_find(&world.table, NUMBER));
    assert_int_equal(world.table.adopted, 0);
    segment_close(&old.client);
    player_leave(&player);
    world_close(&world);
}

static void test_slots_that_only_they_read_rest_until_all_are_gone(void **state)
{
    (void)state;
    struct world world;
    struct old_lane old;
    uint32_t slot;
    uint64_t generation;
    world_open(&world, 4);
    make_old(&old, &world, getpid());
    assert_int_equal(session_adopt(&world.table, NUMBER, &old.record, old.fds), STATUS_OK);
    assert_int_equal(pool_take(&world.blocks, 0, SLOT_LOADING, &slot, &generation), STATUS_OK);
    world.blocks.pool.next[slot] = POOL_NONE;
    world.table.read_on = (struct adopt_chain){.first = slot, .count = 1};
    assert_int_equal(world.blocks.quarantine.count, 0);
    session_end(session_find(&world.table, NUMBER), true);
    assert_int_equal(world.table.read_on.count, 0);
    assert_int_equal(world.blocks.quarantine.count, 1);
    segment_close(&old.client);
    world_close(&world);
}

static void test_it_has_its_device_again_if_that_can_be_used(void **state)
{
    (void)state;
    for (int usable = 0; usable < 2; usable++) {
        struct world world;
        struct old_lane old;
        world_open_tiers(&world, 4, 4);
        make_old(&old, &world, getpid());
        old.record.device = 1;
        if (usable == 0) {
            pool_tier_off(&world.blocks.pool, SLOT_TIER_DEVICE);
        }
        assert_int_equal(session_adopt(&world.table, NUMBER, &old.record, old.fds), STATUS_OK);
        const struct session *session = session_find(&world.table, NUMBER);
        assert_int_equal(session->device, usable == 0 ? SESSION_NO_DEVICE : 0);
        uint32_t users = 0;
        for (uint32_t i = 0; i < world.blocks.pool.class_count; i++) {
            users += world.blocks.pool.classes[i].users;
        }
        assert_int_equal(users, 1 + usable);
        session_end(session_find(&world.table, NUMBER), true);
        for (uint32_t i = 0; i < world.blocks.pool.class_count; i++) {
            assert_int_equal(world.blocks.pool.classes[i].users, 0);
        }
        segment_close(&old.client);
        world_close(&world);
    }
}

static void test_a_record_that_does_not_fit_is_refused_whole(void **state)
{
    (void)state;
    for (int how = 0; how < 8; how++) {
        struct world world;
        struct old_lane old;
        uint32_t number = NUMBER;
        world_open(&world, 4);
        make_old(&old, &world, getpid());
        switch (how) {
        case 0:
            number = 0;
            break;
        case 1:
            old.record.seats = LANE_SEATS_MAX + 1;
            break;
        case 2:
            old.record.pins = 0;
            break;
        case 3:
            old.record.pins = 4096; /* the lane is smaller than that */
            break;
        case 4:
            old.record.space = 10;
            break;
        case 5:
            old.record.block_bytes = UINT64_MAX;
            break;
        case 6:
            old.record.device = 1; /* the pool has none */
            break;
        default:
            (void)close(old.fds[2]);
            old.fds[2] = fcntl(world.log_fd, F_DUPFD_CLOEXEC, 0); /* a file, and no process */
            break;
        }
        int fds[SESSION_FDS] = {old.fds[0], old.fds[1], old.fds[2]};
        assert_int_not_equal(session_adopt(&world.table, number, &old.record, old.fds), STATUS_OK);
        for (uint32_t i = 0; i < SESSION_FDS; i++) {
            assert_false(is_open(fds[i]));
        }
        assert_int_equal(world.table.active_count, 0);
        assert_int_equal(world.blocks.pool.classes[0].users, 0);
        segment_close(&old.client);
        world_close(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_its_pins_are_swept),
        cmocka_unit_test(test_what_it_was_lent_comes_home_with_its_end),
        cmocka_unit_test(test_it_ends_with_its_process),
        cmocka_unit_test(test_only_its_own_process_gives_it_up),
        cmocka_unit_test(test_slots_that_only_they_read_rest_until_all_are_gone),
        cmocka_unit_test(test_it_has_its_device_again_if_that_can_be_used),
        cmocka_unit_test(test_a_record_that_does_not_fit_is_refused_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
