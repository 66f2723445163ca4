/* keep: what the server says arrives whole, in order, even from a server that died at once. */
#include "tests/check.h"

#include "shm/hello.h"
#include "shm/status.h"
#include "sidecar/keep.h"

#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_pair(struct keep *keep)
{
    int ends[2];
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    *keep = (struct keep){.socket = ends[1]};
    return ends[0];
}

static struct keep_message hear(int socket, uint32_t *out_count)
{
    struct keep_message message;
    int fds[KEEP_TABLE_FDS];
    assert_int_equal(
        hello_receive(socket, &message, sizeof message, fds, KEEP_TABLE_FDS, out_count), STATUS_OK);
    assert_int_equal(message.magic, KEEP_MAGIC);
    for (uint32_t i = 0; i < *out_count; i++) {
        (void)close(fds[i]);
    }
    return message;
}

static void test_words_of_a_dead_server_can_still_be_read(void **state)
{
    (void)state;
    struct keep keep;
    int keeper = open_pair(&keep);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fds[2] = {eventfd(0, 0), eventfd(0, 0)};
        int status = keep_hold(&keep, KEEP_SESSION, 7, "lane", 5, fds, 2);
        keep_drop(&keep, KEEP_CLASS, 3);
        status |= keep_ready(&keep);
        (void)kill(getpid(), status == STATUS_OK ? SIGKILL : SIGABRT);
    }
    keep_close(&keep);
    int how;
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    uint32_t count = 0;
    struct keep_message message = hear(keeper, &count);
    assert_int_equal(message.verb, KEEP_HOLD);
    assert_int_equal(message.kind, KEEP_SESSION);
    assert_int_equal(message.id, 7);
    assert_int_equal(message.bytes, 5);
    assert_string_equal((char *)message.blob, "lane");
    assert_int_equal(count, 2);
    message = hear(keeper, &count);
    assert_int_equal(message.verb, KEEP_DROP);
    assert_int_equal(message.kind, KEEP_CLASS);
    assert_int_equal(message.id, 3);
    assert_int_equal(hear(keeper, &count).verb, KEEP_READY);
    int status = hello_receive(keeper, &message, sizeof message, NULL, 0, &count);
    assert_int_equal(status, STATUS_NO_SERVER);
    (void)close(keeper);
}

static void test_a_keeper_that_does_not_read_is_not_waited_for_long(void **state)
{
    (void)state;
    struct keep keep;
    int keeper = open_pair(&keep);
    int status = STATUS_OK;
    uint32_t sent = 0;
    while (status == STATUS_OK && sent < 100000) {
        status = keep_hold(&keep, KEEP_SPACE, sent++, "name", 5, NULL, 0);
    }
    assert_int_equal(status, STATUS_BUSY);
    assert_true(sent > 16);
    (void)close(keeper);
    assert_int_equal(keep_hold(&keep, KEEP_SPACE, 0, NULL, 0, NULL, 0), STATUS_NO_SERVER);
    keep_close(&keep);
}

static void test_without_a_keeper_every_call_does_nothing(void **state)
{
    (void)state;
    assert_int_equal(keep_hold(NULL, KEEP_SPACE, 1, "x", 2, NULL, 0), STATUS_OK);
    keep_drop(NULL, KEEP_SPACE, 1);
    assert_int_equal(keep_ready(NULL), STATUS_OK);
    keep_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_of_a_dead_server_can_still_be_read),
        cmocka_unit_test(test_a_keeper_that_does_not_read_is_not_waited_for_long),
        cmocka_unit_test(test_without_a_keeper_every_call_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
