/* tally: see tally.h. The gate is the one instruction from which the filter lets a system call
 * pass. */
#include "tests/budget/tally.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* The allocator itself, under the names that glibc keeps for those who stand in front of it. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *memory);

/* Number, then six arguments; defined below. */
long tally_gate(long number, long a, long b, long c, long d, long e, long f);
extern const char tally_gate_end[] __attribute__((visibility("hidden")));

#if defined(__x86_64__)
__asm__(".text\n.globl tally_gate\n.hidden tally_gate\n.type tally_gate, @function\ntally_gate:\n"
        "mov %rdi, %rax\nmov %rsi, %rdi\nmov %rdx, %rsi\nmov %rcx, %rdx\n"
        "mov %r8, %r10\nmov %r9, %r8\nmov 8(%rsp), %r9\nsyscall\n"
        ".globl tally_gate_end\n.hidden tally_gate_end\ntally_gate_end:\nret\n");
#elif defined(__aarch64__)
__asm__(".text\n.globl tally_gate\n.hidden tally_gate\n.type tally_gate, %function\ntally_gate:\n"
        "mov x8, x0\nmov x0, x1\nmov x1, x2\nmov x2, x3\n"
        "mov x3, x4\nmov x4, x5\nmov x5, x6\nsvc #0\n"
        ".globl tally_gate_end\n.hidden tally_gate_end\ntally_gate_end:\nret\n");
#endif

static _Thread_local bool counting;
static _Thread_local struct tally counted;

static void count_allocation(void)
{
    counted.allocations += counting ? 1 : 0;
}

void *malloc(size_t bytes)
{
    count_allocation();
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    count_allocation();
    return __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    count_allocation();
    return __libc_realloc(old, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    count_allocation();
    return __libc_memalign(alignment, bytes);
}

void *memalign(size_t alignment, size_t bytes)
{
    count_allocation();
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **out_memory, size_t alignment, size_t bytes)
{
    count_allocation();
    void *memory = __libc_memalign(alignment, bytes);
    if (memory == NULL) {
        return ENOMEM;
    }
    *out_memory = memory;
    return 0;
}

void free(void *memory)
{
    count_allocation();
    __libc_free(memory);
}

static void count_call(long number)
{
    if (counting && number == SYS_clock_gettime) {
        counted.clocks++;
    } else if (counting) {
        counted.calls++;
        counted.last = number;
    }
}

static void trapped(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    int error = errno;
    ucontext_t *at = context;
    count_call(info->si_syscall);
#if defined(__x86_64__)
    greg_t *words = at->uc_mcontext.gregs;
    words[REG_RAX] = tally_gate(info->si_syscall, words[REG_RDI], words[REG_RSI], words[REG_RDX],
        words[REG_R10], words[REG_R8], words[REG_R9]);
#elif defined(__aarch64__)
    unsigned long long *words = at->uc_mcontext.regs;
    words[0] = (unsigned long long)tally_gate(info->si_syscall, (long)words[0], (long)words[1],
        (long)words[2], (long)words[3], (long)words[4], (long)words[5]);
#endif
    errno = error;
}

bool tally_arm(void)
{
#if defined(__x86_64__) || defined(__aarch64__)
    struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};
    uint64_t gate = (uint64_t)(uintptr_t)tally_gate_end;
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 4, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)gate, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(gate >> 32), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    struct sock_fprog program = {
        .len = (unsigned short)(sizeof rules / sizeof rules[0]), .filter = rules};
    return sigaction(SIGSYS, &action, NULL) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
#else
    errno = ENOSYS;
    return false;
#endif
}

void tally_start(void)
{
    counted = (struct tally){.last = -1};
    counting = true;
}

struct tally tally_stop(void)
{
    counting = false;
    return counted;
}
