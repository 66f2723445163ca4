/* mapping: see mapping.h. */
#include "libclient/mapping.h"

#include "shm/status.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool mapping_is(const struct mapping *known, int fd, uint64_t bytes, bool writable)
{
    struct stat file;
    return known != NULL && known->segment.bytes == bytes && known->writable == writable &&
           fstat(fd, &file) == 0 && file.st_dev == known->device && file.st_ino == known->inode;
}

int mapping_open(int fd, uint64_t bytes, bool writable, struct mapping **out_mapping)
{
    struct stat file;
    struct mapping *mapping = malloc(sizeof *mapping);
    if (mapping == NULL || fstat(fd, &file) != 0) {
        int status = mapping == NULL ? STATUS_NO_MEMORY : STATUS_IO;
        free(mapping);
        (void)close(fd);
        return status;
    }
    *mapping = (struct mapping){.segment = SEGMENT_NONE,
        .device = file.st_dev,
        .inode = file.st_ino,
        .writable = writable,
        .users = 1};
    int status = segment_map(fd, bytes, writable, &mapping->segment);
    if (status != STATUS_OK) {
        free(mapping);
        return status;
    }
    *out_mapping = mapping;
    return STATUS_OK;
}

void mapping_drop(struct mapping **mapping_pointer)
{
    struct mapping *mapping = *mapping_pointer;
    if (mapping == NULL) {
        return;
    }
    *mapping_pointer = NULL;
    assert(mapping->users > 0);
    if (--mapping->users == 0) {
        segment_close(&mapping->segment);
        free(mapping);
    }
}
