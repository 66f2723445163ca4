/* server_run: a real server on its thread, a real client beside it: it serves, it sleeps, it wakes.
 *
 * Both sides are compiled into one program; they meet in the socket and in shared memory alone. */
#include "tests/check.h"

#include "libclient/include/cistern.h"
#include "shm/counter.h"
#include "shm/status.h"
#include "sidecar/moment.h"
#include "sidecar/server.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define POOL UINT64_C(16777216)
#define EXTENT UINT64_C(1048576)
#define BLOCK 65536u
#define ROUNDS 60u
#define LONG_CLAIM_NS UINT64_C(30000000000)
#define PATIENCE_NS UINT64_C(20000000000) /* more than enough for anything that is not broken */

/* The server's thread opens, turns and closes it: a loop belongs to one thread. */
struct stage {
    struct server server;
    struct config config;
    struct host host;
    struct log log;
    pthread_t thread;
    sem_t ready;
    int stop; /* eventfd */
    int status;
    char folder[64];
};

static struct stage stage;

static void told_to_stop(void *context, uint32_t what)
{
    (void)what;
    server_stop(context);
}

static void *serve(void *context)
{
    struct stage *on = context;
    char why[SERVER_WHY] = "";
    struct loop_watch *watch = NULL;
    on->status = server_open(&on->server, &on->config, &on->host, &on->log, NULL, why, sizeof why);
    if (on->status == STATUS_OK) {
        on->status =
            loop_watch(on->server.loop, on->stop, LOOP_LEVEL, told_to_stop, &on->server, &watch);
    }
    (void)sem_post(&on->ready);
    if (on->status == STATUS_OK) {
        server_run(&on->server);
        loop_unwatch(on->server.loop, watch);
    }
    server_close(&on->server);
    return NULL;
}

static int start(enum config_io io, uint64_t poll_ns, uint64_t claim_ns)
{
    char why[SERVER_WHY];
    char *const nothing[] = {"cisternd", NULL};
    memset(&stage, 0, sizeof stage);
    assert_int_equal(config_load(&stage.config, 1, nothing, nothing + 1, why, sizeof why), 0);
    (void)snprintf(stage.folder, sizeof stage.folder, "/tmp/cistern-run-XXXXXX");
    assert_non_null(mkdtemp(stage.folder));
    (void)snprintf(stage.config.socket, sizeof stage.config.socket, "%s/s", stage.folder);
    stage.config.pool_bytes = POOL;
    stage.config.extent_bytes = EXTENT;
    stage.config.huge_pages = CONFIG_HUGE_NO;
    stage.config.io = io;
    stage.config.poll_ns = poll_ns;
    stage.config.claim_ns = claim_ns;
    host_read("", &stage.host);
    assert_int_equal(config_resolve(&stage.config, &stage.host, why, sizeof why), 0);
    log_init(&stage.log, open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_DEBUG);
    stage.stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_int_equal(sem_init(&stage.ready, 0, 0), 0);
    assert_int_equal(pthread_create(&stage.thread, NULL, serve, &stage), 0);
    assert_int_equal(sem_wait(&stage.ready), 0);
    assert_int_equal(stage.status, STATUS_OK);
    return 0;
}

static int with_epoll(void **state)
{
    (void)state;
    return start(CONFIG_IO_EPOLL, 20000, LONG_CLAIM_NS);
}

static int with_the_best_loop(void **state)
{
    (void)state;
    return start(CONFIG_IO_AUTO, 20000, LONG_CLAIM_NS);
}

static int without_polling(void **state)
{
    (void)state;
    return start(CONFIG_IO_AUTO, 0, LONG_CLAIM_NS);
}

static int with_short_claims(void **state)
{
    (void)state;
    return start(CONFIG_IO_EPOLL, 20000, UINT64_C(50000000));
}

static void stop_server(void)
{
    uint64_t one = 1;
    assert_int_equal(write(stage.stop, &one, sizeof one), sizeof one);
    assert_int_equal(pthread_join(stage.thread, NULL), 0);
}

static int finish(void **state)
{
    (void)state;
    char lock[CONFIG_PATH_BYTES + 8];
    (void)snprintf(lock, sizeof lock, "%s.lock", stage.config.socket);
    (void)close(stage.stop);
    (void)close(stage.log.fd);
    (void)sem_destroy(&stage.ready);
    (void)unlink(lock);
    return rmdir(stage.folder);
}

static cistern_t *open_handle(void)
{
    struct cistern_namespace space = {
        .size = sizeof space, .block_tokens = 16, .block_bytes = BLOCK, .name = "run"};
    struct cistern_options options = {
        .size = sizeof options, .space = &space, .socket_path = stage.config.socket};
    cistern_t *handle = NULL;
    int status = cistern_open(&options, &handle);
    if (status != CISTERN_OK) {
        fail_msg("%s: %s", cistern_status_name(status), cistern_why());
    }
    return handle;
}

static uint64_t count(enum counter which)
{
    return counter_get(stage.server.header->counter, which);
}

static bool is_asleep(void)
{
    return shared32_load_acquire(&stage.server.header->server_sleeping) % 2 == 1;
}

/* Wait until the server sleeps, having gone to sleep more than `sleeps` times. */
static void await_sleep(uint64_t sleeps)
{
    uint64_t until = moment_ns() + PATIENCE_NS;
    while ((count(COUNTER_sleeps) <= sleeps || !is_asleep()) && moment_ns() < until) {
        (void)sched_yield();
    }
    assert_true(count(COUNTER_sleeps) > sleeps);
}

static struct cistern_key key_of(uint64_t number)
{
    struct cistern_key key;
    uint64_t random = number;
    for (size_t i = 0; i < sizeof key.bytes; i++) {
        key.bytes[i] = (uint8_t)check_random(&random);
    }
    return key;
}

static void what_one_handle_puts_another_reads_in_place(void **state)
{
    (void)state;
    static unsigned char data[BLOCK];
    cistern_t *writer = open_handle();
    cistern_t *reader = open_handle();
    for (uint64_t i = 0; i < ROUNDS; i++) {
        struct cistern_key key = key_of(i);
        struct cistern_view view;
        size_t views = 0;
        memset(data, (int)i, sizeof data);
        assert_int_equal(cistern_put(writer, &key, NULL, data, sizeof data), CISTERN_OK);
        assert_int_equal(cistern_flush(writer, INT64_C(10000000000)), CISTERN_OK);
        assert_int_equal(cistern_acquire(reader, &key, 1, &view, &views), CISTERN_OK);
        assert_int_equal(view.bytes, BLOCK);
        assert_memory_equal(view.data, data, BLOCK);
        assert_int_equal(cistern_release(reader, &view, 1), CISTERN_OK);
    }
    assert_int_equal(count(COUNTER_commits), ROUNDS);
    assert_int_equal(count(COUNTER_sessions_now), 2);
    cistern_close(&writer);
    cistern_close(&reader);
    stop_server();
}

/* Every commit finds the server asleep: each must ring, and none may be found late. */
static void a_commit_wakes_a_sleeping_server(void **state)
{
    (void)state;
    static unsigned char data[BLOCK];
    cistern_t *handle = open_handle();
    uint64_t sleeps = count(COUNTER_sleeps);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        struct cistern_key key = key_of(i);
        await_sleep(sleeps);
        sleeps = count(COUNTER_sleeps);
        assert_int_equal(cistern_put(handle, &key, NULL, data, sizeof data), CISTERN_OK);
        assert_int_equal(cistern_flush(handle, INT64_C(10000000000)), CISTERN_OK);
        struct cistern_match match = {.size = sizeof match};
        assert_int_equal(cistern_match(handle, &key, 1, &match), CISTERN_OK);
        assert_int_equal(match.hot, 1);
    }
    struct cistern_stats stats = {.size = sizeof stats};
    assert_int_equal(cistern_stats(handle, &stats), CISTERN_OK);
    assert_int_equal(count(COUNTER_wakes_late), 0);
    assert_in_range(stats.bells, 1, 10 * ROUNDS);
    assert_true(count(COUNTER_sleeps) >= ROUNDS);
    cistern_close(&handle);
    stop_server();
}

/* Nobody asks anything: the server's own deadline passes the claim on, and wakes the waiter. */
static void a_claim_that_expires_passes_to_its_waiter(void **state)
{
    (void)state;
    struct cistern_key key = key_of(1);
    cistern_t *claimer = open_handle();
    cistern_t *waiter = open_handle();
    assert_int_equal(cistern_claim(claimer, &key), CISTERN_MINE);
    assert_int_equal(cistern_claim(waiter, &key), CISTERN_OTHER);
    assert_int_equal(cistern_wait(waiter, &key, INT64_C(20000000000)), CISTERN_MINE);
    assert_int_equal(cistern_claim(claimer, &key), CISTERN_OTHER);
    assert_int_equal(count(COUNTER_claims_passed), 1);
    assert_int_equal(count(COUNTER_wakes_late), 0);
    cistern_close(&claimer);
    cistern_close(&waiter);
    stop_server();
}

static void a_stopped_server_is_noticed_and_views_stay_readable(void **state)
{
    (void)state;
    static unsigned char data[BLOCK];
    struct cistern_key key = key_of(3);
    struct cistern_view view;
    size_t views = 0;
    cistern_t *handle = open_handle();
    memset(data, 0x33, sizeof data);
    assert_int_equal(cistern_put(handle, &key, NULL, data, sizeof data), CISTERN_OK);
    assert_int_equal(cistern_flush(handle, INT64_C(10000000000)), CISTERN_OK);
    assert_int_equal(cistern_acquire(handle, &key, 1, &view, &views), CISTERN_OK);
    stop_server();
    assert_memory_equal(view.data, data, BLOCK);
    struct cistern_view none;
    assert_int_equal(cistern_acquire(handle, &key, 1, &none, &views), CISTERN_NO_SERVER);
    assert_memory_equal(view.data, data, BLOCK);
    (void)cistern_release(handle, &view, 1);
    cistern_close(&handle);
}

int main(void)
{
#define OF(setup, test) \
    { \
#test " (" #setup ")", test, setup, finish, NULL \
    }
    const struct CMUnitTest tests[] = {
        OF(with_epoll, what_one_handle_puts_another_reads_in_place),
        OF(with_the_best_loop, what_one_handle_puts_another_reads_in_place),
        OF(with_epoll, a_commit_wakes_a_sleeping_server),
        OF(with_the_best_loop, a_commit_wakes_a_sleeping_server),
        OF(without_polling, a_commit_wakes_a_sleeping_server),
        OF(with_short_claims, a_claim_that_expires_passes_to_its_waiter),
        OF(with_epoll, a_stopped_server_is_noticed_and_views_stay_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
