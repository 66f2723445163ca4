/* cpu: affinity and cgroup quota. Spinning on the only processor keeps the server from running. */
#include "libclient/cpu.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>

#define SPIN_NS 20000u

static bool quota_allows_two(const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return true;
    }
    /* "max 100000", or "150000 100000": microseconds of processor time, and of wall time. */
    unsigned long long quota = 0;
    unsigned long long period = 0;
    int fields = fscanf(file, "%llu %llu", &quota, &period);
    (void)fclose(file);
    return fields != 2 || quota / 2 >= period;
}

uint64_t cpu_spin_ns(void)
{
    cpu_set_t set;
    /* More processors than the set has room for make the call fail: then there are enough. */
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) < 2) {
        return 0;
    }
    /* In a container this is its own group; on a plain host the root group has no such file. */
    return quota_allows_two("/sys/fs/cgroup/cpu.max") ? SPIN_NS : 0;
}
