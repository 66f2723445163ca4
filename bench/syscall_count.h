/* syscall_count: how many system calls a stretch of code makes, counted by the kernel.
 *
 * A seccomp filter turns every system call of the calling process, but exit and the return from the
 * signal's handler, into SIGSYS, whose handler counts. There is no way back: use it in a forked
 * worker that ends soon after. Calls are counted, not carried out.
 */
#ifndef CISTERN_BENCH_SYSCALL_COUNT_H
#define CISTERN_BENCH_SYSCALL_COUNT_H

#include <stdbool.h>
#include <stdint.h>

#define SYSCALL_COUNT_HOW "a seccomp filter traps every system call in a forked client"

/* Returns false where the kernel refuses filters, and under a sanitizer. */
bool syscall_count_start(void);

uint64_t syscall_count(void);

#endif
