/* host_finding: what the host gives, in words, with remedies. For --explain and doctor. */
#include "sidecar/host.h"

#include <string.h>

#define SMALL_MEMLOCK (UINT64_C(64) << 20)

static void find_cpu(const struct host *host, struct host_line *line)
{
    line->what = "cpu";
    line->fine = host->cpus_usable >= 2;
    if (host->cpu_quota_milli == HOST_UNKNOWN) {
        (void)snprintf(line->found, HOST_LINE, "%u CPUs, no quota", host->cpus);
    } else {
        (void)snprintf(line->found, HOST_LINE, "%u CPUs, quota of %.1f", host->cpus,
            (double)host->cpu_quota_milli / 1000);
    }
    if (!line->fine) {
        (void)snprintf(line->remedy, HOST_LINE,
            "two whole CPUs let the server poll; with less it sleeps at once and each wake-up "
            "costs "
            "tens of microseconds");
    }
}

static void find_memory(const struct host *host, struct host_line *line)
{
    line->what = "memory";
    line->fine = host->memory_bytes != HOST_UNKNOWN;
    if (!line->fine) {
        (void)snprintf(line->found, HOST_LINE, "unknown");
        (void)snprintf(line->remedy, HOST_LINE, "mount /proc, or set pool");
        return;
    }
    char limit[64] = "no limit of the container";
    if (host->memory_limit_bytes != HOST_UNKNOWN) {
        (void)snprintf(limit, sizeof limit, "the container's limit is %llu MiB",
            (unsigned long long)(host->memory_limit_bytes >> 20));
    }
    (void)snprintf(line->found, HOST_LINE, "%llu MiB available, %s",
        (unsigned long long)(host->memory_bytes >> 20), limit);
}

static void find_huge(const struct host *host, struct host_line *line)
{
    line->what = "huge pages";
    line->fine = host->huge_free_bytes > 0;
    (void)snprintf(line->found, HOST_LINE, "%llu MiB free in pages of %llu KiB",
        (unsigned long long)(host->huge_free_bytes >> 20),
        (unsigned long long)(host->huge_page_bytes >> 10));
    if (host->huge_page_bytes == 0) {
        (void)snprintf(line->found, HOST_LINE, "the kernel has none");
        (void)snprintf(line->remedy, HOST_LINE, "a kernel with CONFIG_HUGETLBFS");
    } else if (!line->fine) {
        (void)snprintf(line->remedy, HOST_LINE,
            "sysctl vm.nr_hugepages=N, N = pool / %llu KiB; in Kubernetes a limit of hugepages",
            (unsigned long long)(host->huge_page_bytes >> 10));
    }
}

static void find_thp(const struct host *host, struct host_line *line)
{
    line->what = "transparent huge pages of shared memory";
    line->fine = strcmp(host->shmem_thp, "always") == 0 || strcmp(host->shmem_thp, "advise") == 0 ||
                 strcmp(host->shmem_thp, "within_size") == 0;
    (void)snprintf(
        line->found, HOST_LINE, "%s", host->shmem_thp[0] == '\0' ? "unknown" : host->shmem_thp);
    if (!line->fine) {
        (void)snprintf(line->remedy, HOST_LINE,
            "echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled (not needed with huge "
            "pages)");
    }
}

static void find_memlock(const struct host *host, struct host_line *line)
{
    line->what = "memlock";
    line->fine = host->memlock_bytes >= SMALL_MEMLOCK;
    if (host->memlock_bytes == HOST_UNKNOWN) {
        (void)snprintf(line->found, HOST_LINE, "no limit");
        return;
    }
    (void)snprintf(
        line->found, HOST_LINE, "%llu KiB", (unsigned long long)(host->memlock_bytes >> 10));
    if (!line->fine) {
        (void)snprintf(line->remedy, HOST_LINE,
            "ulimit -l unlimited, or LimitMEMLOCK=infinity in the unit, before buffers are "
            "registered for disks or devices");
    }
}

static void find_io_uring(const struct host *host, struct host_line *line)
{
    static const char *const found[] = {"no sysctl forbids it", "allowed",
        "for privileged processes and one group", "switched off"};
    line->what = "io_uring";
    line->fine = host->io_uring_disabled <= 0;
    (void)snprintf(line->found, HOST_LINE, "%s", found[host->io_uring_disabled + 1]);
    if (!line->fine) {
        (void)snprintf(line->remedy, HOST_LINE, "sysctl kernel.io_uring_disabled=0");
    }
}

static void find_kernel(const struct host *host, struct host_line *line)
{
    unsigned major = 0;
    unsigned minor = 0;
    line->what = "kernel";
    line->fine = sscanf(host->kernel, "%u.%u", &major, &minor) == 2 &&
                 (major > 6 || (major == 6 && minor >= 1));
    (void)snprintf(line->found, HOST_LINE, "%s", host->kernel);
    if (!line->fine) {
        (void)snprintf(
            line->remedy, HOST_LINE, "Linux 6.1 or later has the cheapest way to wait for events");
    }
}

bool host_finding(const struct host *host, uint32_t index, struct host_line *out_line)
{
    static void (*const find[])(const struct host *, struct host_line *) = {
        find_kernel, find_cpu, find_memory, find_huge, find_thp, find_memlock, find_io_uring};
    if (index >= sizeof find / sizeof find[0]) {
        return false;
    }
    struct host_line line = {.fine = false};
    find[index](host, &line);
    *out_line = line;
    return true;
}

void host_explain(const struct host *host, FILE *out)
{
    struct host_line line;
    for (uint32_t i = 0; host_finding(host, i, &line); i++) {
        (void)fprintf(
            out, "%s: %s%s%s\n", line.what, line.found, line.fine ? "" : "; remedy: ", line.remedy);
    }
}
