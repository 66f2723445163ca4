/* file_store: see file_store.h. */
#include "sidecar/tier/file_store.h"

#include "shm/status.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE UINT64_C(4096)
#define UNFINISHED "unfinished"
#define LOCK "lock"
#define SUFFIX ".block"
#define DIGITS 64u /* of a digest of 32 bytes */

static_assert(2 * DIGITS + 1 + sizeof SUFFIX == FILE_STORE_NAME, "names fit");

/* A block that was found, and how old it is. */
struct found {
    struct file_entry entry;
    struct timespec written;
};

struct finds {
    struct found *all; /* owned */
    size_t count;
    size_t room;
};

void file_store_explain(
    const struct file_store *store, int error, char *out_text, size_t text_bytes)
{
    const char *remedy = "look at the kernel's log";
    if (error == ENOSPC || error == EDQUOT) {
        remedy = "free space there, or lower the capacity";
    } else if (error == EACCES || error == EPERM || error == EROFS) {
        remedy = "make it writable for this user, or use another directory";
    } else if (error == ENOENT || error == ENOTDIR) {
        remedy = "make the directory";
    } else if (error == EMFILE || error == ENFILE) {
        remedy = "raise ulimit -n";
    }
    (void)snprintf(out_text, text_bytes, "%.72s: %s: %s", store->path, strerror(error), remedy);
}

uint64_t file_store_bytes(uint64_t stored_bytes)
{
    return (RECORD_HEADER_BYTES + stored_bytes + PAGE - 1) / PAGE * PAGE;
}

static void put_digits(const void *digest, char *out_text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < DIGITS / 2; i++) {
        uint8_t byte = ((const uint8_t *)digest)[i];
        out_text[2 * i] = digits[byte >> 4];
        out_text[2 * i + 1] = digits[byte & 15];
    }
}

void file_store_name(const struct tier_id *id, char *out_name)
{
    put_digits(id->space, out_name);
    out_name[DIGITS] = '-';
    put_digits(&id->key, out_name + DIGITS + 1);
    memcpy(out_name + 2 * DIGITS + 1, SUFFIX, sizeof SUFFIX);
}

int file_store_open(
    const char *directory, struct file_store *out_store, char *why, size_t why_bytes)
{
    struct file_store store = {.lock = -1};
    size_t length = strlen(directory);
    if (length >= sizeof store.path) {
        (void)snprintf(why, why_bytes, "the directory's name is too long: %u characters at most",
            FILE_STORE_PATH - 1);
        return STATUS_INVALID;
    }
    memcpy(store.path, directory, length + 1);
    store.directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store.directory < 0) {
        file_store_explain(&store, errno, why, why_bytes);
        return STATUS_IO;
    }
    store.open = true;
    store.lock = openat(store.directory, LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int status = STATUS_OK;
    if (store.lock < 0) {
        file_store_explain(&store, errno, why, why_bytes);
        status = STATUS_IO;
    } else if (flock(store.lock, LOCK_EX | LOCK_NB) != 0) {
        status = errno == EWOULDBLOCK ? STATUS_BUSY : STATUS_IO;
        (void)snprintf(why, why_bytes,
            "%s: another process has it (%s): give each its own directory, or stop the other",
            directory, strerror(errno));
    }
    if (status != STATUS_OK) {
        file_store_close(&store, false);
        return status;
    }
    *out_store = store;
    return STATUS_OK;
}

void file_store_close(struct file_store *store, bool sync)
{
    if (!store->open) {
        return;
    }
    if (sync) {
        (void)syncfs(store->directory);
    }
    if (store->lock >= 0) {
        (void)close(store->lock);
    }
    (void)close(store->directory);
    *store = (struct file_store){.lock = -1, .directory = -1};
}

void file_store_remove(struct file_store *store, const struct tier_id *id)
{
    char name[FILE_STORE_NAME];
    file_store_name(id, name);
    (void)unlinkat(store->directory, name, 0);
}

int file_store_open_block(
    const struct file_store *store, const struct tier_id *id, int *out_descriptor)
{
    char name[FILE_STORE_NAME];
    file_store_name(id, name);
    *out_descriptor =
        openat(store->directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    return *out_descriptor < 0 ? errno : 0;
}

void file_store_close_block(int descriptor)
{
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
}

int file_store_read(int descriptor, uint64_t offset, void *out_data, uint64_t bytes)
{
    uint64_t got = 0;
    while (got < bytes) {
        ssize_t step =
            pread(descriptor, (uint8_t *)out_data + got, bytes - got, (off_t)(offset + got));
        if (step < 0 && errno != EINTR) {
            return errno;
        }
        if (step == 0) {
            return -1;
        }
        got += step > 0 ? (uint64_t)step : 0;
    }
    return 0;
}

static int write_all(int descriptor, uint64_t offset, const void *data, uint64_t bytes)
{
    uint64_t done = 0;
    while (done < bytes) {
        ssize_t step =
            pwrite(descriptor, (const uint8_t *)data + done, bytes - done, (off_t)(offset + done));
        if (step < 0 && errno != EINTR) {
            return errno;
        }
        if (step == 0) {
            return ENOSPC;
        }
        done += step > 0 ? (uint64_t)step : 0;
    }
    return 0;
}

int file_store_write(struct file_store *store, const struct tier_id *id,
    const struct record_header *header, const void *payload)
{
    char name[FILE_STORE_NAME];
    int descriptor = openat(store->directory, UNFINISHED,
        O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (descriptor < 0) {
        return errno;
    }
    int error = write_all(descriptor, 0, header, sizeof *header);
    if (error == 0) {
        error = write_all(descriptor, sizeof *header, payload, header->stored_bytes);
    }
    if (close(descriptor) != 0 && error == 0) {
        error = errno; /* a file system over a network may say it only now */
    }
    file_store_name(id, name);
    if (error == 0 && renameat(store->directory, UNFINISHED, store->directory, name) != 0) {
        error = errno;
    }
    if (error != 0) {
        (void)unlinkat(store->directory, UNFINISHED, 0);
    }
    return error;
}

/* Is it a block of ours, by its name and by its header? Files whose name is ours and whose header
 * is not are of no use to anybody, and go. */
static bool look(struct file_store *store, const char *name, struct found *out_found)
{
    char right[FILE_STORE_NAME];
    struct record_header header;
    struct stat about;
    if (strlen(name) != FILE_STORE_NAME - 1 || strcmp(name + 2 * DIGITS + 1, SUFFIX) != 0) {
        store->foreign += strcmp(name, LOCK) != 0 && strcmp(name, UNFINISHED) != 0;
        return false;
    }
    int descriptor = openat(store->directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0 || fstat(descriptor, &about) != 0 || !S_ISREG(about.st_mode)) {
        file_store_close_block(descriptor);
        store->foreign++;
        return false;
    }
    bool good = file_store_read(descriptor, 0, &header, sizeof header) == 0 &&
                record_check(&header, NULL, &header) == STATUS_OK &&
                (uint64_t)about.st_size == sizeof header + header.stored_bytes;
    file_store_close_block(descriptor);
    if (good) {
        memcpy(out_found->entry.id.space, header.space, sizeof header.space);
        memcpy(&out_found->entry.id.key, header.key, sizeof header.key);
        file_store_name(&out_found->entry.id, right);
        good = strcmp(name, right) == 0;
    }
    if (!good) {
        store->spoiled++;
        (void)unlinkat(store->directory, name, 0);
        return false;
    }
    out_found->entry.raw_bytes = header.raw_bytes;
    out_found->entry.file_bytes = file_store_bytes(header.stored_bytes);
    out_found->written = about.st_mtim;
    return true;
}

static int older_first(const void *one, const void *other)
{
    const struct timespec *a = &((const struct found *)one)->written;
    const struct timespec *b = &((const struct found *)other)->written;
    if (a->tv_sec != b->tv_sec) {
        return a->tv_sec < b->tv_sec ? -1 : 1;
    }
    return a->tv_nsec < b->tv_nsec ? -1 : a->tv_nsec > b->tv_nsec;
}

static bool keep(struct finds *finds, const struct found *found)
{
    if (finds->count == finds->room) {
        size_t room = finds->room == 0 ? 256 : 2 * finds->room;
        struct found *all = realloc(finds->all, room * sizeof *all);
        if (all == NULL) {
            return false;
        }
        finds->all = all;
        finds->room = room;
    }
    finds->all[finds->count++] = *found;
    return true;
}

/* Returns 0, STATUS_IO or STATUS_NO_MEMORY. */
static int collect(struct file_store *store, struct finds *finds)
{
    int again = openat(store->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = again < 0 ? NULL : fdopendir(again);
    if (list == NULL) {
        file_store_close_block(again);
        return STATUS_IO;
    }
    int status = STATUS_OK;
    for (uint32_t seen = 0; seen < FILE_STORE_SCAN_MAX && status == STATUS_OK; seen++) {
        const struct dirent *row = readdir(list);
        if (row == NULL) {
            break;
        }
        struct found found = {.entry = {.said = false}};
        if (strcmp(row->d_name, ".") != 0 && strcmp(row->d_name, "..") != 0 &&
            look(store, row->d_name, &found) && !keep(finds, &found)) {
            status = STATUS_NO_MEMORY;
        }
    }
    (void)closedir(list);
    return status;
}

int file_store_scan(struct file_store *store, struct file_index *index, char *why, size_t why_bytes)
{
    struct finds finds = {.all = NULL};
    (void)unlinkat(store->directory, UNFINISHED, 0);
    int status = collect(store, &finds);
    if (finds.count > 0) {
        qsort(finds.all, finds.count, sizeof finds.all[0], older_first);
    }
    for (size_t i = 0; i < finds.count && status == STATUS_OK; i++) {
        status = file_index_add(index, &finds.all[i].entry);
    }
    free(finds.all);
    if (status == STATUS_IO) {
        file_store_explain(store, errno, why, why_bytes);
    } else if (status != STATUS_OK) {
        (void)snprintf(why, why_bytes, "out of memory for the blocks in %s", store->path);
    }
    return status;
}
