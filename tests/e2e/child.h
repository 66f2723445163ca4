/* child: a process of the test's own, that can fail, be killed, and be heard.
 *
 * Workers and intruders run in children, because the sidecar judges processes: what one was lent
 * comes home when it ended. A child shares one page with its parent, through which it says where it
 * is (a word a side, ordering 1) and what went wrong. It does not use cmocka: it ends with 0 or
 * not.
 */
#ifndef CISTERN_TESTS_E2E_CHILD_H
#define CISTERN_TESTS_E2E_CHILD_H

#include "shm/atomic.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CHILD_WAIT_NS UINT64_C(60000000000) /* a hang is a failure after this */
#define CHILD_WORDS 8

struct child_page {
    _Atomic uint32_t point; /* written by the child: how far it is */
    _Atomic uint32_t go; /* written by the parent: how far it may go */
    _Atomic uint64_t word[CHILD_WORDS]; /* written by the child: whatever it found */
    char said[1024]; /* written by the child before it ends */
};

struct child {
    pid_t pid; /* 0: none */
    struct child_page *page;
};

/* What a child does; its result is its exit status. */
typedef int child_work(void *context, struct child_page *page);

/* Fork, and run `work` in the child, which dies with its parent. Returns false if there is no
 * process or memory to be had. */
bool child_start(struct child *out_child, child_work *work, void *context);

/* Wait for its end. Returns its exit status; 1000 + signal if one killed it; -1 if it had to be
 * killed because it hung. What it said goes to stderr if the status is not 0. */
int child_end(struct child *child);

/* kill -9. */
void child_kill(struct child *child);

/* child_start() and child_end(). */
int child_run(child_work *work, void *context);

/* Parent: wait until the child is at `point` or further. Returns false if it ended or hung
 * before. */
bool child_reaches(struct child *child, uint32_t point);

/* Parent: let it go on to `point`. */
void child_let(struct child *child, uint32_t point);

/* Child: say that `point` is reached. */
void child_at(struct child_page *page, uint32_t point);

/* Child: wait until the parent lets it go on to `point`. Ends the process if that never happens. */
void child_await(struct child_page *page, uint32_t point);

/* Child: end the process with what is printed, unless `holds`. */
__attribute__((format(printf, 3, 4))) void child_need(
    struct child_page *page, bool holds, const char *format, ...);

/* The monotonic clock, and a millisecond's sleep between two looks. */
uint64_t child_now_ns(void);
void child_nap(void);

#endif
