/* door: one server a path; who knocks is let in, refused with a sentence, or ends in silence. */
#include "tests/unit/sidecar/session/world.h"

#include "sidecar/session/door.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXTENTS 16u

static struct world world;
static struct door door;
static char folder[64];
static char path[CONFIG_PATH_BYTES];

static void describe(void *context, char *out_text, size_t text_bytes)
{
    (void)context;
    (void)snprintf(out_text, text_bytes, "pid 1\n");
}

static void fill_door(struct door *of)
{
    *of = (struct door){
        .socket = -1,
        .lock = -1,
        .table = &world.table,
        .gifts = world.gifts,
        .describe = describe,
    };
}

static int setup(void **state)
{
    (void)state;
    char why[512];
    world_open(&world, EXTENTS);
    (void)snprintf(folder, sizeof folder, "/tmp/cistern-door-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/cistern.sock", folder);
    fill_door(&door);
    assert_int_equal(door_open(&door, path, 0600, why, sizeof why), STATUS_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char lock[CONFIG_PATH_BYTES + 8];
    world_check(&world);
    door_close(&door);
    world_close(&world);
    assert_int_equal(access(path, F_OK), -1);
    (void)snprintf(lock, sizeof lock, "%s.lock", path);
    (void)unlink(lock);
    assert_int_equal(rmdir(folder), 0);
    return 0;
}

static int knock(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(client >= 0);
    assert_int_equal(connect(client, (const struct sockaddr *)&address, sizeof address), 0);
    return client;
}

/* Turn the loop until nothing more happens: everything here is local, so it has happened then. */
static void settle(void)
{
    for (int i = 0; i < 100 && loop_turn(world.loop, 0) > 0; i++) {
    }
}

/* Say `bytes` bytes and hear the welcome. Returns its status, or STATUS_NO_SERVER for silence. */
static int say(int client, const void *message, size_t bytes, struct welcome *out_welcome)
{
    int fds[HELLO_FD_MAX];
    uint32_t count = 0;
    struct timeval patience = {.tv_sec = 1};
    assert_int_equal(setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    if (bytes > 0) {
        assert_int_equal(send(client, message, bytes, MSG_NOSIGNAL), bytes);
    }
    settle();
    memset(out_welcome, 0, sizeof *out_welcome);
    int status = hello_receive(client, out_welcome, sizeof *out_welcome, fds, HELLO_FD_MAX, &count);
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        (void)close(fds[i]);
    }
    return status == STATUS_OK ? out_welcome->status : status;
}

static struct session *only_session(void)
{
    assert_int_equal(world.table.active_count, 1);
    return world.table.places[world.table.active[0]];
}

static int attach(void)
{
    struct welcome welcome;
    struct hello hello = world_hello("a");
    int client = knock();
    assert_int_equal(say(client, &hello, sizeof hello, &welcome), STATUS_OK);
    return client;
}

static void a_second_server_is_refused_and_leaves_the_first_alone(void **state)
{
    (void)state;
    char why[512] = "";
    struct door second;
    fill_door(&second);
    assert_int_equal(door_open(&second, path, 0600, why, sizeof why), STATUS_IO);
    assert_non_null(strstr(why, "another sidecar serves"));
    assert_int_equal(second.lock, -1);
    (void)close(attach());
}

static void the_socket_of_a_dead_server_is_replaced(void **state)
{
    (void)state;
    char why[512] = "";
    /* As after a kill: the lock is free, the socket lies there. */
    loop_unwatch(world.loop, door.watch);
    (void)close(door.socket);
    (void)close(door.lock);
    assert_int_equal(access(path, F_OK), 0);
    fill_door(&door);
    assert_int_equal(door_open(&door, path, 0640, why, sizeof why), STATUS_OK);
    struct stat file;
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0640);
    (void)close(attach());
}

static void a_file_that_is_no_socket_is_not_removed(void **state)
{
    (void)state;
    char why[512] = "";
    struct door other;
    char precious[CONFIG_PATH_BYTES + 16];
    char lock[CONFIG_PATH_BYTES + 32];
    (void)snprintf(precious, sizeof precious, "%s/precious", folder);
    (void)snprintf(lock, sizeof lock, "%s.lock", precious);
    int fd = open(precious, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    fill_door(&other);
    assert_int_equal(door_open(&other, precious, 0600, why, sizeof why), STATUS_IO);
    assert_non_null(strstr(why, "no socket"));
    assert_int_equal(unlink(precious), 0);
    assert_int_equal(unlink(lock), 0);
}

static void a_folder_that_cannot_be_made_is_named(void **state)
{
    (void)state;
    char why[512] = "";
    struct door other;
    fill_door(&other);
    assert_int_equal(
        door_open(&other, "/nonexistent/deeper/c.sock", 0600, why, sizeof why), STATUS_IO);
    assert_non_null(strstr(why, "/nonexistent/deeper/c.sock.lock"));
    assert_int_equal(other.lock, -1);
}

static void a_user_who_may_not_attach_is_told_which_list_to_change(void **state)
{
    (void)state;
    struct welcome welcome;
    world.config.allow_users = (struct config_users){.count = 1, .uid = {geteuid() + 1}};
    int client = knock();
    assert_int_equal(say(client, NULL, 0, &welcome), STATUS_DENIED);
    assert_non_null(strstr(welcome.why, "allow_users"));
    assert_int_equal(world.table.active_count, 0);
    assert_int_equal(world_count(&world, COUNTER_sessions_refused), 1);
    (void)close(client);
}

static void junk_is_refused_with_a_sentence(void **state)
{
    (void)state;
    static const struct {
        uint32_t magic;
        uint32_t abi;
        uint32_t kind;
        size_t bytes;
        int status;
    } rows[] = {
        {HELLO_MAGIC + 1, LAYOUT_ABI, HELLO_ATTACH, sizeof(struct hello), STATUS_VERSION},
        {HELLO_MAGIC, LAYOUT_ABI + 1, HELLO_ATTACH, sizeof(struct hello), STATUS_VERSION},
        {HELLO_MAGIC, LAYOUT_ABI, HELLO_ATTACH, sizeof(struct hello) - 1, STATUS_MALFORMED},
        {HELLO_MAGIC, LAYOUT_ABI, HELLO_ATTACH, 1, STATUS_MALFORMED},
        {HELLO_MAGIC, LAYOUT_ABI, HELLO_ATTACH, sizeof(struct hello) + 1, STATUS_MALFORMED},
        {HELLO_MAGIC, LAYOUT_ABI, 0, sizeof(struct hello), STATUS_MALFORMED},
        {HELLO_MAGIC, LAYOUT_ABI, HELLO_GOODBYE, sizeof(struct hello), STATUS_MALFORMED},
        {HELLO_MAGIC, LAYOUT_ABI, UINT32_MAX, sizeof(struct hello), STATUS_MALFORMED},
    };
    for (size_t i = 0; i < CHECK_COUNT(rows); i++) {
        struct welcome welcome;
        struct {
            struct hello hello;
            char more[8];
        } message = {.hello = world_hello("a")};
        message.hello.magic = rows[i].magic;
        message.hello.abi = rows[i].abi;
        message.hello.kind = rows[i].kind;
        int client = knock();
        assert_int_equal(say(client, &message, rows[i].bytes, &welcome), rows[i].status);
        assert_non_null(strstr(welcome.why, "version"));
        assert_int_equal(world.table.active_count, 0);
        char byte;
        assert_int_equal(recv(client, &byte, 1, 0), 0); /* and hung up */
        (void)close(client);
        assert_int_equal(world_count(&world, COUNTER_sessions_refused), i + 1);
    }
}

static void descriptors_sent_along_are_closed(void **state)
{
    (void)state;
    struct welcome welcome;
    struct hello hello = world_hello("a");
    int ends[2];
    char byte;
    assert_int_equal(pipe(ends), 0);
    int client = knock();
    assert_int_equal(hello_send(client, &hello, sizeof hello, &ends[1], 1), STATUS_OK);
    (void)close(ends[1]);
    assert_int_equal(say(client, NULL, 0, &welcome), STATUS_OK);
    assert_int_equal(read(ends[0], &byte, 1), 0); /* nobody holds the other end */
    (void)close(ends[0]);
    (void)close(client);
}

static void an_observer_is_told_and_let_go(void **state)
{
    (void)state;
    struct welcome welcome;
    struct hello hello = {.magic = HELLO_MAGIC, .abi = LAYOUT_ABI, .kind = HELLO_OBSERVE};
    int client = knock();
    assert_int_equal(say(client, &hello, sizeof hello, &welcome), STATUS_OK);
    assert_string_equal(welcome.info, "pid 1\n");
    assert_int_equal(world.table.active_count, 0);
    assert_int_equal(world_count(&world, COUNTER_sessions_opened), 0);
    (void)close(client);
}

static void who_says_nothing_is_sent_away_or_forgotten(void **state)
{
    (void)state;
    char byte;
    int client = knock();
    settle();
    world.table.now_ns += 100 * DOOR_GREETING_NS; /* of the sleep that it ended */
    door_tick(&door);
    assert_int_equal(only_session()->state, SESSION_GREETING);
    world.table.now_ns += DOOR_GREETING_NS;
    door_tick(&door);
    assert_int_equal(world.table.active_count, 1);
    world.table.now_ns += 1;
    door_tick(&door);
    assert_int_equal(world.table.active_count, 0);
    assert_int_equal(recv(client, &byte, 1, 0), 0);
    (void)close(client);
    client = knock(); /* or goes by itself */
    settle();
    (void)close(client);
    settle();
    assert_int_equal(world.table.active_count, 0);
    assert_int_equal(world.table.greetings, 0);
    client = attach(); /* and may then be silent for ever */
    world.table.now_ns += 100 * DOOR_GREETING_NS;
    door_tick(&door);
    assert_int_equal(only_session()->state, SESSION_ATTACHED);
    (void)close(client);
}

static void the_door_bounds_who_waits_at_it(void **state)
{
    (void)state;
    struct welcome welcome;
    int clients[SESSION_GREETINGS];
    for (uint32_t i = 0; i < SESSION_GREETINGS; i++) {
        clients[i] = knock();
        settle();
    }
    int late = knock();
    assert_int_equal(say(late, NULL, 0, &welcome), STATUS_LIMIT);
    assert_non_null(strstr(welcome.why, "wait at the door"));
    (void)close(late);
    (void)close(clients[0]);
    settle();
    clients[0] = attach();
    for (uint32_t i = 0; i < SESSION_GREETINGS; i++) {
        (void)close(clients[i]);
    }
}

static void a_goodbye_ends_a_session_and_a_hang_up_only_revokes_it(void **state)
{
    (void)state;
    struct hello goodbye = {.magic = HELLO_MAGIC, .abi = LAYOUT_ABI, .kind = HELLO_GOODBYE};
    int client = attach();
    assert_int_equal(send(client, &goodbye, sizeof goodbye, 0), sizeof goodbye);
    settle();
    assert_int_equal(world.table.active_count, 0);
    assert_int_equal(world_count(&world, COUNTER_sessions_closed), 1);
    (void)close(client);
    client = attach();
    (void)close(client);
    settle();
    assert_int_equal(only_session()->state, SESSION_REVOKED);
    assert_int_equal(world_count(&world, COUNTER_sessions_closed), 1);
    assert_int_equal(world_count(&world, COUNTER_sessions_dead), 0);
}

static void an_attached_client_that_talks_is_revoked(void **state)
{
    (void)state;
    struct hello hello = world_hello("a");
    for (int i = 0; i < 3; i++) {
        int client = attach();
        const size_t bytes[] = {1, sizeof hello, 0}; /* junk, a second hello, nothing at all */
        assert_int_equal(send(client, &hello, bytes[i], 0), bytes[i]);
        settle();
        struct session *session = only_session();
        assert_int_equal(session->state, SESSION_REVOKED);
        session_end(session, false);
        (void)close(client);
    }
}

/* A forked child keeps the socket open: the death of the process itself is what counts. */
static void the_death_of_its_process_ends_a_session(void **state)
{
    (void)state;
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* not left behind by a failed test */
        struct hello hello = world_hello("a");
        int client = knock();
        ssize_t sent = send(client, &hello, sizeof hello, 0);
        (void)!write(ready[1], sent == (ssize_t)sizeof hello ? "y" : "n", 1);
        for (;;) {
            (void)pause();
        }
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    settle();
    struct session *session = only_session();
    assert_int_equal(session->state, SESSION_ATTACHED);
    assert_int_equal(session->pid, child);
    session_revoke(session, "test"); /* the pidfd is watched all the same */
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    settle();
    assert_int_equal(world.table.active_count, 0);
    assert_int_equal(world_count(&world, COUNTER_sessions_dead), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_second_server_is_refused_and_leaves_the_first_alone),
        IN_WORLD(the_socket_of_a_dead_server_is_replaced),
        IN_WORLD(a_file_that_is_no_socket_is_not_removed),
        IN_WORLD(a_folder_that_cannot_be_made_is_named),
        IN_WORLD(a_user_who_may_not_attach_is_told_which_list_to_change),
        IN_WORLD(junk_is_refused_with_a_sentence),
        IN_WORLD(descriptors_sent_along_are_closed),
        IN_WORLD(an_observer_is_told_and_let_go),
        IN_WORLD(who_says_nothing_is_sent_away_or_forgotten),
        IN_WORLD(the_door_bounds_who_waits_at_it),
        IN_WORLD(a_goodbye_ends_a_session_and_a_hang_up_only_revokes_it),
        IN_WORLD(an_attached_client_that_talks_is_revoked),
        IN_WORLD(the_death_of_its_process_ends_a_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
