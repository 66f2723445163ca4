/* host_cgroup: walks from our own group to the top. See host_cgroup.h. */
#include "sidecar/host_cgroup.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_ROOM 4096u
#define DEPTH_MAX 64u
#define NONE UINT64_MAX
/* Version 1 says "no limit" as the largest multiple of a page. */
#define UNLIMITED_V1 (UINT64_C(1) << 62)

/* Read the start of `mount`/`group`/`file`. Returns false if there is none. */
static bool read_text(
    const char *mount, const char *group, const char *file, char *out_text, size_t bytes)
{
    char path[2 * PATH_ROOM];
    int length =
        snprintf(path, sizeof path, "%s%s/%s", mount, strcmp(group, "/") == 0 ? "" : group, file);
    if (length < 0 || (size_t)length >= sizeof path) {
        return false;
    }
    FILE *stream = fopen(path, "re");
    if (stream == NULL) {
        return false;
    }
    size_t count = fread(out_text, 1, bytes - 1, stream);
    out_text[count] = '\0';
    (void)fclose(stream);
    return true;
}

/* A file of one number. "max", -1, nothing and nonsense are NONE. */
static uint64_t read_number(const char *mount, const char *group, const char *file)
{
    char text[64];
    if (!read_text(mount, group, file, text, sizeof text) || !isdigit((unsigned char)text[0])) {
        return NONE;
    }
    return strtoull(text, NULL, 10);
}

/* A line "name number" of memory.stat, or 0. */
static uint64_t read_stat(const char *mount, const char *group, const char *name)
{
    char text[8192];
    if (!read_text(mount, group, "memory.stat", text, sizeof text)) {
        return 0;
    }
    size_t length = strlen(name);
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, name, length) == 0 && line[length] == ' ') {
            return strtoull(line + length, NULL, 10);
        }
    }
    return 0;
}

static void lower(uint64_t *limit, uint64_t value)
{
    *limit = value < *limit ? value : *limit;
}

static void lower_cpu(struct host_cgroup *group, uint64_t quota_us, uint64_t period_us)
{
    if (quota_us < NONE / 1000 && period_us > 0) {
        lower(&group->cpu_quota_milli, quota_us * 1000 / period_us);
    }
}

static void lower_memory(
    struct host_cgroup *group, uint64_t limit, uint64_t used, uint64_t reclaimable)
{
    if (limit == NONE) {
        return;
    }
    lower(&group->memory_limit_bytes, limit);
    if (used == NONE) {
        lower(&group->memory_room_bytes, limit);
        return;
    }
    uint64_t held = used > reclaimable ? used - reclaimable : 0;
    lower(&group->memory_room_bytes, limit > held ? limit - held : 0);
}

static void look_v2(const char *mount, const char *path, struct host_cgroup *group)
{
    char text[64];
    if (read_text(mount, path, "cpu.max", text, sizeof text) && isdigit((unsigned char)text[0])) {
        char *end = NULL;
        uint64_t quota = strtoull(text, &end, 10);
        lower_cpu(group, quota, strtoull(end, NULL, 10));
    }
    lower_memory(group, read_number(mount, path, "memory.max"),
        read_number(mount, path, "memory.current"), read_stat(mount, path, "inactive_file"));
}

static void look_v1_cpu(const char *mount, const char *path, struct host_cgroup *group)
{
    lower_cpu(group, read_number(mount, path, "cpu.cfs_quota_us"),
        read_number(mount, path, "cpu.cfs_period_us"));
}

static void look_v1_memory(const char *mount, const char *path, struct host_cgroup *group)
{
    uint64_t limit = read_number(mount, path, "memory.limit_in_bytes");
    lower_memory(group, limit >= UNLIMITED_V1 ? NONE : limit,
        read_number(mount, path, "memory.usage_in_bytes"),
        read_stat(mount, path, "total_inactive_file"));
}

/* Look at the group and at all above it. A container may see the path of its host there, but only
 * its own group mounted: what is missing is passed over, the top is always there. */
static void climb(const char *root, const char *mount_point, const char *path,
    void (*look)(const char *mount, const char *path, struct host_cgroup *group),
    struct host_cgroup *group)
{
    char mount[PATH_ROOM];
    char here[PATH_ROOM];
    (void)snprintf(mount, sizeof mount, "%s%s", root, mount_point);
    (void)snprintf(here, sizeof here, "%s", path);
    for (uint32_t depth = 0; depth < DEPTH_MAX; depth++) {
        look(mount, here, group);
        char *cut = strrchr(here, '/');
        if (cut == NULL || strcmp(here, "/") == 0) {
            break;
        }
        cut[cut == here ? 1 : 0] = '\0';
    }
}

/* Is `word` one of "a,b,c"? */
static bool listed(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',' ? 1 : 0;
        if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

void host_cgroup_read(const char *root, struct host_cgroup *out_group)
{
    struct host_cgroup group = {NONE, NONE, NONE};
    char text[8192];
    char *rest = NULL;
    if (!read_text(root, "/proc/self", "cgroup", text, sizeof text)) {
        text[0] = '\0';
    }
    /* Lines "number:controllers:path"; version 2 has no controllers. */
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *names = strchr(line, ':');
        char *path = names == NULL ? NULL : strchr(names + 1, ':');
        if (path == NULL || path[1] != '/' || strlen(path) >= PATH_ROOM) {
            continue;
        }
        *path++ = '\0';
        names++;
        if (names[0] == '\0') {
            climb(root, "/sys/fs/cgroup", path, look_v2, &group);
        }
        if (listed(names, "memory")) {
            climb(root, "/sys/fs/cgroup/memory", path, look_v1_memory, &group);
        }
        if (listed(names, "cpu")) {
            climb(root, "/sys/fs/cgroup/cpu", path, look_v1_cpu, &group);
        }
    }
    *out_group = group;
}
