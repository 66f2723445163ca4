/* host: what this machine, container and kernel give us.
 *
 * Read once at start by main; used to resolve "auto", to word refusals, and by --explain and
 * doctor. Files of /proc and /sys are foreign text: what is missing or odd counts as unknown, never
 * as an error.
 */
#ifndef CISTERN_SIDECAR_HOST_H
#define CISTERN_SIDECAR_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define HOST_UNKNOWN UINT64_MAX /* of a limit: none */
#define HOST_TEXT 64u
#define HOST_LINE 256u

struct host {
    uint32_t cpus; /* that this process may run on */
    uint32_t
        cpus_usable; /* the same, or what the CPU quota pays for if that is less; 0: below one */
    uint64_t cpu_quota_milli; /* thousandths of a CPU; HOST_UNKNOWN: no quota */
    uint64_t memory_bytes; /* that can be had now: the host's, or the container's if less */
    uint64_t memory_limit_bytes; /* of the container; HOST_UNKNOWN: none */
    uint64_t huge_page_bytes; /* of the default size; 0: the kernel has none */
    uint64_t huge_free_bytes; /* hugetlb pages that are free and not promised */
    uint64_t memlock_bytes; /* HOST_UNKNOWN: no limit */
    int io_uring_disabled; /* the sysctl: 0 allowed, 1 for a group, 2 off; -1: there is none */
    char shmem_thp[HOST_TEXT]; /* the chosen word of shmem_enabled; "": none */
    char kernel[HOST_TEXT]; /* release */
};

/* One finding, for people. */
struct host_line {
    const char *what; /* "cpu", "memory", ...: constant */
    bool fine; /* false: we go on, worse; `remedy` says what to do */
    char found[HOST_LINE];
    char remedy[HOST_LINE]; /* "" if fine */
};

/* Look. `root` is "" or where another view of / is mounted, without a slash at its end. */
void host_read(const char *root, struct host *out_host);

/* The sysctl kernel.io_uring_disabled below `root`: 0, 1, 2, or -1 if there is none. */
int host_io_uring_disabled(const char *root);

/* Finding number `index`, counted from 0. Returns false behind the last one. */
bool host_finding(const struct host *host, uint32_t index, struct host_line *out_line);

/* All findings, a line each. */
void host_explain(const struct host *host, FILE *out);

#endif
