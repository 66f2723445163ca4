/* sidecar: a real cisternd with the memory of a GPU: it says what it has, its successors go on with
 * it, and who comes after it waits for it. */
#include "tests/check.h"
#include "tests/e2e/daemon.h"
#include "tests/e2e/worker.h"
#include "tests/fault/intruder.h"
#include "tests/gpu-double/bed.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT 65536u
#define LOOK_NS UINT64_C(60000000000)

static const char *const flags[] = {"--device-pool=64MiB", NULL};

/* Of the double: what every process that is started from here on finds. */
static void switches(const char *text)
{
    assert_int_equal(setenv("CUDA_DOUBLE", text, 1), 0);
}

/* What `cistern status` prints. */
static bool status_has(const struct daemon *daemon, const char *words)
{
    static char text[TEXT];
    char command[640];
    (void)snprintf(command, sizeof command, "%s/sidecar/cistern status --socket %s",
        getenv("CISTERN_BUILD") != NULL ? getenv("CISTERN_BUILD") : "build", daemon->socket);
    FILE *tool = popen(command, "r");
    size_t bytes = tool == NULL ? 0 : fread(text, 1, sizeof text - 1, tool);
    text[bytes] = '\0';
    if (tool != NULL) {
        (void)pclose(tool);
    }
    if (strstr(text, words) == NULL) {
        (void)fprintf(stderr, "status lacks \"%s\":\n%s\n", words, text);
        return false;
    }
    return true;
}

static void test_a_sidecar_says_what_it_has_of_a_device_and_its_successor_keeps_it(void **state)
{
    struct daemon daemon;
    (void)state;
    switches("memory=96M"); /* no room for a second pool */
    assert_true(daemon_start(&daemon, flags));
    assert_true(daemon_logs(&daemon, "16 MiB of host memory page-locked"));
    assert_true(status_has(&daemon, "device_0                GPU-"));
    assert_true(status_has(&daemon, "64 MiB in 1 slabs shared as descriptors, pool page-locked\n"));
    assert_true(status_has(&daemon, "slots                   1280\n"));
    pid_t server = daemon_kill_server(&daemon);
    server = daemon_awaits(&daemon, server);
    assert_true(server > 0);
    assert_true(daemon_logged(&daemon, "took over 64 MiB in 1 slabs"));
    assert_true(status_has(&daemon, "64 MiB in 1 slabs shared as descriptors"));
    assert_int_equal(daemon_kill_server(&daemon), server);
    assert_true(daemon_awaits(&daemon, server) > 0);
    assert_true(status_has(&daemon, "64 MiB in 1 slabs shared as descriptors"));
    assert_true(daemon_stop(&daemon));
    /* And all of it is free again. */
    assert_true(daemon_restart(&daemon));
    assert_true(daemon_stop(&daemon));
    daemon_close(&daemon);
}

/* A worker that was given the memory of its GPU, and keeps it. */
static int keep_memory(void *context, struct child_page *page)
{
    const struct daemon *daemon = context;
    static struct welcome welcome;
    struct hello hello = intruder_hello();
    struct bed bed;
    int fds[HELLO_FDS];
    uint32_t count = 0;
    bed_open(&bed, page, "memory=96M", "auto");
    hello.flags |= HELLO_DEVICE;
    memcpy(hello.device, bed.gpu.uuid.byte, sizeof hello.device);
    int socket = intruder_connect(daemon->socket);
    child_need(page, hello_send(socket, &hello, sizeof hello, NULL, 0) == STATUS_OK, "hello");
    int status = hello_receive(socket, &welcome, sizeof welcome, fds, HELLO_FDS, &count);
    child_need(page, status == STATUS_OK && welcome.status == STATUS_OK, "%d, %d, %s", status,
        welcome.status, welcome.why);
    child_need(page, welcome.device_slabs == 1 && welcome.device_bytes == UINT64_C(64) << 20,
        "%u slabs: %s", welcome.device_slabs, welcome.why);
    child_need(page, welcome.device_first == 256 && welcome.device_slots == 1024, "slots %u, %u",
        welcome.device_first, welcome.device_slots);
    child_at(page, 1);
    child_await(page, 2);
    bed_close(&bed);
    return 0;
}

static void kill_alone(struct daemon *daemon)
{
    assert_int_equal(kill(daemon->pid, SIGKILL), 0);
    assert_int_equal(waitpid(daemon->pid, NULL, 0), daemon->pid);
    daemon->pid = 0;
}

static int restart(void *context, struct child_page *page)
{
    struct daemon *daemon = context;
    child_need(page, daemon_restart(daemon), "it did not start");
    child_need(page, daemon_stop(daemon), "it did not stop");
    return 0;
}

/* A worker holds the memory of a sidecar that is gone, and nobody else could take it over. */
static void test_the_next_start_waits_until_workers_let_go(void **state)
{
    struct daemon daemon;
    struct child worker;
    struct child next;
    static const char *const alone[] = {"--device-pool=64MiB", "--no-keeper", NULL};
    (void)state;
    switches("memory=96M");
    assert_true(daemon_start(&daemon, alone));
    assert_true(child_start(&worker, keep_memory, &daemon));
    assert_true(child_reaches(&worker, 1));
    kill_alone(&daemon);
    assert_true(child_start(&next, restart, &daemon));
    assert_true(daemon_logs(&daemon, "waiting for up to "));
    child_let(&worker, 2);
    assert_int_equal(child_end(&worker), 0);
    assert_int_equal(child_end(&next), 0);
    daemon_close(&daemon);
}

/* Start the program with a flag; it is to end by itself, or at SIGTERM behind those words of its
 * log. Returns its exit status. */
static int end_of(const struct daemon *daemon, const char *flag, const char *words)
{
    char socket[128];
    (void)snprintf(socket, sizeof socket, "--socket=%s.2", daemon->socket);
    pid_t pid = fork();
    if (pid == 0) {
        daemon_clean_environment();
        int log = open(daemon->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        (void)dup2(log, STDERR_FILENO);
        (void)execl(daemon->program, daemon->program, socket, "--pool=16MiB", "--extent=1MiB",
            "--device-pool=64MiB", flag, (char *)NULL);
        _exit(127);
    }
    if (words != NULL && daemon_logs(daemon, words)) {
        (void)kill(pid, SIGTERM);
    }
    int how = 0;
    uint64_t deadline = child_now_ns() + LOOK_NS;
    while (waitpid(pid, &how, WNOHANG) == 0) {
        if (child_now_ns() >= deadline) {
            (void)kill(pid, SIGKILL);
        }
        child_nap();
    }
    return WIFEXITED(how) ? WEXITSTATUS(how) : 1000 + WTERMSIG(how);
}

static void test_a_start_that_cannot_be_ends_with_a_reason_or_as_it_is_told(void **state)
{
    struct daemon daemon;
    (void)state;
    switches("memory=96M");
    assert_true(daemon_start(&daemon, flags));
    assert_int_equal(end_of(&daemon, "--device=GPU-dead", NULL), 1);
    assert_true(daemon_logged(&daemon, "GPU-dead is no GPU here; remedy: one of GPU-"));
    assert_int_equal(end_of(&daemon, "--device-wait=0", NULL), 1);
    assert_true(daemon_logged(&daemon, "0 of 1 slabs of 64 MiB could be had"));
    assert_int_equal(end_of(&daemon, "--device-wait=10min", "waiting for up to "), 0);
    assert_true(daemon_logged(&daemon, "told to end before it served"));
    assert_true(daemon_stop(&daemon));
    char lock[160];
    (void)snprintf(lock, sizeof lock, "%s.2.lock", daemon.socket);
    (void)unlink(lock);
    daemon_close(&daemon);
}

/* Each server's device fails as soon as its copies are prepared. */
static void test_a_device_that_fails_again_and_again_is_done_without(void **state)
{
    struct daemon daemon;
    (void)state;
    switches("sticky=cuMemHostRegister:1");
    assert_true(daemon_start(&daemon, flags));
    assert_true(daemon_logs(&daemon, "it failed 2 times within a minute"));
    assert_true(daemon_awaits(&daemon, 0) > 0);
    assert_true(daemon_logged(&daemon, "device 0 is lost: copies cannot be prepared on Double"));
    assert_true(daemon_logged(&daemon, "ended with status 1"));
    assert_false(daemon_logged(&daemon, "starts with an empty cache"));
    assert_true(status_has(&daemon, ", lost\n"));
    assert_true(daemon_stop(&daemon));
    switches("");
    daemon_close(&daemon);
}

int main(void)
{
    if (!daemon_is_built() || !bed_found()) {
        return CHECK_SKIP;
    }
    if (!bed_is_double()) {
        printf("skipped: a device is too large, and fails too rarely\n");
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sidecar_says_what_it_has_of_a_device_and_its_successor_keeps_it),
        cmocka_unit_test(test_the_next_start_waits_until_workers_let_go),
        cmocka_unit_test(test_a_start_that_cannot_be_ends_with_a_reason_or_as_it_is_told),
        cmocka_unit_test(test_a_device_that_fails_again_and_again_is_done_without),
    };
    return cmocka_run_group_tests(tests, bed_begin, bed_end);
}
