/* baseline_memcpy: sets of blocks and the C library's memcpy between them. */
#include "bench/baseline_memcpy.h"

#include "bench/clock.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

bool baseline_memcpy_open(
    struct baseline_memcpy_set *out_set, uint64_t bytes, uint64_t block_bytes, bool shared)
{
    struct baseline_memcpy_set set = {.bytes = bytes};
    baseline_memcpy_cut(&set, block_bytes);
    assert(set.blocks > 0);
    int fd = -1;
    if (shared) {
        fd = memfd_create("cistern-bench memcpy", MFD_CLOEXEC);
        if (fd < 0 || ftruncate(fd, (off_t)set.bytes) != 0) {
            perror("cistern-bench: memfd");
            if (fd >= 0) {
                close(fd);
            }
            return false;
        }
    }
    void *data = mmap(NULL, (size_t)set.bytes, PROT_READ | PROT_WRITE,
        shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
    if (fd >= 0) {
        close(fd);
    }
    if (data == MAP_FAILED) {
        perror("cistern-bench: mmap");
        return false;
    }
    if (!shared) {
        /* The sidecar's pool lies in 4 KiB pages unless the host has others: so must this. */
        madvise(data, (size_t)set.bytes, MADV_NOHUGEPAGE);
    }
    memset(data, 1, (size_t)set.bytes);
    set.data = data;
    *out_set = set;
    return true;
}

void baseline_memcpy_close(struct baseline_memcpy_set *set)
{
    if (set->data != NULL) {
        munmap(set->data, (size_t)set->bytes);
    }
    *set = (struct baseline_memcpy_set){0};
}

double baseline_memcpy_ns(const struct baseline_memcpy_set *source, const uint64_t *from,
    const struct baseline_memcpy_set *target, const uint64_t *to, size_t count)
{
    assert(source->block_bytes == target->block_bytes);
    int64_t start = clock_now_ns();
    for (size_t i = 0; i < count; i++) {
        memcpy(baseline_memcpy_block(target, to[i]), baseline_memcpy_block(source, from[i]),
            (size_t)source->block_bytes);
    }
    return (double)(clock_now_ns() - start);
}
