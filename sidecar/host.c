/* host: reads /proc, /sys and a few system calls. See host.h for the rules. */
#include "sidecar/host.h"

#include "sidecar/host_cgroup.h"

#include <assert.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#define FILE_BYTES 16384u /* of a file we look at; none is longer where it matters */

/* Read the start of a file below `root` as text. Returns false, and "", if it cannot be read. */
static bool read_text(const char *root, const char *path, char *out_text)
{
    char full[4096];
    out_text[0] = '\0';
    int length = snprintf(full, sizeof full, "%s%s", root, path);
    FILE *file = length < (int)sizeof full ? fopen(full, "re") : NULL;
    if (file == NULL) {
        return false;
    }
    size_t bytes = fread(out_text, 1, FILE_BYTES - 1, file);
    out_text[bytes] = '\0';
    (void)fclose(file);
    return true;
}

/* The number behind `name` at the start of a line, or HOST_UNKNOWN. */
static uint64_t find_number(const char *text, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = text; line != NULL && *line != '\0';) {
        if (strncmp(line, name, length) == 0) {
            char *end = NULL;
            uint64_t value = strtoull(line + length, &end, 10);
            return end == line + length ? HOST_UNKNOWN : value;
        }
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    return HOST_UNKNOWN;
}

static void read_memory(const char *text, struct host *host)
{
    uint64_t available_kib = find_number(text, "MemAvailable:");
    uint64_t page_kib = find_number(text, "Hugepagesize:");
    uint64_t pages = find_number(text, "HugePages_Free:");
    uint64_t promised = find_number(text, "HugePages_Rsvd:");
    if (available_kib < HOST_UNKNOWN >> 10) {
        host->memory_bytes = available_kib << 10;
    }
    if (page_kib < UINT32_MAX) {
        host->huge_page_bytes = page_kib << 10;
    }
    if (pages < UINT32_MAX && promised <= pages) {
        host->huge_free_bytes = (pages - promised) * host->huge_page_bytes;
    }
}

/* "always within_size [never]": the word in brackets. */
static void read_chosen(const char *text, char *out_word)
{
    const char *begin = strchr(text, '[');
    size_t length = begin == NULL ? 0 : strcspn(begin + 1, "]\n");
    if (begin != NULL && length < HOST_TEXT && begin[1 + length] == ']') {
        memcpy(out_word, begin + 1, length);
        out_word[length] = '\0';
    }
}

int host_io_uring_disabled(const char *root)
{
    char text[FILE_BYTES];
    if (!read_text(root, "/proc/sys/kernel/io_uring_disabled", text) || text[0] < '0' ||
        text[0] > '2' || text[1] != '\n') {
        return -1;
    }
    return text[0] - '0';
}

static uint32_t count_cpus(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        return 1; /* more CPUs than the set has room for: rare, and one is a safe answer */
    }
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : (uint32_t)count;
}

void host_read(const char *root, struct host *out_host)
{
    char text[FILE_BYTES];
    struct host host = {
        .cpus = count_cpus(),
        .memory_bytes = HOST_UNKNOWN,
        .memlock_bytes = HOST_UNKNOWN,
        .io_uring_disabled = host_io_uring_disabled(root),
    };
    if (read_text(root, "/proc/meminfo", text)) {
        read_memory(text, &host);
    }
    if (read_text(root, "/sys/kernel/mm/transparent_hugepage/shmem_enabled", text)) {
        read_chosen(text, host.shmem_thp);
    }
    struct host_cgroup group;
    host_cgroup_read(root, &group);
    host.cpu_quota_milli = group.cpu_quota_milli;
    host.memory_limit_bytes = group.memory_limit_bytes;
    if (group.memory_room_bytes < host.memory_bytes) {
        host.memory_bytes = group.memory_room_bytes;
    }
    host.cpus_usable = host.cpus;
    if (host.cpu_quota_milli / 1000 < host.cpus_usable) {
        host.cpus_usable = (uint32_t)(host.cpu_quota_milli / 1000);
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        host.memlock_bytes = limit.rlim_cur;
    }
    struct utsname name;
    if (uname(&name) == 0) {
        (void)snprintf(host.kernel, sizeof host.kernel, "%.63s", name.release);
    }
    *out_host = host;
}
