/* folder: a directory of the test's own, gone with everything in it afterwards. */
#ifndef CISTERN_TESTS_UNIT_SIDECAR_TIER_FOLDER_H
#define CISTERN_TESTS_UNIT_SIDECAR_TIER_FOLDER_H

#include "tests/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder {
    char path[96];
};

static inline void folder_open(struct folder *folder)
{
    const char *parent = getenv("TMPDIR");
    (void)snprintf(folder->path, sizeof folder->path, "%.60s/cistern-tier-XXXXXX",
        parent != NULL && parent[0] != '\0' ? parent : "/tmp");
    assert_non_null(mkdtemp(folder->path));
}

/* Remove the files; directories in it are not ours. */
static inline void folder_empty(const struct folder *folder)
{
    DIR *list = opendir(folder->path);
    assert_non_null(list);
    const struct dirent *row;
    while ((row = readdir(list)) != NULL) {
        (void)unlinkat(dirfd(list), row->d_name, 0);
    }
    (void)closedir(list);
}

static inline void folder_close(const struct folder *folder)
{
    folder_empty(folder);
    assert_int_equal(rmdir(folder->path), 0);
}

static inline void folder_file(const struct folder *folder, const char *name, char *out_path)
{
    (void)snprintf(out_path, 256, "%s/%s", folder->path, name);
}

/* Write a file of these bytes and this mode. */
static inline void folder_write(
    const struct folder *folder, const char *name, const void *data, size_t bytes, mode_t mode)
{
    char path[256];
    folder_file(folder, name, path);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, data, bytes), bytes);
    assert_int_equal(fchmod(file, mode), 0);
    assert_int_equal(close(file), 0);
}

/* How many files are there whose name ends like this? */
static inline uint32_t folder_count(const struct folder *folder, const char *end)
{
    uint32_t count = 0;
    DIR *list = opendir(folder->path);
    assert_non_null(list);
    const struct dirent *row;
    while ((row = readdir(list)) != NULL) {
        size_t length = strlen(row->d_name);
        count += length >= strlen(end) && strcmp(row->d_name + length - strlen(end), end) == 0;
    }
    (void)closedir(list);
    return count;
}

#endif
