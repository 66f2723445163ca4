/* fake_ledger: see fake_ledger.h. */
#include "tests/fakes/cuda/fake_ledger.h"

#include "tests/fakes/cuda/fake_settings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096

static int folder = -1;
static int gate = -1; /* its lock is held while the folder is looked at or changed */
static _Atomic uint64_t *generation;

static void gate_take(void)
{
    while (flock(gate, LOCK_EX) != 0 && errno == EINTR) {
    }
}

/* Said, not closed: a forked child may hold the same description. */
static void gate_drop(void)
{
    (void)flock(gate, LOCK_UN);
}

int fake_ledger_open(void)
{
    char path[512];
    const char *asked = getenv("CUDA_DOUBLE_STATE");
    if (asked != NULL && asked[0] != '\0') {
        (void)snprintf(path, sizeof path, "%s", asked);
    } else {
        (void)snprintf(path, sizeof path, "/dev/shm/cuda-double-%u", getuid());
    }
    (void)mkdir(path, 0700);
    folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    gate = folder < 0 ? -1 : openat(folder, "gate", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int fd = folder < 0 ? -1 : openat(folder, "generation", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *page = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, PAGE) == 0) {
        page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (gate < 0 || page == MAP_FAILED) {
        (void)fprintf(stderr, "cuda_double: %s: %s\n", path, strerror(errno));
        return FAKE_UNKNOWN_ERROR;
    }
    generation = page;
    return DRIVER_SUCCESS;
}

_Atomic uint64_t *fake_ledger_generation(void)
{
    return generation;
}

bool fake_ledger_read_name(const char *name, struct fake_file *out_file)
{
    char hex[33];
    unsigned number;
    struct fake_file file = {.kind = '\0'};
    if (strnlen(name, FAKE_LEDGER_NAME) == FAKE_LEDGER_NAME ||
        sscanf(name, "%c-%32[0-9a-f]-%d-%d-%u", &file.kind, hex, &file.handle_types, &file.pid,
            &number) != 5 ||
        (file.kind != FAKE_LEDGER_VMM && file.kind != FAKE_LEDGER_LEGACY) || strlen(hex) != 32 ||
        strchr(name, '/') != NULL) {
        return false;
    }
    for (size_t i = 0; i < sizeof file.uuid.byte; i++) {
        const char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        file.uuid.byte[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    (void)snprintf(file.name, sizeof file.name, "%s", name);
    *out_file = file;
    return true;
}

static bool measure(int fd, struct fake_file *file)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return false;
    }
    file->bytes = (uint64_t)status.st_size;
    file->space = (uint64_t)status.st_ino;
    return true;
}

/* Whether anybody holds the file; a description of our own asks. Under the gate. */
static bool is_held(const char *name, uint64_t *out_bytes)
{
    struct fake_file file = {.bytes = 0};
    int fd = openat(folder, name, O_RDWR | O_CLOEXEC);
    bool held = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
    if (held && measure(fd, &file)) {
        *out_bytes = file.bytes;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return held;
}

bool fake_ledger_is_held(const char *name)
{
    uint64_t ignored;
    gate_take();
    bool held = is_held(name, &ignored);
    gate_drop();
    return held;
}

/* Call `visit` with each file until it returns true. Under the gate. */
static bool each(bool visit(const struct fake_file *file, void *context), void *context)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
    bool stopped = false;
    for (struct dirent *entry = entries != NULL ? readdir(entries) : NULL;
         entry != NULL && !stopped; entry = readdir(entries)) {
        struct fake_file file;
        if (fake_ledger_read_name(entry->d_name, &file)) {
            file.space = (uint64_t)entry->d_ino;
            stopped = visit(&file, context);
        }
    }
    if (entries != NULL) {
        (void)closedir(entries);
    }
    return stopped;
}

struct sum {
    const struct driver_uuid *uuid;
    uint64_t bytes;
};

static bool count_or_sweep(const struct fake_file *file, void *context)
{
    struct sum *sum = context;
    uint64_t bytes = 0;
    if (!is_held(file->name, &bytes)) {
        (void)unlinkat(folder, file->name, 0);
    } else if (memcmp(&file->uuid, sum->uuid, sizeof file->uuid) == 0) {
        sum->bytes += bytes;
    }
    return false;
}

static uint64_t used(const struct driver_uuid *uuid)
{
    struct sum sum = {.uuid = uuid};
    (void)each(count_or_sweep, &sum);
    return sum.bytes;
}

uint64_t fake_ledger_used(const struct driver_uuid *uuid)
{
    gate_take();
    uint64_t bytes = used(uuid);
    gate_drop();
    return bytes;
}

/* A new file with a new name, locked. Under the gate, so that nobody sweeps it in between. */
static int make(struct fake_file *file)
{
    static unsigned number;
    char hex[33];
    for (size_t i = 0; i < sizeof file->uuid.byte; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", file->uuid.byte[i]);
    }
    file->pid = getpid();
    int fd;
    do { /* another process may have our number, in its own PID namespace */
        (void)snprintf(file->name, sizeof file->name, "%c-%s-%d-%d-%u", file->kind, hex,
            file->handle_types, file->pid, number++);
        fd = openat(folder, file->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    } while (fd < 0 && errno == EEXIST);
    if (fd < 0) {
        return -1;
    }
    if (ftruncate(fd, (off_t)file->bytes) != 0 || flock(fd, LOCK_SH | LOCK_NB) != 0 ||
        !measure(fd, file)) {
        (void)unlinkat(folder, file->name, 0);
        (void)close(fd);
        return -1;
    }
    return fd;
}

int fake_ledger_create(struct fake_file *file, uint64_t total_bytes, int *out_fd)
{
    gate_take();
    uint64_t before = used(&file->uuid);
    int fd = -1;
    if (before <= total_bytes && file->bytes <= total_bytes - before) {
        fd = make(file);
    }
    gate_drop();
    if (fd < 0) {
        return DRIVER_OUT_OF_MEMORY;
    }
    *out_fd = fd;
    return DRIVER_SUCCESS;
}

int fake_ledger_join(const char *name, struct fake_file *out_file, int *out_fd)
{
    struct fake_file file;
    uint64_t ignored;
    if (!fake_ledger_read_name(name, &file)) {
        return DRIVER_INVALID_VALUE;
    }
    gate_take();
    int fd = is_held(name, &ignored) ? openat(folder, name, O_RDWR | O_CLOEXEC) : -1;
    bool joined = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) == 0 && measure(fd, &file);
    gate_drop();
    if (!joined) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return DRIVER_INVALID_VALUE;
    }
    *out_file = file;
    *out_fd = fd;
    return DRIVER_SUCCESS;
}

static bool is_same(const struct fake_file *file, void *context)
{
    struct fake_file *wanted = context;
    if (file->space != wanted->space) {
        return false;
    }
    uint64_t bytes = wanted->bytes;
    *wanted = *file;
    wanted->bytes = bytes;
    return true;
}

int fake_ledger_identify(int fd, struct fake_file *out_file)
{
    struct stat status, ours;
    if (fd < 0 || fstat(fd, &status) != 0 || fstat(folder, &ours) != 0 ||
        !S_ISREG(status.st_mode) || status.st_dev != ours.st_dev) {
        return DRIVER_INVALID_VALUE;
    }
    struct fake_file file = {.bytes = (uint64_t)status.st_size, .space = (uint64_t)status.st_ino};
    gate_take();
    bool found = each(is_same, &file);
    gate_drop();
    if (!found) {
        return DRIVER_INVALID_VALUE;
    }
    *out_file = file;
    return DRIVER_SUCCESS;
}
