/* loop: where io_uring is refused, epoll serves, and the reason and the remedy are told.
 *
 * A seccomp filter in a child process refuses, as container runtimes do.
 */
#include "tests/check.h"

#include "shm/status.h"
#include "sidecar/loop.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WHY 512

/* From now on the system call fails with `error` in this process. */
static bool refuse(long call, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = CHECK_COUNT(code), .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void count(void *context, uint32_t what)
{
    *(int *)context += what == LOOP_READABLE ? 1 : 0;
}

/* What the child does: 0 if the loop fell back, said `word`, and works. */
static int try_loop(long call, int error, enum loop_choice choice, const char *word)
{
    char why[WHY];
    struct loop *loop = NULL;
    struct loop_watch *watch = NULL;
    int calls = 0;
    uint64_t one = 1;
    if (!refuse(call, error)) {
        return CHECK_SKIP;
    }
    if (loop_open(&loop, choice, why, sizeof why) != STATUS_OK) {
        return 1;
    }
    printf("%s\n", why);
    (void)fflush(stdout);
    if (strcmp(loop_name(loop), "epoll") != 0 || strncmp(why, "epoll, because", 14) != 0 ||
        strstr(why, word) == NULL || strstr(why, "remedy: ") == NULL) {
        return 2;
    }
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0 || loop_watch(loop, fd, LOOP_EDGE, count, &calls, &watch) != STATUS_OK ||
        write(fd, &one, sizeof one) != sizeof one || loop_turn(loop, INT64_C(5000000000)) != 1) {
        return 3;
    }
    loop_close(loop);
    return calls == 1 ? 0 : 4;
}

static void expect_fallback(long call, int error, enum loop_choice choice, const char *word)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(try_loop(call, error, choice, word));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CHECK_SKIP) {
        printf("skipped: this host refuses seccomp filters\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_seccomp_filter_is_named_with_the_profile_to_change(void **state)
{
    (void)state;
    expect_fallback(SYS_io_uring_setup, EPERM, LOOP_AUTO, "seccomp");
}

static void asking_for_io_uring_does_not_stop_the_fallback(void **state)
{
    (void)state;
    expect_fallback(SYS_io_uring_setup, EPERM, LOOP_URING, "seccomp");
}

static void a_kernel_without_io_uring_is_told(void **state)
{
    (void)state;
    expect_fallback(SYS_io_uring_setup, ENOSYS, LOOP_AUTO, "Linux 5.13");
}

static void a_small_memlock_limit_is_told(void **state)
{
    (void)state;
    expect_fallback(SYS_io_uring_setup, ENOMEM, LOOP_AUTO, "ulimit -l");
}

static void a_ring_that_may_be_made_but_not_used_is_refused_as_well(void **state)
{
    (void)state;
    expect_fallback(SYS_io_uring_enter, EPERM, LOOP_AUTO, "io_uring_enter");
}

static void epoll_without_nanoseconds_waits_in_milliseconds(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char why[WHY];
        struct loop *loop = NULL;
        bool works = refuse(SYS_epoll_pwait2, ENOSYS) &&
                     loop_open(&loop, LOOP_EPOLL, why, sizeof why) == STATUS_OK &&
                     loop_turn(loop, 1000) == 0 && loop_turn(loop, 0) == 0;
        loop_close(loop);
        _exit(works ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seccomp_filter_is_named_with_the_profile_to_change),
        cmocka_unit_test(asking_for_io_uring_does_not_stop_the_fallback),
        cmocka_unit_test(a_kernel_without_io_uring_is_told),
        cmocka_unit_test(a_small_memlock_limit_is_told),
        cmocka_unit_test(a_ring_that_may_be_made_but_not_used_is_refused_as_well),
        cmocka_unit_test(epoll_without_nanoseconds_waits_in_milliseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
