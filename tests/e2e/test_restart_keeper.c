/* test_restart_keeper: who starts again, who stops, with which status: as supervisors see it. */
#include "tests/check.h"
#include "tests/e2e/daemon.h"
#include "tests/e2e/gauge.h"
#include "tests/e2e/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENDS_NS UINT64_C(20000000000)

static bool is_gone(pid_t pid)
{
    uint64_t deadline = child_now_ns() + ENDS_NS;
    while (kill(pid, 0) == 0 && child_now_ns() < deadline) {
        child_nap();
    }
    return kill(pid, 0) != 0 && errno == ESRCH;
}

/* Wait for the end of what the test started. Returns its exit status, -1 if it does not end. */
static int end_of(struct daemon *daemon)
{
    uint64_t deadline = child_now_ns() + ENDS_NS;
    while (daemon_lives(daemon) && child_now_ns() < deadline) {
        child_nap();
    }
    int how = 0;
    if (daemon_lives(daemon) || waitpid(daemon->pid, &how, 0) != daemon->pid) {
        return -1;
    }
    daemon->pid = 0;
    return WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
}

static int put_one(void *context, struct child_page *page)
{
    cistern_t *handle = worker_open(page, ((const struct daemon *)context)->socket, 0);
    worker_put(page, handle, 1);
    cistern_close(&handle);
    return 0;
}

static int look_for_one(void *context, struct child_page *page)
{
    cistern_t *handle = worker_open(page, ((const struct daemon *)context)->socket, 0);
    int status = worker_look(page, handle, 1);
    cistern_close(&handle);
    return status == CISTERN_OK ? 0 : 10;
}

static void test_a_server_that_is_told_to_stop_ends_all(void **state)
{
    struct daemon daemon;
    (void)state;
    assert_true(daemon_start(&daemon, NULL));
    pid_t server = daemon_server(&daemon);
    assert_int_not_equal(server, daemon.pid);
    assert_int_equal(kill(server, SIGTERM), 0);
    assert_int_equal(end_of(&daemon), 0);
    assert_int_not_equal(access(daemon.socket, F_OK), 0);
    daemon_close(&daemon);
}

static void test_the_keepers_death_is_a_clean_stop(void **state)
{
    struct daemon daemon;
    (void)state;
    assert_true(daemon_start(&daemon, NULL));
    pid_t server = daemon_server(&daemon);
    assert_int_equal(kill(daemon.pid, SIGKILL), 0);
    assert_int_equal(end_of(&daemon), 128 + SIGKILL);
    /* It took its socket away, which a killed one does not. */
    uint64_t deadline = child_now_ns() + ENDS_NS;
    while (access(daemon.socket, F_OK) == 0 && child_now_ns() < deadline) {
        child_nap();
    }
    assert_int_not_equal(access(daemon.socket, F_OK), 0);
    assert_true(is_gone(server));
    /* Its successor is under another keeper, and has nothing of it. */
    assert_true(daemon_restart(&daemon));
    assert_int_equal(child_run(look_for_one, &daemon), 10);
    assert_true(daemon_stop(&daemon));
    daemon_close(&daemon);
}

static void test_without_a_keeper_dead_is_dead(void **state)
{
    struct daemon daemon;
    static const char *const flags[] = {"--no-keeper", NULL};
    (void)state;
    assert_true(daemon_start(&daemon, flags));
    assert_int_equal(daemon_server(&daemon), daemon.pid);
    assert_int_equal(kill(daemon.pid, SIGKILL), 0);
    assert_int_equal(end_of(&daemon), 128 + SIGKILL);
    daemon_close(&daemon);
}

static void test_servers_that_crash_again_and_again_start_cold(void **state)
{
    struct daemon daemon;
    struct gauge gauge;
    (void)state;
    assert_true(daemon_start(&daemon, NULL));
    assert_true(gauge_open(&gauge, daemon.socket));
    uint64_t epoch = shared64_load_relaxed(&gauge.index.header->epoch);
    assert_int_equal(child_run(put_one, &daemon), 0);
    for (int i = 0; i < 3; i++) {
        pid_t server = daemon_server(&daemon);
        assert_int_equal(child_run(look_for_one, &daemon), 0);
        assert_int_equal(kill(server, SIGSEGV), 0);
        assert_true(daemon_awaits(&daemon, server) > 0);
    }
    assert_int_equal(child_run(look_for_one, &daemon), 10);
    /* Whoever still has the old memory is told: twice taken over, once given up. */
    assert_int_equal(shared64_load_relaxed(&gauge.index.header->epoch), epoch + 3);
    gauge_close(&gauge);
    assert_int_equal(child_run(put_one, &daemon), 0);
    assert_int_equal(child_run(look_for_one, &daemon), 0);
    /* The next one takes the new memory over. */
    pid_t server = daemon_kill_server(&daemon);
    assert_true(daemon_awaits(&daemon, server) > 0);
    assert_int_equal(child_run(look_for_one, &daemon), 0);
    assert_true(daemon_stop(&daemon));
    daemon_close(&daemon);
}

/* Start the program with one more flag; it shall end by itself. Returns its status. */
static int run_to_the_end(const struct daemon *daemon, const char *flag)
{
    char socket_flag[128];
    (void)snprintf(socket_flag, sizeof socket_flag, "--socket=%s", daemon->socket);
    pid_t pid = fork();
    if (pid == 0) {
        daemon_clean_environment();
        int log = open(daemon->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        (void)dup2(log, STDERR_FILENO);
        (void)execl(
            daemon->program, daemon->program, socket_flag, "--pool=16MiB", flag, (char *)NULL);
        _exit(127);
    }
    struct daemon other = {.pid = pid};
    int status = end_of(&other);
    if (status < 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    return status;
}

static void test_a_failure_to_start_is_told_and_not_repeated(void **state)
{
    struct daemon daemon;
    (void)state;
    assert_true(daemon_start(&daemon, NULL));
    assert_int_equal(run_to_the_end(&daemon, "--pool=nonsense"), 2);
    /* Another sidecar serves this path. */
    assert_int_equal(run_to_the_end(&daemon, "--extent=1MiB"), 1);
    /* Also while no server is there, because the keeper has the lock. */
    assert_int_equal(kill(daemon.pid, SIGSTOP), 0);
    pid_t old = daemon_kill_server(&daemon);
    assert_int_equal(run_to_the_end(&daemon, "--extent=1MiB"), 1);
    assert_int_equal(kill(daemon.pid, SIGCONT), 0);
    assert_true(daemon_awaits(&daemon, old) > 0);
    assert_true(daemon_stop(&daemon));
    daemon_close(&daemon);
}

static void test_what_was_read_again_counts_for_the_next_server(void **state)
{
    struct daemon daemon;
    char file[128];
    char flag[160];
    (void)state;
    struct daemon folder = {.folder = "/tmp/cistern-test-XXXXXX"};
    assert_non_null(mkdtemp(folder.folder));
    (void)snprintf(file, sizeof file, "%s/conf", folder.folder);
    (void)snprintf(flag, sizeof flag, "--config=%s", file);
    FILE *conf = fopen(file, "we");
    assert_non_null(conf);
    (void)fputs("sessions = 8\n", conf);
    (void)fclose(conf);
    const char *const flags[] = {flag, NULL};
    assert_true(daemon_start(&daemon, flags));
    assert_int_equal(child_run(put_one, &daemon), 0);
    conf = fopen(file, "we");
    assert_non_null(conf);
    (void)fputs("allow_users = 4242\npool = 32MiB\n", conf);
    (void)fclose(conf);
    pid_t server = daemon_kill_server(&daemon);
    assert_true(server > 0);
    /* The pool's size needs a restart of all; who may attach does not. */
    int status = 0;
    uint64_t deadline = child_now_ns() + ENDS_NS;
    while (status != 11 && child_now_ns() < deadline) {
        struct gauge gauge;
        status = gauge_open(&gauge, daemon.socket) ? 0 : 11;
        if (status == 0) {
            gauge_close(&gauge);
        }
    }
    assert_int_equal(status, 11);
    assert_true(daemon_stop(&daemon));
    daemon_close(&daemon);
    (void)unlink(file);
    (void)rmdir(folder.folder);
}

int main(void)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_server_that_is_told_to_stop_ends_all),
        cmocka_unit_test(test_the_keepers_death_is_a_clean_stop),
        cmocka_unit_test(test_without_a_keeper_dead_is_dead),
        cmocka_unit_test(test_servers_that_crash_again_and_again_start_cold),
        cmocka_unit_test(test_a_failure_to_start_is_told_and_not_repeated),
        cmocka_unit_test(test_what_was_read_again_counts_for_the_next_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
