/* loop: both backends keep the same promises. */
#include "tests/check.h"

#include "shm/status.h"
#include "sidecar/loop.h"

#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define LONG (10000 * MS) /* a deadline that only a broken loop meets */
#define SOON (20 * MS) /* waited out where nothing may come */

static enum loop_choice backend; /* of this run of the group */

/* One watched descriptor, and what was reported of it. */
struct seen {
    struct loop *loop;
    struct loop_watch *watch;
    struct seen *victim; /* unwatched by the callback, its descriptor closed */
    int fd;
    int calls;
    uint32_t what;
    bool read_it;
};

static void note(void *context, uint32_t what)
{
    struct seen *seen = context;
    seen->calls++;
    seen->what = what;
    if (seen->read_it) {
        char bytes[64];
        ssize_t count = read(seen->fd, bytes, sizeof bytes);
        (void)count;
    }
    struct seen *victim = seen->victim;
    if (victim != NULL && victim->watch != NULL) {
        loop_unwatch(seen->loop, victim->watch);
        victim->watch = NULL;
        assert_int_equal(close(victim->fd), 0);
    }
}

static struct loop *open_loop(void)
{
    char why[512];
    struct loop *loop = NULL;
    int status = loop_open(&loop, backend, why, sizeof why);
    if (status != STATUS_OK) {
        fail_msg("%s: %s", status_name(status), why);
    }
    return loop;
}

static void watch(struct loop *loop, struct seen *seen, int fd, enum loop_kind kind)
{
    seen->loop = loop;
    seen->fd = fd;
    assert_int_equal(loop_watch(loop, fd, kind, note, seen, &seen->watch), STATUS_OK);
}

/* Turn until `seen` was called `calls` times; every turn has a deadline. */
static void turn_until(struct loop *loop, const struct seen *seen, int calls)
{
    for (int i = 0; i < 10 && seen->calls < calls; i++) {
        assert_true(loop_turn(loop, LONG) >= 0);
    }
    assert_int_equal(seen->calls, calls);
}

/* Turn a while: nothing may be reported. */
static void turn_quietly(struct loop *loop)
{
    for (int i = 0; i < 3; i++) {
        assert_int_equal(loop_turn(loop, SOON), 0);
    }
}

static void ring(int fd)
{
    uint64_t one = 1;
    assert_int_equal(write(fd, &one, sizeof one), sizeof one);
}

static int make_bell(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void it_is_the_backend_that_was_asked_for(void **state)
{
    (void)state;
    struct loop *loop = open_loop();
    assert_string_equal(loop_name(loop), backend == LOOP_URING ? "io_uring" : "epoll");
    loop_close(loop);
}

static void a_level_is_reported_again_until_it_is_read(void **state)
{
    (void)state;
    struct loop *loop = open_loop();
    struct seen seen = {0};
    int fd = make_bell();
    watch(loop, &seen, fd, LOOP_LEVEL);
    turn_quietly(loop);
    ring(fd);
    turn_until(loop, &seen, 1);
    turn_until(loop, &seen, 2);
    assert_int_equal(seen.what, LOOP_READABLE);
    seen.read_it = true;
    turn_until(loop, &seen, 3);
    turn_quietly(loop);
    assert_int_equal(seen.calls, 3);
    loop_close(loop);
    assert_int_equal(close(fd), 0);
}

static void a_bell_is_heard_at_every_ring_though_nobody_reads_it(void **state)
{
    (void)state;
    struct loop *loop = open_loop();
    struct seen seen = {0};
    int fd = make_bell();
    watch(loop, &seen, fd, LOOP_EDGE);
    turn_quietly(loop);
    for (int i = 1; i <= 50; i++) {
        ring(fd);
        turn_until(loop, &seen, i);
    }
    turn_quietly(loop);
    assert_int_equal(seen.calls, 50);
    loop_unwatch(loop, seen.watch);
    loop_close(loop);
    assert_int_equal(close(fd), 0);
}

static void what_was_there_before_the_watch_is_reported(void **state)
{
    (void)state;
    struct loop *loop = open_loop();
    struct seen level = {0};
    struct seen edge = {0};
    int bells[2] = {make_bell(), make_bell()};
    ring(bells[0]);
    ring(bells[1]);
    watch(loop, &level, bells[0], LOOP_LEVEL);
    watch(loop, &edge, bells[1], LOOP_EDGE);
    turn_until(loop, &edge, 1);
    assert_true(level.calls >= 1);
    loop_close(loop);
    assert_int_equal(close(bells[0]), 0);
    assert_int_equal(close(bells[1]), 0);
}

static void a_look_sees_a_ring_without_waiting(void **state)
{
    (void)state;
    struct loop *loop = open_loop();
    struct seen seen = {0};
    int fd = make_bell();
    watch(loop, &seen, fd, LOOP_EDGE);
    assert_int_equal(loop_turn(loop, 0), 0);
    for (int i = 1; i <= 20; i++) {
        ring(fd);
        assert_int_equal(loop_turn(loop, 0), 1);
        assert_int_equal(seen.calls, i);
        assert_int_equal(loop_turn(loop, 0), 0);
    }
    loop_close(loop);
    assert_int_equal(close(fd), 0);
}

static void a_hang_up_is_told_apart_from_bytes(void **state)
{
    (void)state;
    struct loop *loop = open_loop();
    struct seen seen = {0};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    watch(loop, &seen, pair[0], LOOP_LEVEL);
    assert_int_equal(write(pair[1], "x", 1), 1);
    turn_until(loop, &seen, 1);
    assert_int_equal(seen.what, LOOP_READABLE);
    assert_int_equal(close(pair[1]), 0);
    turn_until(loop, &seen, 2);
    assert_int_equal(seen.what, LOOP_READABLE | LOOP_HANGUP);
    loop_close(loop);
    assert_int_equal(close(pair[0]), 0);
}

static void the_death_of_a_process_is_seen_through_its_pidfd(void **state)
{
    (void)state;
    struct loop *loop = open_loop();
    struct seen seen = {0};
    int gate[2];
    assert_int_equal(pipe(gate), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte;
        (void)close(gate[1]);
        _exit(read(gate[0], &byte, 1) == 0 ? 0 : 1);
    }
    int fd = (int)syscall(SYS_pidfd_open, child, 0);
    assert_true(fd >= 0);
    watch(loop, &seen, fd, LOOP_LEVEL);
    turn_quietly(loop);
    assert_int_equal(close(gate[1]), 0);
    turn_until(loop, &seen, 1);
    assert_true((seen.what & LOOP_READABLE) != 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    loop_close(loop);
    assert_int_equal(close(fd), 0);
    assert_int_equal(close(gate[0]), 0);
}

/* Two watches have something to report in the same turn: the first removes the other. */
static void an_unwatched_one_is_silent_even_in_the_same_turn(void **state)
{
    (void)state;
    static const enum loop_kind kinds[] = {LOOP_LEVEL, LOOP_EDGE};
    for (int i = 0; i < 4; i++) {
        struct loop *loop = open_loop();
        struct seen first = {.read_it = true};
        struct seen second = {.read_it = true, .victim = &first};
        first.victim = &second;
        watch(loop, &first, make_bell(), kinds[i & 1]);
        watch(loop, &second, make_bell(), kinds[i >> 1]);
        assert_int_equal(loop_turn(loop, 0), 0);
        ring(first.fd);
        ring(second.fd);
        assert_int_equal(loop_turn(loop, LONG), 1);
        turn_quietly(loop);
        assert_int_equal(first.calls + second.calls, 1);
        struct seen *left = first.watch != NULL ? &first : &second;
        assert_non_null(left->watch);
        loop_close(loop);
        assert_int_equal(close(left->fd), 0);
    }
}

static void a_watch_may_remove_itself_and_its_number_may_be_used_again(void **state)
{
    (void)state;
    struct loop *loop = open_loop();
    for (int i = 0; i < 300; i++) {
        struct seen seen = {.read_it = true};
        seen.victim = &seen;
        watch(loop, &seen, make_bell(), (i & 1) != 0 ? LOOP_EDGE : LOOP_LEVEL);
        ring(seen.fd);
        turn_until(loop, &seen, 1);
        assert_null(seen.watch);
    }
    turn_quietly(loop);
    loop_close(loop);
}

static void an_unwatched_socket_that_is_closed_hangs_up_at_its_peer(void **state)
{
    (void)state;
    struct loop *loop = open_loop();
    struct seen mine = {0};
    struct seen peer = {0};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    watch(loop, &mine, pair[0], LOOP_LEVEL);
    assert_int_equal(loop_turn(loop, 0), 0);
    loop_unwatch(loop, mine.watch);
    assert_int_equal(close(pair[0]), 0);
    watch(loop, &peer, pair[1], LOOP_LEVEL);
    turn_until(loop, &peer, 1);
    assert_true((peer.what & LOOP_HANGUP) != 0);
    assert_int_equal(mine.calls, 0);
    loop_close(loop);
    assert_int_equal(close(pair[1]), 0);
}

static void more_watches_than_a_turn_reports_are_all_reported(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    static struct seen seen[COUNT];
    struct loop *loop = open_loop();
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < COUNT; i++) {
        watch(loop, &seen[i], make_bell(), LOOP_EDGE);
    }
    assert_int_equal(loop_turn(loop, 0), 0);
    for (int i = 0; i < COUNT; i++) {
        ring(seen[i].fd);
    }
    int called = 0;
    for (int i = 0; i < COUNT && called < COUNT; i++) {
        int now = loop_turn(loop, LONG);
        assert_true(now >= 0 && now <= 64); /* a turn is bounded */
        called += now;
    }
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(seen[i].calls, 1);
        loop_unwatch(loop, seen[i].watch);
        assert_int_equal(close(seen[i].fd), 0);
    }
    turn_quietly(loop);
    loop_close(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_backend_that_was_asked_for),
        cmocka_unit_test(a_level_is_reported_again_until_it_is_read),
        cmocka_unit_test(a_bell_is_heard_at_every_ring_though_nobody_reads_it),
        cmocka_unit_test(what_was_there_before_the_watch_is_reported),
        cmocka_unit_test(a_look_sees_a_ring_without_waiting),
        cmocka_unit_test(a_hang_up_is_told_apart_from_bytes),
        cmocka_unit_test(the_death_of_a_process_is_seen_through_its_pidfd),
        cmocka_unit_test(an_unwatched_one_is_silent_even_in_the_same_turn),
        cmocka_unit_test(a_watch_may_remove_itself_and_its_number_may_be_used_again),
        cmocka_unit_test(an_unwatched_socket_that_is_closed_hangs_up_at_its_peer),
        cmocka_unit_test(more_watches_than_a_turn_reports_are_all_reported),
    };
    backend = LOOP_EPOLL;
    int failed = cmocka_run_group_tests_name("epoll", tests, NULL, NULL);
    char why[512];
    struct loop *loop = NULL;
    if (loop_open(&loop, LOOP_URING, why, sizeof why) != STATUS_OK) {
        return 1;
    }
    bool refused = strcmp(loop_name(loop), "io_uring") != 0;
    loop_close(loop);
    if (refused) {
        printf("skipped for io_uring: %s\n", why);
        return failed > 0 ? failed : CHECK_SKIP;
    }
    backend = LOOP_URING;
    return failed + cmocka_run_group_tests_name("io_uring", tests, NULL, NULL);
}
