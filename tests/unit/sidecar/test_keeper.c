/* keeper: servers die, their memory does not; and it knows when to stop. */
#include "tests/check.h"

#include "shm/atomic.h"
#include "shm/status.h"
#include "sidecar/keeper.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIVES_MAX 16u
#define WAIT_MS 20000

/* What the keeper's and the servers' processes tell the test. */
struct board {
    _Atomic uint32_t lives; /* servers that started */
    _Atomic uint32_t server; /* the pid of the one that waits */
    _Atomic uint32_t ended_cleanly;
    _Atomic uint32_t found[LIVES_MAX]; /* items that a server inherited */
    _Atomic uint32_t cold[LIVES_MAX];
    _Atomic uint32_t again[LIVES_MAX];
    _Atomic uint64_t number[LIVES_MAX]; /* read from the inherited eventfd */
};

static struct board *board;

static void nap(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static bool becomes(const _Atomic uint32_t *word, uint32_t value)
{
    for (int i = 0; i < WAIT_MS && shared32_load_acquire(word) != value; i++) {
        nap();
    }
    return shared32_load_acquire(word) == value;
}

/* How a server of a test ends. */
enum end { END_OK, END_KILL, END_ABORT, END_FAIL, END_FAIL_EARLY, END_WAIT };

struct play {
    enum end ends[LIVES_MAX];
    bool holds; /* each server holds one more item */
};

/* Wait for a SIGTERM, as a server does: blocked, and taken when it comes. */
static void wait_for_the_end(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    int number = 0;
    (void)sigwait(&set, &number);
    shared32_store_release(&board->ended_cleanly, 1);
}

static void look_at_inheritance(const struct keep *keep, uint32_t life, bool again)
{
    shared32_store_release(&board->found[life], keep->held.count);
    shared32_store_release(&board->cold[life], keep->cold);
    shared32_store_release(&board->again[life], again);
    const struct keep_item *item = keep_table_find(&keep->held, KEEP_CLASS, 0);
    uint64_t number = 0;
    if (item != NULL && read(item->fds[0], &number, sizeof number) == (ssize_t)sizeof number) {
        shared64_store_release(&board->number[life], number);
    }
}

static int serve(void *context, struct keep *keep, bool again)
{
    const struct play *play = context;
    uint32_t life = shared32_load_relaxed(&board->lives);
    enum end end = play->ends[life];
    look_at_inheritance(keep, life, again);
    if (play->holds) {
        int fd = eventfd(100 + life, EFD_NONBLOCK);
        (void)keep_hold(keep, KEEP_CLASS, life, "class", 6, &fd, 1);
    }
    if (end != END_FAIL_EARLY) {
        (void)keep_ready(keep);
    }
    shared32_store_release(&board->lives, life + 1);
    switch (end) {
    case END_KILL:
    case END_ABORT:
        (void)prctl(PR_SET_DUMPABLE, 0);
        (void)signal(SIGABRT, SIG_DFL);
        (void)kill(getpid(), end == END_KILL ? SIGKILL : SIGABRT);
        break;
    case END_WAIT:
        shared32_store_release(&board->server, (uint32_t)getpid());
        wait_for_the_end();
        return 0;
    case END_FAIL:
        return 1;
    case END_FAIL_EARLY:
        return 3;
    case END_OK:
        break;
    }
    return 0;
}

/* Run a keeper in a process of its own. */
static pid_t start(struct play *play)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct log log;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        log_init(&log, open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_DEBUG);
        exit(keeper_run(&log, serve, play));
    }
    assert_true(pid > 0);
    return pid;
}

static int end_of(pid_t pid)
{
    int how = 0;
    assert_int_equal(waitpid(pid, &how, 0), pid);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
}

static int set_up(void **state)
{
    (void)state;
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return board == MAP_FAILED ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    return munmap((void *)board, sizeof *board);
}

static void test_the_next_server_inherits_what_was_held(void **state)
{
    (void)state;
    struct play play = {.ends = {END_KILL, END_KILL, END_OK}, .holds = true};
    assert_int_equal(end_of(start(&play)), 0);
    assert_int_equal(shared32_load_acquire(&board->lives), 3);
    assert_int_equal(shared32_load_acquire(&board->found[0]), 0);
    assert_int_equal(shared32_load_acquire(&board->found[1]), 1);
    assert_int_equal(shared32_load_acquire(&board->found[2]), 2);
    assert_int_equal(shared64_load_acquire(&board->number[1]), 100);
    assert_int_equal(shared32_load_acquire(&board->again[0]), 0);
    assert_int_equal(shared32_load_acquire(&board->again[1]), 1);
}

static void test_a_server_that_never_served_is_not_started_again(void **state)
{
    (void)state;
    struct play play = {.ends = {END_FAIL_EARLY}};
    assert_int_equal(end_of(start(&play)), 3);
    assert_int_equal(shared32_load_acquire(&board->lives), 1);
}

static void test_a_server_that_fails_later_is(void **state)
{
    (void)state;
    struct play play = {.ends = {END_FAIL, END_FAIL_EARLY, END_OK}};
    assert_int_equal(end_of(start(&play)), 0);
    assert_int_equal(shared32_load_acquire(&board->lives), 3);
}

static void test_three_crashes_in_a_row_empty_the_cache(void **state)
{
    (void)state;
    struct play play = {.ends = {END_ABORT, END_ABORT, END_ABORT, END_KILL, END_OK}, .holds = true};
    assert_int_equal(end_of(start(&play)), 0);
    assert_int_equal(shared32_load_acquire(&board->cold[2]), 0);
    /* The fourth still sees it, to tell the clients; the fifth has what the fourth made. */
    assert_int_equal(shared32_load_acquire(&board->cold[3]), 1);
    assert_int_equal(shared32_load_acquire(&board->found[3]), 3);
    assert_int_equal(shared32_load_acquire(&board->cold[4]), 0);
    assert_int_equal(shared32_load_acquire(&board->found[4]), 1);
}

static void test_if_an_empty_one_fails_too_it_is_over(void **state)
{
    (void)state;
    struct play play = {
        .ends = {END_ABORT, END_FAIL_EARLY, END_FAIL_EARLY, END_FAIL_EARLY}, .holds = true};
    assert_int_equal(end_of(start(&play)), 3);
    assert_int_equal(shared32_load_acquire(&board->lives), 4);
    assert_int_equal(shared32_load_acquire(&board->cold[2]), 0);
    assert_int_equal(shared32_load_acquire(&board->cold[3]), 1);
}

static void test_kills_from_outside_say_nothing_about_the_memory(void **state)
{
    (void)state;
    struct play play = {
        .ends = {END_KILL, END_KILL, END_KILL, END_KILL, END_KILL, END_OK}, .holds = true};
    assert_int_equal(end_of(start(&play)), 0);
    assert_int_equal(shared32_load_acquire(&board->found[5]), 5);
    assert_int_equal(shared32_load_acquire(&board->cold[5]), 0);
}

static void test_a_signal_to_the_keeper_ends_both(void **state)
{
    (void)state;
    struct play play = {.ends = {END_WAIT}};
    pid_t keeper = start(&play);
    assert_true(becomes(&board->lives, 1));
    (void)kill(keeper, SIGTERM);
    assert_int_equal(end_of(keeper), 0);
    assert_int_equal(shared32_load_acquire(&board->ended_cleanly), 1);
}

static void test_the_death_of_the_keeper_ends_the_server_cleanly(void **state)
{
    (void)state;
    struct play play = {.ends = {END_WAIT}};
    pid_t keeper = start(&play);
    assert_true(becomes(&board->lives, 1));
    (void)kill(keeper, SIGKILL);
    assert_int_equal(end_of(keeper), -SIGKILL);
    assert_true(becomes(&board->ended_cleanly, 1));
}

static void test_a_server_that_was_told_to_stop_is_the_last(void **state)
{
    (void)state;
    struct play play = {.ends = {END_WAIT}};
    pid_t keeper = start(&play);
    assert_true(becomes(&board->lives, 1));
    while (shared32_load_acquire(&board->server) == 0) {
        nap();
    }
    (void)kill((pid_t)shared32_load_acquire(&board->server), SIGTERM);
    assert_int_equal(end_of(keeper), 0);
    assert_int_equal(shared32_load_acquire(&board->lives), 1);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_the_next_server_inherits_what_was_held),
        TEST(test_a_server_that_never_served_is_not_started_again),
        TEST(test_a_server_that_fails_later_is),
        TEST(test_three_crashes_in_a_row_empty_the_cache),
        TEST(test_if_an_empty_one_fails_too_it_is_over),
        TEST(test_kills_from_outside_say_nothing_about_the_memory),
        TEST(test_a_signal_to_the_keeper_ends_both),
        TEST(test_the_death_of_the_keeper_ends_the_server_cleanly),
        TEST(test_a_server_that_was_told_to_stop_is_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
