/* tally: counts the system calls and the allocations of the calling thread.
 *
 * System calls by a seccomp filter that turns each into SIGSYS: the handler counts it and then does
 * it, so the program goes on as always. It cannot be taken off again, so it is armed in a child,
 * and a thread that has it neither starts threads nor ends itself (glibc blocks signals there, and
 * a blocked SIGSYS kills). The clock costs none where the vDSO can read it; elsewhere it is a call
 * that nobody can avoid, and is counted apart. Allocations by standing in front of malloc() and its
 * like, for the program and every library in it. Always: neither counts outside of tally_start()
 * and tally_stop().
 */
#ifndef CISTERN_TESTS_BUDGET_TALLY_H
#define CISTERN_TESTS_BUDGET_TALLY_H

#include <stdbool.h>
#include <stdint.h>

struct tally {
    uint64_t calls; /* system calls but for the clock */
    uint64_t clocks; /* clock_gettime() that went to the kernel */
    uint64_t allocations; /* malloc, calloc, realloc, free and the aligned ones */
    long last; /* number of the last system call; -1: none */
};

/* Count this thread's system calls from here on, for ever. Returns false if the kernel will not (no
 * seccomp), and errno. */
bool tally_arm(void);

/* Forget what was counted, and count this thread. */
void tally_start(void);

/* Count no more. */
struct tally tally_stop(void);

#endif
