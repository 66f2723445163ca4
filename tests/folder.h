/* folder: the end of a folder that a test made. */
#ifndef CISTERN_TESTS_FOLDER_H
#define CISTERN_TESTS_FOLDER_H

#include <dirent.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* Remove a folder and the files in it. Returns 0; else as rmdir(), which refuses one with folders
 * in it. */
static inline int folder_remove(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return rmdir(path);
}

#endif
