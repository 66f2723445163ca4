/* test_refuse: who cannot be served is told why, in words that lead to the remedy. */
#include "tests/check.h"
#include "tests/e2e/daemon.h"
#include "tests/e2e/worker.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct cistern_namespace space_of_test(void)
{
    return (struct cistern_namespace){.size = sizeof(struct cistern_namespace),
        .block_tokens = 16,
        .block_bytes = WORKER_BLOCK_BYTES,
        .name = "test",
        .model = "none",
        .dtype = "bytes",
        .layout = "bytes",
        .engine = "test 1"};
}

static int try_open(const char *socket, const struct cistern_namespace *space)
{
    cistern_t *handle = NULL;
    struct cistern_options options = {.size = sizeof options,
        .space = space,
        .socket_path = socket,
        .timeout_ns = WORKER_WAIT_NS};
    int status = cistern_open(&options, &handle);
    cistern_close(&handle);
    return status;
}

static void need_refused(struct child_page *page, const char *socket,
    const struct cistern_namespace *space, int expected, const char *word)
{
    int status = try_open(socket, space);
    child_need(page, status == expected, "%s: open: %s: %s", word, cistern_status_name(status),
        cistern_why());
    child_need(
        page, strstr(cistern_why(), word) != NULL, "'%s' is not named: %s", word, cistern_why());
}

static int open_with_differences(void *context, struct child_page *page)
{
    const char *socket = ((struct daemon *)context)->socket;
    cistern_t *handle = worker_open(page, socket, 0);
    struct cistern_namespace space = space_of_test();
    child_need(
        page, try_open(socket, &space) == CISTERN_OK, "the same namespace: %s", cistern_why());
    space.model = "another";
    need_refused(page, socket, &space, CISTERN_NAMESPACE, "model");
    space = space_of_test();
    space.layers = 5;
    need_refused(page, socket, &space, CISTERN_NAMESPACE, "layers");
    space = space_of_test();
    space.secret = "s";
    space.secret_bytes = 1;
    need_refused(page, socket, &space, CISTERN_NAMESPACE, "secret");
    space = space_of_test();
    space.block_bytes = 8192;
    need_refused(page, socket, &space, CISTERN_NAMESPACE, "block_bytes");
    /* Another rank, or another name, is another namespace. */
    space = space_of_test();
    space.tp_size = 2;
    space.tp_rank = 1;
    child_need(page, try_open(socket, &space) == CISTERN_OK, "another rank: %s", cistern_why());
    space = space_of_test();
    space.name = "huge";
    space.block_bytes = 64 << 20;
    need_refused(page, socket, &space, CISTERN_TOO_LARGE, "extent");
    cistern_close(&handle);
    return 0;
}

static void test_a_differing_namespace_is_named(void **state)
{
    assert_int_equal(child_run(open_with_differences, *state), 0);
}

static int open_where_we_may_not(void *context, struct child_page *page)
{
    const char *socket = ((struct daemon *)context)->socket;
    struct cistern_namespace space = space_of_test();
    /* The refusal may come before our hello is read: it must arrive every time. */
    for (int i = 0; i < 50; i++) {
        need_refused(page, socket, &space, CISTERN_DENIED, "allow_users");
    }
    return 0;
}

static void test_who_may_not_attach_is_told_so(void **state)
{
    (void)state;
    struct daemon daemon;
    char stranger[64];
    (void)snprintf(stranger, sizeof stranger, "--allow-users=%u", (unsigned)getuid() + 1);
    assert_true(daemon_start(&daemon, (const char *const[]){stranger, NULL}));
    assert_int_equal(child_run(open_where_we_may_not, &daemon), 0);
    assert_true(daemon_stop(&daemon));
    daemon_close(&daemon);
}

static int blocks_do_not_cross(void *context, struct child_page *page)
{
    const char *socket = ((struct daemon *)context)->socket;
    cistern_t *handle = worker_open(page, socket, 0);
    cistern_t *other = NULL;
    struct cistern_namespace space = space_of_test();
    space.tenant = "blue";
    struct cistern_options options = {.size = sizeof options,
        .space = &space,
        .socket_path = socket,
        .timeout_ns = WORKER_WAIT_NS};
    worker_put(page, handle, 1);
    child_need(page, cistern_open(&options, &other) == CISTERN_OK, "open: %s", cistern_why());
    /* The very same key, of another tenant: never the other's block. */
    child_need(page, worker_look(page, other, 1) == CISTERN_MISS, "a block crossed tenants");
    child_need(page, worker_look(page, handle, 1) == CISTERN_OK, "the block is gone");
    cistern_close(&other);
    cistern_close(&handle);
    return 0;
}

static void test_equal_keys_of_two_tenants_are_two_blocks(void **state)
{
    assert_int_equal(child_run(blocks_do_not_cross, *state), 0);
}

/* Run cisternd with one argument; its first line of output goes to `out_line`. */
static int run_daemon(const struct daemon *daemon, const char *argument, char *out_line, int bytes)
{
    int pipes[2];
    if (pipe(pipes) != 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(pipes[1], STDERR_FILENO);
        (void)close(pipes[0]);
        daemon_clean_environment();
        (void)setenv("CISTERN_EXTENT", "1MiB", 1);
        (void)setenv("CISTERN_POOL", "16MiB", 1);
        (void)execl(daemon->program, daemon->program, argument, (char *)NULL);
        _exit(127);
    }
    (void)close(pipes[1]);
    FILE *out = fdopen(pipes[0], "r");
    if (out == NULL || fgets(out_line, bytes, out) == NULL) {
        out_line[0] = '\0';
    }
    if (out != NULL) {
        (void)fclose(out);
    }
    int status = 0;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_bad_configuration_is_refused_with_the_place(void **state)
{
    const struct daemon *daemon = *state;
    char line[512];
    char argument[128];
    char path[96];
    assert_int_equal(run_daemon(daemon, "--pool=16Mb", line, sizeof line), 2);
    assert_non_null(strstr(line, "pool"));
    assert_non_null(strstr(line, "MiB"));
    assert_int_equal(run_daemon(daemon, "--pol=16MiB", line, sizeof line), 2);
    assert_non_null(strstr(line, "pol"));
    (void)snprintf(path, sizeof path, "%s/conf", daemon->folder);
    (void)snprintf(argument, sizeof argument, "--config=%s", path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("pool = 16MiB\n# a comment\nextend = 1MiB\n", file);
    (void)fclose(file);
    assert_int_equal(run_daemon(daemon, argument, line, sizeof line), 2);
    (void)unlink(path);
    assert_non_null(strstr(line, ":3"));
    assert_non_null(strstr(line, "extend"));
    /* A second sidecar on the socket of one that lives. */
    (void)snprintf(argument, sizeof argument, "--socket=%s", daemon->socket);
    int status = run_daemon(daemon, argument, line, sizeof line);
    assert_true(status > 0);
    assert_true(daemon_lives(daemon));
}

int main(void)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
#define TEST(function) cmocka_unit_test_setup_teardown(function, daemon_set_up, daemon_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_differing_namespace_is_named),
        cmocka_unit_test(test_who_may_not_attach_is_told_so),
        TEST(test_equal_keys_of_two_tenants_are_two_blocks),
        TEST(test_bad_configuration_is_refused_with_the_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
