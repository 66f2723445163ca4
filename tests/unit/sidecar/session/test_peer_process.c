/* peer_process: the pidfd is of the process behind the socket, and of no other. */
#include "tests/check.h"

#include "sidecar/session/peer_process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 10000

/* A child that waits until it is killed. */
static pid_t start_child(void)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* not left behind by a failed test */
        for (;;) {
            (void)pause();
        }
    }
    return child;
}

static void end_child(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void check_that_it_tells_of_the_death(int pidfd, pid_t child)
{
    struct pollfd look = {.fd = pidfd, .events = POLLIN};
    assert_int_equal(poll(&look, 1, 0), 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(poll(&look, 1, LONG_MS), 1);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void the_start_is_field_22_behind_the_last_bracket(void **state)
{
    (void)state;
    static const struct {
        const char *stat;
        uint64_t start;
    } rows[] = {
        {"7 (cat) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 12345 23 24", 12345},
        {"7 (a) b) 99 (c) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 678", 678},
        {"7 (cat) S 4 5", 0},
        {"7 (cat)", 0},
        {"no bracket at all", 0},
        {"", 0},
        {"7 (cat) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 ", 0},
    };
    for (size_t i = 0; i < CHECK_COUNT(rows); i++) {
        assert_int_equal(peer_process_start(rows[i].stat), rows[i].start);
    }
}

static void a_unix_socket_tells_of_its_peers_death(void **state)
{
    (void)state;
    int ends[2];
    char byte;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    int pidfd = peer_process_open(ends[0], getpid());
    assert_true(pidfd >= 0);
    struct pollfd look = {.fd = pidfd, .events = POLLIN};
    assert_int_equal(poll(&look, 1, 0), 0);
    (void)close(pidfd);
    (void)close(ends[1]);
    assert_int_equal(recv(ends[0], &byte, 1, 0), 0);
    (void)close(ends[0]);
}

/* A pipe knows no peer, so the number alone is used, as on a kernel without SO_PEERPIDFD. */
static void without_peer_pidfd_a_young_process_is_known_by_its_number(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < 3; i++) {
        pid_t child = start_child();
        int pidfd = peer_process_open(ends[0], child);
        assert_true(pidfd >= 0);
        check_that_it_tells_of_the_death(pidfd, child);
        (void)close(pidfd);
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void a_number_that_names_nobody_is_refused(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = start_child();
    end_child(child);
    assert_int_equal(peer_process_open(ends[0], child), -1);
    assert_int_equal(errno, ESRCH);
    assert_int_equal(peer_process_open(ends[0], 0), -1);
    assert_int_equal(errno, ESRCH);
    assert_int_equal(peer_process_open(ends[0], -1), -1);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* Whoever hung up may be dead, and its number another's. */
static void a_number_is_not_believed_after_a_hang_up(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    (void)close(ends[1]);
    assert_int_equal(peer_process_open(ends[0], getpid()), -1);
    assert_int_equal(errno, ESRCH);
    (void)close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_start_is_field_22_behind_the_last_bracket),
        cmocka_unit_test(a_unix_socket_tells_of_its_peers_death),
        cmocka_unit_test(without_peer_pidfd_a_young_process_is_known_by_its_number),
        cmocka_unit_test(a_number_that_names_nobody_is_refused),
        cmocka_unit_test(a_number_is_not_believed_after_a_hang_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
