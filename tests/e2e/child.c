/* child: processes that are watched; see child.h. */
#include "tests/e2e/child.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

uint64_t child_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void child_nap(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

bool child_start(struct child *out_child, child_work *work, void *context)
{
    struct child_page *page =
        mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return false;
    }
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* cmocka's handlers would jump into the parent's test, here. */
        const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS};
        for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
            (void)signal(faults[i], SIG_DFL);
        }
        int status = work(context, page);
        /* exit(), not _exit(): a sanitizer reports its findings at the end of a program. */
        exit(status);
    }
    if (pid < 0) {
        (void)munmap(page, sizeof *page);
        return false;
    }
    *out_child = (struct child){.pid = pid, .page = page};
    return true;
}

static bool has_ended(const struct child *child)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid != 0;
}

int child_end(struct child *child)
{
    if (child->pid <= 0) {
        return -1;
    }
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    while (!has_ended(child) && child_now_ns() < deadline) {
        child_nap();
    }
    bool hung = !has_ended(child);
    if (hung) {
        (void)kill(child->pid, SIGKILL);
    }
    int status = 0;
    (void)waitpid(child->pid, &status, 0);
    int result = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    if (hung) {
        (void)fprintf(stderr, "child %d hung at point %u\n", child->pid,
            shared32_load_acquire(&child->page->point));
        result = -1;
    } else if (result != 0 && child->page->said[0] != '\0') {
        (void)fprintf(stderr, "child %d: %s\n", child->pid, child->page->said);
    }
    (void)munmap(child->page, sizeof *child->page);
    *child = (struct child){0};
    return result;
}

void child_kill(struct child *child)
{
    if (child->pid > 0) {
        (void)kill(child->pid, SIGKILL);
        (void)waitpid(child->pid, NULL, 0);
        (void)munmap(child->page, sizeof *child->page);
        *child = (struct child){0};
    }
}

int child_run(child_work *work, void *context)
{
    struct child child;
    return child_start(&child, work, context) ? child_end(&child) : -1;
}

bool child_reaches(struct child *child, uint32_t point)
{
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    while (shared32_load_acquire(&child->page->point) < point) {
        if (has_ended(child) || child_now_ns() > deadline) {
            /* It may have said so and ended between the two looks. */
            return shared32_load_acquire(&child->page->point) >= point;
        }
        child_nap();
    }
    return true;
}

void child_let(struct child *child, uint32_t point)
{
    shared32_store_release(&child->page->go, point);
}

void child_at(struct child_page *page, uint32_t point)
{
    shared32_store_release(&page->point, point);
}

void child_await(struct child_page *page, uint32_t point)
{
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    while (shared32_load_acquire(&page->go) < point) {
        child_need(page, child_now_ns() < deadline, "the parent never let it go to %u", point);
        child_nap();
    }
}

void child_need(struct child_page *page, bool holds, const char *format, ...)
{
    if (holds) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(page->said, sizeof page->said, format, arguments);
    va_end(arguments);
    _exit(1);
}
