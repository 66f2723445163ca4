/* segment: memfd_create, seals and mmap. See segment.h for the rules. */
#include "shm/segment.h"

#include "shm/status.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int status_of_errno(void)
{
    return errno == ENOMEM || errno == ENOSPC ? STATUS_NO_MEMORY : STATUS_IO;
}

int segment_make(const char *name, uint64_t bytes, bool huge, struct segment *out_segment)
{
    assert(name != NULL && bytes > 0);
    int status = STATUS_OK;
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB : 0u);
    int fd = memfd_create(name, flags);
    if (fd < 0) {
        return huge ? STATUS_UNSUPPORTED : status_of_errno();
    }
    /* A memfd is born 0777: whoever gets a read-only descriptor could open it anew for writing. */
    if (ftruncate(fd, (off_t)bytes) != 0 || fchmod(fd, 0600) != 0 ||
        fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
        status = huge ? STATUS_UNSUPPORTED : status_of_errno();
        goto close_fd;
    }
    /* Reports a lack of huge pages, or a limit of the file system. Ordinary memory may be promised
     * beyond what there is, and then a touch kills: who asks for much looks first
     * (cuda/device_host). */
    if (fallocate(fd, 0, 0, (off_t)bytes) != 0) {
        status = huge ? STATUS_UNSUPPORTED : status_of_errno();
        goto close_fd;
    }
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (base == MAP_FAILED) {
        status = huge ? STATUS_UNSUPPORTED : status_of_errno();
        goto close_fd;
    }
    *out_segment = (struct segment){.base = base, .bytes = bytes, .fd = fd, .huge = huge};
    return STATUS_OK;

close_fd:;
    int cause = errno; /* the caller words it */
    (void)close(fd);
    errno = cause;
    return status;
}

int segment_open_readonly(const struct segment *segment)
{
    assert(segment->fd >= 0);
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", segment->fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* Map a file of `bytes` that is sealed against change. The descriptor stays the caller's. */
static int map(int fd, uint64_t bytes, int protection, int flags, void **out_base)
{
    struct stat file;
    int seals = fcntl(fd, F_GET_SEALS);
    if (fstat(fd, &file) != 0) {
        return STATUS_IO;
    }
    if (bytes == 0 || (uint64_t)file.st_size != bytes || (seals & SEALS) != SEALS) {
        return STATUS_MALFORMED;
    }
    void *base = mmap(NULL, bytes, protection, MAP_SHARED | flags, fd, 0);
    if (base == MAP_FAILED) {
        return STATUS_IO;
    }
    *out_base = base;
    return STATUS_OK;
}

int segment_map(int fd, uint64_t bytes, bool writable, struct segment *out_segment)
{
    void *base;
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    int status = map(fd, bytes, protection, MAP_POPULATE, &base);
    if (status == STATUS_OK) {
        *out_segment = (struct segment){.base = base, .bytes = bytes, .fd = -1};
    }
    (void)close(fd);
    return status;
}

int segment_adopt(int fd, uint64_t bytes, bool present, struct segment *out_segment)
{
    void *base;
    int status = map(fd, bytes, PROT_READ | PROT_WRITE, present ? MAP_POPULATE : 0, &base);
    if (status == STATUS_OK) {
        *out_segment = (struct segment){.base = base, .bytes = bytes, .fd = fd};
    } else {
        (void)close(fd);
    }
    return status;
}

void segment_close(struct segment *segment)
{
    if (segment == NULL) {
        return;
    }
    if (segment->base != NULL) {
        (void)munmap(segment->base, segment->bytes);
    }
    if (segment->fd >= 0) {
        (void)close(segment->fd);
    }
    *segment = SEGMENT_NONE;
}
