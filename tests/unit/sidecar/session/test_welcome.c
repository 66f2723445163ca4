/* welcome: what a hello gets: a namespace, quotas, descriptors; or a refusal with a remedy. */
#include "tests/unit/sidecar/session/world.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXTENTS 16u /* 256 slots, 1 MiB */
#define ISOLATED_UID 2000u

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

static void refused(const struct hello *hello, uint32_t uid, int status, const char *part)
{
    struct player player;
    uint32_t attached = world.table.attached;
    uint64_t promised = world.table.promised_bytes;
    uint64_t count = world_count(&world, COUNTER_sessions_refused);
    assert_int_equal(player_greet(&player, &world, hello, uid), status);
    if (strstr(player.welcome.why, part) == NULL) {
        fail_msg("'%s' does not say '%s'", player.welcome.why, part);
    }
    assert_int_equal(player.fd_count, 0);
    assert_int_equal(world.table.attached, attached);
    assert_int_equal(world.table.promised_bytes, promised);
    assert_int_equal(world.table.greetings, 0);
    assert_int_equal(world_count(&world, COUNTER_sessions_refused), count + 1);
    player_leave(&player);
}

static void every_wrong_field_is_refused_with_its_name(void **state)
{
    (void)state;
    struct hello hello = world_hello("a");
    hello.seats = 0;
    refused(&hello, WORLD_UID, STATUS_INVALID, "threads");
    hello.seats = LANE_SEATS_MAX + 1;
    refused(&hello, WORLD_UID, STATUS_INVALID, "threads");
    hello = world_hello("a");
    hello.pins = 0;
    refused(&hello, WORLD_UID, STATUS_INVALID, "pins");
    hello.pins = LANE_PINS_MAX + 1;
    refused(&hello, WORLD_UID, STATUS_INVALID, "pins");
    hello = world_hello("a");
    hello.grants = 0;
    refused(&hello, WORLD_UID, STATUS_INVALID, "grants");
    hello = world_hello("");
    refused(&hello, WORLD_UID, STATUS_INVALID, "'name'");
    hello = world_hello("a");
    memset(hello.space.model, 'm', sizeof hello.space.model);
    refused(&hello, WORLD_UID, STATUS_INVALID, "'model'");
    hello = world_hello("a");
    hello.space.name[40] = 'x'; /* behind the end of the text */
    refused(&hello, WORLD_UID, STATUS_INVALID, "'name'");
    hello = world_hello("a");
    hello.space.tp_rank = 1;
    refused(&hello, WORLD_UID, STATUS_INVALID, "'tp_rank'");
    hello = world_hello("a");
    hello.space.block_bytes = WORLD_PER * WORLD_SLOT + 1;
    refused(&hello, WORLD_UID, STATUS_TOO_LARGE, "extent");
}

static void another_namespace_under_a_used_name_is_refused(void **state)
{
    (void)state;
    struct player first;
    struct player stranger;
    struct hello hello = world_hello("shared");
    player_enter(&first, &world, &hello);
    hello.space.heads = 12;
    refused(&hello, WORLD_UID, STATUS_NAMESPACE, "heads");
    hello = world_hello("shared");
    (void)snprintf(hello.space.dtype, sizeof hello.space.dtype, "bfloat16");
    refused(&hello, WORLD_UID, STATUS_NAMESPACE, "dtype");
    /* A user who is not trusted has the name to himself. */
    world.config.trusted_users = (struct config_users){.count = 1, .uid = {WORLD_UID}};
    assert_int_equal(player_greet(&stranger, &world, &hello, ISOLATED_UID), STATUS_OK);
    assert_int_not_equal(stranger.welcome.space, first.welcome.space);
    player_leave(&first);
    player_leave(&stranger);
}

/* 90 % of the pool is promised, a quarter of what is left to each: it gets less, and never zero. */
static void isolated_pins_are_a_quarter_of_what_is_left(void **state)
{
    (void)state;
    struct player players[64];
    struct hello hello = world_hello("a");
    uint64_t pool = world.pool.bytes;
    uint64_t left = pool / 100 * 90;
    hello.pins = LANE_PINS_MAX;
    hello.seats = 2;
    hello.flags = HELLO_ISOLATED;
    uint32_t count = 0;
    while (count < 64 && left / 4 / WORLD_SLOT / 2 > 0) {
        player_enter(&players[count], &world, &hello);
        assert_int_equal(players[count].welcome.pins, left / 4 / WORLD_SLOT / 2);
        assert_int_equal(players[count].welcome.seats, 2);
        left -= (uint64_t)players[count].welcome.pins * 2 * WORLD_SLOT;
        count++;
    }
    assert_in_range(count, 8, 63);
    assert_int_equal(world.table.promised_bytes, pool / 100 * 90 - left);
    refused(&hello, WORLD_UID, STATUS_LIMIT, "pool");
    /* What leaves is promised again. */
    uint32_t pins = players[0].welcome.pins;
    session_end(players[0].session, true);
    player_leave(&players[0]);
    player_enter(&players[0], &world, &hello);
    assert_in_range(players[0].welcome.pins, 1, pins);
    for (uint32_t i = 0; i < count; i++) {
        player_leave(&players[i]);
    }
}

static void trusted_pins_are_half_of_the_pool(void **state)
{
    (void)state;
    struct player players[3];
    struct hello hello = world_hello("a");
    hello.pins = LANE_PINS_MAX;
    hello.seats = 4;
    /* However many others there are, and they take nothing from what isolated ones are promised. */
    for (uint32_t i = 0; i < 3; i++) {
        player_enter(&players[i], &world, &hello);
        assert_int_equal(players[i].welcome.pins, world.pool.bytes / 2 / WORLD_SLOT / 4);
    }
    assert_int_equal(world.table.promised_bytes, 0);
    for (uint32_t i = 0; i < 3; i++) {
        player_leave(&players[i]);
    }
}

static void modest_wishes_are_granted_as_they_are(void **state)
{
    (void)state;
    struct player player;
    struct hello hello = world_hello("a");
    hello.seats = 3;
    hello.pins = 5;
    hello.grants = 7;
    player_enter(&player, &world, &hello);
    assert_int_equal(player.welcome.seats, 3);
    assert_int_equal(player.welcome.pins, 5);
    assert_int_equal(player.welcome.grants, 7);
    assert_int_equal(player.welcome.session, player.number);
    assert_int_equal(player.welcome.epoch, world.gifts.epoch);
    assert_int_equal(world_count(&world, COUNTER_sessions_now), 1);
    player_leave(&player);
}

static void grants_are_at_most_a_share_of_the_pool(void **state)
{
    (void)state;
    struct player player;
    struct hello hello = world_hello("a");
    hello.grants = UINT32_MAX;
    world.config.grants_share = 10;
    player_enter(&player, &world, &hello);
    assert_int_equal(player.welcome.grants, world.pool.bytes / 100 * 10 / WORLD_SLOT);
    player_leave(&player);
    /* A block of a sixteenth of the pool: a tenth of it still is one. */
    hello = world_hello("large");
    hello.grants = UINT32_MAX;
    hello.space.block_bytes = WORLD_PER * WORLD_SLOT;
    player_enter(&player, &world, &hello);
    assert_int_equal(player.welcome.grants, 1);
    player_leave(&player);
}

static void a_user_and_all_users_have_limits(void **state)
{
    (void)state;
    struct player players[3];
    struct player late;
    struct hello hello = world_hello("a");
    world.config.sessions_per_user = 2;
    world.config.sessions = 3;
    player_enter(&players[0], &world, &hello);
    player_enter(&players[1], &world, &hello);
    refused(&hello, WORLD_UID, STATUS_LIMIT, "sessions_per_user");
    assert_int_equal(player_greet(&players[2], &world, &hello, WORLD_UID + 1), STATUS_OK);
    refused(&hello, WORLD_UID + 2, STATUS_LIMIT, "'sessions'");
    /* Who is revoked still has a lane, and counts. */
    session_revoke(players[0].session, "test");
    world.config.sessions = 4;
    refused(&hello, WORLD_UID, STATUS_LIMIT, "sessions_per_user");
    session_end(players[0].session, false);
    assert_int_equal(player_greet(&late, &world, &hello, WORLD_UID), STATUS_OK);
    player_leave(&late);
    for (uint32_t i = 0; i < 3; i++) {
        player_leave(&players[i]);
    }
}

static bool can_map_for_writing(int fd)
{
    void *base = mmap(NULL, LAYOUT_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        return false;
    }
    (void)munmap(base, LAYOUT_PAGE_BYTES);
    return true;
}

static void check_writable(const struct player *player, enum hello_fd which, bool writable)
{
    int fd = player->fds[which];
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, writable ? O_RDWR : O_RDONLY);
    assert_int_equal(can_map_for_writing(fd), writable);
    if (!writable) {
        assert_int_equal(write(fd, "x", 1), -1);
        assert_int_not_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
    }
}

static void a_trusted_client_may_write_the_pool_and_nothing_else_of_ours(void **state)
{
    (void)state;
    struct player player;
    struct hello hello = world_hello("a");
    assert_int_equal(player_greet(&player, &world, &hello, WORLD_UID), STATUS_OK);
    assert_int_equal(player.fd_count, HELLO_FD_STAGING);
    assert_int_equal(player.welcome.flags & WELCOME_ISOLATED, 0);
    check_writable(&player, HELLO_FD_INDEX, false);
    check_writable(&player, HELLO_FD_LANE_CLIENT, true);
    check_writable(&player, HELLO_FD_LANE_SERVER, false);
    check_writable(&player, HELLO_FD_POOL, true);
    player_leave(&player);
}

static void an_isolated_client_may_write_its_staging_alone(void **state)
{
    (void)state;
    struct player player;
    struct hello hello = world_hello("a");
    world.config.trusted_users = (struct config_users){.count = 1, .uid = {WORLD_UID}};
    for (int i = 0; i < 2; i++) {
        /* By the operator's word, and by its own wish. */
        hello.flags = i == 0 ? 0 : HELLO_ISOLATED;
        uint32_t uid = i == 0 ? ISOLATED_UID : WORLD_UID;
        assert_int_equal(player_greet(&player, &world, &hello, uid), STATUS_OK);
        assert_int_equal(player.fd_count, HELLO_FD_MAX);
        assert_int_equal(player.welcome.flags & WELCOME_ISOLATED, WELCOME_ISOLATED);
        check_writable(&player, HELLO_FD_POOL, false);
        check_writable(&player, HELLO_FD_INDEX, false);
        check_writable(&player, HELLO_FD_STAGING, true);
        assert_int_equal(
            player.welcome.staging_bytes, (uint64_t)player.welcome.grants * WORLD_SLOT);
        player_leave(&player);
    }
}

static void every_client_gets_a_lane_of_new_memory(void **state)
{
    (void)state;
    struct player first;
    struct player second;
    struct hello hello = world_hello("a");
    player_enter(&first, &world, &hello);
    memset(first.lane_client.base, 0x5a, first.lane_client.bytes);
    session_end(first.session, true);
    player_enter(&second, &world, &hello);
    const unsigned char *bytes = second.lane_client.base;
    const struct lane_client_header *header = second.lane_client.base;
    assert_int_equal(shared32_load_relaxed(&header->event_head), 0);
    for (uint64_t i = LAYOUT_PAGE_BYTES; i < second.lane_client.bytes; i++) {
        assert_int_equal(bytes[i], 0);
    }
    /* The first one's stores reach nobody any more. */
    memset(first.lane_client.base, 0xa5, first.lane_client.bytes);
    assert_int_equal(bytes[second.lane_client.bytes - 1], 0);
    assert_int_equal(dispatch_turn(&world.table), 0);
    player_leave(&first);
    player_leave(&second);
}

static void an_observer_gets_the_index_to_read_and_the_lines(void **state)
{
    (void)state;
    int ends[2];
    int fds[HELLO_FD_MAX];
    uint32_t count = 0;
    struct welcome welcome;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    welcome_observe(ends[0], &world.gifts, "pid 7\n");
    assert_int_equal(
        hello_receive(ends[1], &welcome, sizeof welcome, fds, HELLO_FD_MAX, &count), STATUS_OK);
    assert_int_equal(count, 1);
    assert_int_equal(welcome.fds, 1);
    assert_string_equal(welcome.info, "pid 7\n");
    assert_false(can_map_for_writing(fds[0]));
    struct segment segment = SEGMENT_NONE;
    assert_int_equal(segment_map(fds[0], welcome.index_bytes, false, &segment), STATUS_OK);
    segment_close(&segment);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_WORLD(every_wrong_field_is_refused_with_its_name),
        IN_WORLD(another_namespace_under_a_used_name_is_refused),
        IN_WORLD(isolated_pins_are_a_quarter_of_what_is_left),
        IN_WORLD(trusted_pins_are_half_of_the_pool),
        IN_WORLD(modest_wishes_are_granted_as_they_are),
        IN_WORLD(grants_are_at_most_a_share_of_the_pool),
        IN_WORLD(a_user_and_all_users_have_limits),
        IN_WORLD(a_trusted_client_may_write_the_pool_and_nothing_else_of_ours),
        IN_WORLD(an_isolated_client_may_write_its_staging_alone),
        IN_WORLD(every_client_gets_a_lane_of_new_memory),
        IN_WORLD(an_observer_gets_the_index_to_read_and_the_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
