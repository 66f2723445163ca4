/* server: nothing of it is global, and whatever fails on the way up is undone. */
#include "tests/check.h"

#include "shm/hello.h"
#include "shm/status.h"
#include "sidecar/server.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define POOL UINT64_C(4194304)
#define EXTENT UINT64_C(1048576)

static struct log quiet;
static struct host host;
static char folder[64];

static int setup(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_init(&quiet, fd, LOG_DEBUG);
    host_read("", &host);
    (void)snprintf(folder, sizeof folder, "/tmp/cistern-server-XXXXXX");
    return fd >= 0 && mkdtemp(folder) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char path[128];
    for (int i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%d.sock.lock", folder, i);
        (void)unlink(path);
    }
    (void)close(quiet.fd);
    return rmdir(folder);
}

static struct config make_config(int number)
{
    struct config config;
    char why[SERVER_WHY];
    char *const nothing[] = {"cisternd", NULL};
    assert_int_equal(config_load(&config, 1, nothing, nothing + 1, why, sizeof why), STATUS_OK);
    config.pool_bytes = POOL;
    config.extent_bytes = EXTENT;
    config.io = CONFIG_IO_EPOLL;
    config.huge_pages = CONFIG_HUGE_NO;
    (void)snprintf(config.socket, sizeof config.socket, "%s/%d.sock", folder, number);
    assert_int_equal(config_resolve(&config, &host, why, sizeof why), STATUS_OK);
    return config;
}

static int open_server(struct server *server, const struct config *config, char *why)
{
    why[0] = '\0';
    return server_open(server, config, &host, &quiet, NULL, why, SERVER_WHY);
}

static uint32_t count_fds(void)
{
    uint32_t count = 0;
    DIR *fds = opendir("/proc/self/fd");
    assert_non_null(fds);
    while (readdir(fds) != NULL) {
        count++;
    }
    (void)closedir(fds);
    return count;
}

/* Ask as a tool does, turning the server's loop by hand. */
static void observe(struct server *server, struct welcome *out_welcome)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct hello hello = {.magic = HELLO_MAGIC, .abi = LAYOUT_ABI, .kind = HELLO_OBSERVE};
    int fds[HELLO_FD_MAX];
    uint32_t count = 0;
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.100s", server->config.socket);
    int client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(hello_send(client, &hello, sizeof hello, NULL, 0), STATUS_OK);
    for (int i = 0; i < 10 && loop_turn(server->loop, 0) > 0; i++) {
    }
    assert_int_equal(
        hello_receive(client, out_welcome, sizeof *out_welcome, fds, 1, &count), STATUS_OK);
    assert_int_equal(count, 1);
    (void)close(fds[0]);
    (void)close(client);
}

static void two_servers_live_in_one_process(void **state)
{
    (void)state;
    static struct server one;
    static struct server two;
    struct welcome first;
    struct welcome second;
    char why[SERVER_WHY];
    uint32_t fds = count_fds();
    struct config config = make_config(0);
    assert_int_equal(open_server(&one, &config, why), STATUS_OK);
    config = make_config(1);
    config.pool_bytes = 2 * POOL;
    assert_int_equal(open_server(&two, &config, why), STATUS_OK);
    observe(&one, &first);
    observe(&two, &second);
    assert_int_not_equal(first.epoch, second.epoch);
    assert_int_equal(first.pool_bytes, POOL);
    assert_int_equal(second.pool_bytes, 2 * POOL);
    assert_non_null(strstr(first.info, "pool_bytes 4194304\n"));
    server_close(&one);
    observe(&two, &second); /* the other one does not notice */
    server_close(&two);
    assert_int_equal(count_fds(), fds);
}

static void a_close_raises_the_epoch_and_takes_the_path_away(void **state)
{
    (void)state;
    static struct server server;
    char why[SERVER_WHY];
    struct segment seen = SEGMENT_NONE;
    struct config config = make_config(0);
    assert_int_equal(open_server(&server, &config, why), STATUS_OK);
    uint64_t epoch = shared64_load_relaxed(&server.header->epoch);
    assert_int_equal(epoch, server.door.gifts.epoch);
    assert_int_equal(segment_map(segment_open_readonly(&server.memory.index),
                         server.memory.index.bytes, false, &seen),
        STATUS_OK);
    assert_int_equal(access(config.socket, F_OK), 0);
    server_close(&server);
    const struct index_header *header = seen.base;
    assert_true(shared64_load_acquire(&header->epoch) > epoch);
    assert_int_equal(access(config.socket, F_OK), -1);
    segment_close(&seen);
    server_close(&server); /* accepts a closed one */
}

static void a_second_server_of_the_path_is_refused_and_harms_nobody(void **state)
{
    (void)state;
    static struct server one;
    static struct server two;
    struct welcome welcome;
    char why[SERVER_WHY];
    struct config config = make_config(0);
    assert_int_equal(open_server(&one, &config, why), STATUS_OK);
    uint32_t fds = count_fds();
    assert_int_equal(open_server(&two, &config, why), STATUS_IO);
    assert_non_null(strstr(why, "another sidecar serves"));
    assert_int_equal(count_fds(), fds);
    observe(&one, &welcome);
    server_close(&one);
    /* It is gone: the path can be had, also if its socket were still there. */
    int left = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.100s", config.socket);
    assert_int_equal(bind(left, (const struct sockaddr *)&address, sizeof address), 0);
    (void)close(left);
    assert_int_equal(open_server(&two, &config, why), STATUS_OK);
    observe(&two, &welcome);
    server_close(&two);
}

static void what_cannot_be_built_says_why_and_leaves_nothing(void **state)
{
    (void)state;
    static struct server server;
    char why[SERVER_WHY];
    uint32_t fds = count_fds();
    struct config config = make_config(0);
    config.extent_bytes = 3 * EXTENT; /* past config_resolve(), which refuses it */
    assert_int_equal(open_server(&server, &config, why), STATUS_INVALID);
    assert_non_null(strstr(why, "do not fit together"));
    config = make_config(0);
    config.numa_node = 1000;
    assert_int_equal(open_server(&server, &config, why), STATUS_INVALID);
    assert_int_not_equal(why[0], '\0');
    config = make_config(0);
    config.pool_bytes = UINT64_C(1) << 46;
    config.extent_bytes = UINT64_C(1) << 31;
    assert_int_not_equal(open_server(&server, &config, why), STATUS_OK);
    assert_int_not_equal(why[0], '\0');
    config = make_config(0);
    (void)snprintf(config.socket, sizeof config.socket, "/nonexistent/deeper/c.sock");
    assert_int_equal(open_server(&server, &config, why), STATUS_IO);
    assert_non_null(strstr(why, "--socket"));
    assert_int_equal(count_fds(), fds);
}

/* Each descriptor in turn is the one that cannot be had: every step of the way up fails once. */
static void without_descriptors_every_step_is_undone(void **state)
{
    (void)state;
    static struct server server;
    char why[SERVER_WHY];
    struct rlimit before;
    uint32_t fds = count_fds();
    struct config config = make_config(0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int lowest = dup(quiet.fd); /* the next free number */
    (void)close(lowest);
    uint32_t failures = 0;
    int status = STATUS_IO;
    for (uint32_t extra = 0; extra < 32 && status != STATUS_OK; extra++) {
        struct rlimit tight = {.rlim_cur = (rlim_t)lowest + extra, .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
        status = open_server(&server, &config, why);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (status == STATUS_OK) {
            server_close(&server);
        } else {
            failures++;
            assert_int_not_equal(why[0], '\0');
        }
        assert_int_equal(count_fds(), fds);
        assert_int_equal(access(config.socket, F_OK), -1);
    }
    assert_int_equal(status, STATUS_OK);
    assert_in_range(failures, 5, 31); /* pool, index, loop, two readers, lock, socket */
}

static void a_reload_takes_over_what_may_change(void **state)
{
    (void)state;
    static struct server server;
    char why[SERVER_WHY];
    struct config config = make_config(0);
    assert_int_equal(open_server(&server, &config, why), STATUS_OK);
    config.quarantine_ns = 77;
    config.sessions_per_user = 3;
    config.pool_bytes = 2 * POOL;
    server_reload(&server, &config);
    assert_int_equal(server.blocks.quarantine.delay_ns, 77);
    assert_int_equal(server.sessions.config->sessions_per_user, 3);
    assert_int_equal(server.config.pool_bytes, POOL);
    server_close(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_servers_live_in_one_process),
        cmocka_unit_test(a_close_raises_the_epoch_and_takes_the_path_away),
        cmocka_unit_test(a_second_server_of_the_path_is_refused_and_harms_nobody),
        cmocka_unit_test(what_cannot_be_built_says_why_and_leaves_nothing),
        cmocka_unit_test(without_descriptors_every_step_is_undone),
        cmocka_unit_test(a_reload_takes_over_what_may_change),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
