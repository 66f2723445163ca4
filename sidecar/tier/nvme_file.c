/* nvme_file: open, make, lock, look. See nvme_file.h for the rules. */
#include "sidecar/tier/nvme_file.h"

#include "shm/status.h"
#include "sidecar/moment.h"
#include "sidecar/tier/tier_nvme.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define NAME TIER_NVME_FILE
#define NAME_NEW TIER_NVME_FILE ".new"
#define LOCK_WAIT_NS UINT64_C(3000000000)
#define LOCK_LOOK_NS 10000000

/* Say what the system refused, and what helps. */
static int refused(int error, const char *what, const char *path, char *why, size_t why_bytes)
{
    const char *remedy = "look at the disk and its kernel messages";
    int status = STATUS_IO;
    if (error == EACCES || error == EPERM || error == EROFS) {
        remedy = "let the daemon's user write there, or mount it writable";
        status = STATUS_DENIED;
    } else if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
        remedy = "free space or raise the quota there, or make the tier smaller";
    } else if (error == ENOENT || error == ENOTDIR) {
        remedy = "make the directory, or name another one";
    } else if (error == ELOOP) {
        remedy = "a symbolic link lies there: remove it";
    }
    (void)snprintf(
        why, why_bytes, "%s %.200s: %s; remedy: %s", what, path, strerror(error), remedy);
    return status;
}

/* O_DIRECT where the file system has it. Returns the descriptor or -1 with errno. */
static int open_path(const char *path, int flags, bool *out_direct)
{
    int all = flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    int fd = open(path, all | O_DIRECT, 0600);
    *out_direct = fd >= 0;
    if (fd < 0 && errno == EINVAL) {
        fd = open(path, all, 0600);
    }
    return fd;
}

/* Lock the file, and be sure that it is still the one at the path. */
static int lock_path(int fd, const char *path, char *why, size_t why_bytes)
{
    uint64_t until = moment_ns() + LOCK_WAIT_NS;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return refused(errno, "cannot lock", path, why, why_bytes);
        }
        if (moment_ns() > until) {
            (void)snprintf(why, why_bytes,
                "another process has %.200s; remedy: stop it, or give each daemon a directory of "
                "its own",
                path);
            return STATUS_BUSY;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = LOCK_LOOK_NS}, NULL);
    }
    struct stat ours;
    struct stat there;
    if (fstat(fd, &ours) != 0 || stat(path, &there) != 0 || ours.st_ino != there.st_ino ||
        ours.st_dev != there.st_dev) {
        (void)snprintf(why, why_bytes,
            "another process replaces %.200s at this moment; remedy: give each daemon a directory "
            "of its own",
            path);
        return STATUS_BUSY;
    }
    if (!S_ISREG(ours.st_mode)) {
        (void)snprintf(why, why_bytes, "%.200s is no regular file; remedy: move it away", path);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static int read_super(
    int fd, const char *path, struct nvme_format_page *out_page, char *why, size_t why_bytes)
{
    ssize_t got = pread(fd, out_page, sizeof *out_page, 0);
    if (got < 0) {
        return refused(errno, "cannot read", path, why, why_bytes);
    }
    int status = got == (ssize_t)sizeof *out_page ? nvme_format_check(out_page) : STATUS_MALFORMED;
    if (status == STATUS_VERSION) {
        (void)snprintf(why, why_bytes,
            "%.200s has format %u, this program writes %u; remedy: remove the file, it is a cache, "
            "or run the version that made it",
            path, out_page->version, NVME_FORMAT_VERSION);
    } else if (status != STATUS_OK || out_page->kind != NVME_FORMAT_SUPER) {
        (void)snprintf(why, why_bytes,
            "%.200s is no file of ours, or its first page is damaged; remedy: move it away", path);
        status = STATUS_INVALID;
    }
    return status;
}

static int fill(struct nvme_file *file, const char *path, char *why, size_t why_bytes)
{
    if (ftruncate(file->fd, 0) != 0) {
        return refused(errno, "cannot empty", path, why, why_bytes);
    }
    /* Blocks are allocated now: a full disk shows here, and not in the middle of a store. */
    if (fallocate(file->fd, 0, 0, (off_t)file->bytes) != 0) {
        if (errno != EOPNOTSUPP) {
            return refused(errno, "cannot allocate the bytes of", path, why, why_bytes);
        }
        if (ftruncate(file->fd, (off_t)file->bytes) != 0) {
            return refused(errno, "cannot size", path, why, why_bytes);
        }
        (void)snprintf(why, why_bytes,
            "this file system allocates nothing ahead: a full disk will show as failing stores; ");
    }
    _Alignas(4096) struct nvme_format_page page;
    struct nvme_format_home home = {.region = 0};
    memcpy(home.uuid, file->uuid, sizeof home.uuid);
    nvme_format_begin(&page, NVME_FORMAT_SUPER, &home);
    page.file_bytes = file->bytes;
    page.region_bytes = file->region_bytes;
    nvme_format_finish(&page);
    struct iovec memory = {.iov_base = &page, .iov_len = sizeof page};
    ssize_t written = pwritev2(file->fd, &memory, 1, 0, RWF_DSYNC);
    if (written != (ssize_t)sizeof page || fsync(file->fd) != 0) {
        return refused(written >= 0 ? EIO : errno, "cannot write", path, why, why_bytes);
    }
    return STATUS_OK;
}

/* Make the file under another name, and rename it when it is whole. */
static int make(const char *directory, struct nvme_file *file, char *why, size_t why_bytes)
{
    char path[NVME_FILE_PATH];
    (void)snprintf(path, sizeof path, "%.4000s/" NAME_NEW, directory);
    int old = file->fd;
    file->fd = open_path(path, O_CREAT, &file->direct);
    if (file->fd < 0) {
        int status = refused(errno, "cannot make", path, why, why_bytes);
        file->fd = old;
        return status;
    }
    int status = lock_path(file->fd, path, why, why_bytes);
    if (status == STATUS_OK && old >= 0) {
        (void)unlink(file->path); /* its space is needed for the new one */
    }
    if (old >= 0) {
        (void)close(old);
    }
    if (status == STATUS_OK && getrandom(file->uuid, sizeof file->uuid, 0) < 0) {
        status = refused(errno, "no random number for", path, why, why_bytes);
    }
    if (status == STATUS_OK) {
        status = fill(file, path, why, why_bytes);
        if (status == STATUS_OK && rename(path, file->path) != 0) {
            status = refused(errno, "cannot rename", path, why, why_bytes);
        }
        if (status != STATUS_OK) {
            (void)unlink(path);
        }
    }
    file->fresh = true;
    return status;
}

/* Take the file that is there, or make it anew if it is ours and of another size. */
static int take(const char *directory, struct nvme_file *file, char *why, size_t why_bytes)
{
    _Alignas(4096) struct nvme_format_page page;
    struct stat about;
    int status = lock_path(file->fd, file->path, why, why_bytes);
    if (status == STATUS_OK) {
        status = read_super(file->fd, file->path, &page, why, why_bytes);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (fstat(file->fd, &about) != 0) {
        return refused(errno, "cannot look at", file->path, why, why_bytes);
    }
    bool whole = (uint64_t)about.st_size == page.file_bytes;
    if (whole && page.file_bytes == file->bytes && page.region_bytes == file->region_bytes) {
        memcpy(file->uuid, page.uuid, sizeof file->uuid);
        return STATUS_OK;
    }
    char note[128];
    (void)snprintf(note, sizeof note, "made anew: it %s, its blocks are gone; ",
        whole ? "had another size" : "had been cut");
    status = make(directory, file, why, why_bytes);
    if (status == STATUS_OK) {
        (void)snprintf(why, why_bytes, "%s", note);
    }
    return status;
}

int nvme_file_open(const char *directory, uint64_t bytes, uint64_t region_bytes,
    struct nvme_file *out_file, char *why, size_t why_bytes)
{
    struct nvme_file file = {.region_bytes = region_bytes};
    uint64_t regions = bytes <= NVME_FORMAT_FIRST ? 0 : (bytes - NVME_FORMAT_FIRST) / region_bytes;
    if (regions < NVME_FILE_REGIONS_LEAST || regions > (UINT32_C(1) << 24)) {
        (void)snprintf(why, why_bytes,
            "%llu MiB for %.200s are %llu regions of %llu MiB, not 4 to 16777216; remedy: another "
            "size",
            (unsigned long long)(bytes >> 20), directory, (unsigned long long)regions,
            (unsigned long long)(region_bytes >> 20));
        return STATUS_INVALID;
    }
    file.regions = (uint32_t)regions;
    file.bytes = NVME_FORMAT_FIRST + regions * region_bytes;
    int length = snprintf(file.path, sizeof file.path, "%s/" NAME, directory);
    if (length < 0 || (size_t)length + sizeof ".new" > sizeof file.path) {
        (void)snprintf(why, why_bytes, "the directory's name is too long; remedy: a shorter one");
        return STATUS_INVALID;
    }
    why[0] = '\0';
    file.fd = open_path(file.path, 0, &file.direct);
    int status;
    if (file.fd >= 0) {
        status = take(directory, &file, why, why_bytes);
    } else if (errno == ENOENT) {
        status = make(directory, &file, why, why_bytes);
    } else {
        status = refused(errno, "cannot open", file.path, why, why_bytes);
    }
    struct stat about;
    if (status == STATUS_OK && fstat(file.fd, &about) != 0) {
        status = refused(errno, "cannot look at", file.path, why, why_bytes);
    }
    if (status != STATUS_OK) {
        nvme_file_close(&file);
        return status;
    }
    file.device = about.st_dev;
    file.number = about.st_ino;
    *out_file = file;
    return STATUS_OK;
}

int nvme_file_look(const struct nvme_file *file, char *why, size_t why_bytes)
{
    struct stat ours;
    struct stat there;
    const char *what = NULL;
    if (fstat(file->fd, &ours) != 0) {
        what = "cannot be looked at";
    } else if ((uint64_t)ours.st_size != file->bytes) {
        what = "changed its size";
    } else if (stat(file->path, &there) != 0) {
        what = "was removed";
    } else if (there.st_ino != file->number || there.st_dev != file->device) {
        what = "was replaced";
    }
    if (what == NULL) {
        return STATUS_OK;
    }
    (void)snprintf(why, why_bytes,
        "%.120s %s while it was in use; remedy: leave it alone, and restart the daemon", file->path,
        what);
    return STATUS_IO;
}

void nvme_file_close(struct nvme_file *file)
{
    if (file->fd >= 0) {
        (void)flock(file->fd, LOCK_UN); /* a ring may keep the file open for a moment */
        (void)close(file->fd);
        file->fd = -1;
    }
}
