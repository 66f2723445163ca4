/* device_host: a sealed memfd, placed and paged as well as the host can. See device_host.h. */
#include "cuda/device_host.h"

#include "shm/status.h"

#include <assert.h>
#include <errno.h>
#include <linux/mempolicy.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NODES_MAX 1024u
#define MASK_BITS (8u * sizeof(unsigned long))

/* What the thread's memory policy was, to be put back. */
struct placement {
    bool changed;
    int mode;
    unsigned long mask[NODES_MAX / MASK_BITS];
};

static unsigned long long mib(uint64_t bytes)
{
    return bytes >> 20;
}

/* Add to a text that is perhaps full. */
__attribute__((format(printf, 3, 4))) static void add(
    char *text, size_t bytes, const char *format, ...)
{
    size_t used = strlen(text);
    va_list values;
    va_start(values, format);
    (void)vsnprintf(text + used, bytes - used, format, values);
    va_end(values);
}

/* The pages are made by this thread, so its policy places them. Preferred, not bound: a node that
 * is full must not get us killed. Returns 0, STATUS_INVALID or STATUS_UNSUPPORTED. */
static int place(int32_t node, struct placement *out_old, char *why, size_t why_bytes)
{
    struct placement old = {.changed = false};
    unsigned long mask[NODES_MAX / MASK_BITS] = {0};
    if (node < 0) {
        *out_old = old;
        return STATUS_OK;
    }
    if ((uint32_t)node >= NODES_MAX) {
        add(why, why_bytes, "NUMA node %d is out of range; remedy: numa_node = -1", node);
        return STATUS_INVALID;
    }
    mask[(uint32_t)node / MASK_BITS] = 1ul << ((uint32_t)node % MASK_BITS);
    /* The kernel reads one bit less than it is told. */
    if (syscall(SYS_get_mempolicy, &old.mode, old.mask, NODES_MAX, NULL, 0) != 0 ||
        syscall(SYS_set_mempolicy, MPOL_PREFERRED, mask, NODES_MAX + 1) != 0) {
        if (errno == EINVAL) {
            add(why, why_bytes,
                "NUMA node %d is not on this host; remedy: a node of "
                "/sys/devices/system/node/online, or numa_node = -1",
                node);
            return STATUS_INVALID;
        }
        add(why, why_bytes,
            "NUMA node %d cannot be preferred: %s; remedy: allow set_mempolicy in "
            "the seccomp profile, or numa_node = -1",
            node, strerror(errno));
        return STATUS_UNSUPPORTED;
    }
    old.changed = true;
    *out_old = old;
    return STATUS_OK;
}

static void place_back(const struct placement *old)
{
    if (old->changed) {
        (void)syscall(SYS_set_mempolicy, old->mode, old->mask, NODES_MAX + 1);
    }
}

/* Is it worth asking for hugetlb pages? `why` says why not, with the remedy. */
static bool huge_fit(const struct device_wish *wish, char *why, size_t why_bytes)
{
    uint64_t page = wish->huge_page_bytes;
    if (wish->huge == DEVICE_HUGE_NO) {
        add(why, why_bytes, "4 KiB pages, as asked");
        return false;
    }
    if (page == 0) {
        add(why, why_bytes, "the kernel has no huge pages");
        return false;
    }
    if (wish->bytes % page != 0) {
        add(why, why_bytes, "%llu B is no multiple of a huge page of %llu KiB; remedy: round pool",
            (unsigned long long)wish->bytes, (unsigned long long)(page >> 10));
        return false;
    }
    if (wish->huge_free_bytes < wish->bytes) {
        add(why, why_bytes,
            "%llu of %llu MiB are free in huge pages; remedy: sysctl vm.nr_hugepages=%llu "
            "(counting those in use elsewhere on top)",
            mib(wish->huge_free_bytes), mib(wish->bytes), (unsigned long long)(wish->bytes / page));
        return false;
    }
    return true;
}

static bool advice_works(const char *setting)
{
    return strcmp(setting, "advise") == 0 || strcmp(setting, "always") == 0 ||
           strcmp(setting, "within_size") == 0;
}

/* Memory of 4 KiB pages, after `why` said why it is not huge ones. */
static int make_small(
    const struct device_wish *wish, struct segment *out_segment, char *why, size_t why_bytes)
{
    if (wish->bytes > wish->available_bytes) {
        add(why, why_bytes,
            "; the pool needs %llu MiB and only %llu MiB of memory can be had; remedy: pool = "
            "%lluMiB or less, or more memory for the host or container",
            mib(wish->bytes), mib(wish->available_bytes), mib(wish->available_bytes) / 2);
        return STATUS_NO_MEMORY;
    }
    int status = segment_make("cistern-pool", wish->bytes, false, out_segment);
    if (status != STATUS_OK) {
        add(why, why_bytes,
            "; %llu MiB of shared memory: %s; remedy: a smaller pool, or more memory",
            mib(wish->bytes), strerror(errno));
        return status;
    }
    if (wish->huge == DEVICE_HUGE_NO) {
        return STATUS_OK;
    }
    if (advice_works(wish->shmem_thp) &&
        madvise(out_segment->base, out_segment->bytes, MADV_HUGEPAGE) == 0) {
        add(why, why_bytes,
            "; uses 4 KiB pages, which the kernel may merge into transparent huge "
            "pages (shmem_enabled is %s)",
            wish->shmem_thp);
    } else {
        add(why, why_bytes, "; uses 4 KiB pages");
    }
    return STATUS_OK;
}

static int make(
    const struct device_wish *wish, struct segment *out_segment, char *why, size_t why_bytes)
{
    if (huge_fit(wish, why, why_bytes)) {
        if (segment_make("cistern-pool", wish->bytes, true, out_segment) == STATUS_OK) {
            add(why, why_bytes, "%llu MiB in huge pages of %llu KiB", mib(wish->bytes),
                (unsigned long long)(wish->huge_page_bytes >> 10));
            return STATUS_OK;
        }
        add(why, why_bytes,
            "huge pages are free but were refused: %s; remedy: raise the container's limit of "
            "hugetlb memory",
            strerror(errno));
    }
    if (wish->huge == DEVICE_HUGE_YES) {
        add(why, why_bytes, "; huge_pages = yes demands them (auto goes on without)");
        return STATUS_UNSUPPORTED;
    }
    return make_small(wish, out_segment, why, why_bytes);
}

static int device_host_open(
    const struct device_wish *wish, struct device_pool *out_pool, char *why, size_t why_bytes)
{
    assert(wish->bytes > 0 && wish->bytes % 4096 == 0 && wish->shmem_thp != NULL);
    assert(why_bytes > 0);
    struct segment segment = SEGMENT_NONE;
    struct placement old;
    why[0] = '\0';
    int status = place(wish->node, &old, why, why_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    status = make(wish, &segment, why, why_bytes);
    place_back(&old);
    if (status == STATUS_OK) {
        *out_pool =
            (struct device_pool){.device = &device_host, .segment = segment, .node = wish->node};
    }
    return status;
}

static int device_host_adopt(
    int fd, uint64_t bytes, const struct device_pool *as, struct device_pool *out_pool)
{
    struct segment segment = SEGMENT_NONE;
    int status = segment_adopt(fd, bytes, false, &segment);
    if (status == STATUS_OK) {
        segment.huge = as->segment.huge;
        *out_pool =
            (struct device_pool){.device = &device_host, .segment = segment, .node = as->node};
    }
    return status;
}

static void device_host_describe(const struct device_pool *pool, char *out_text, size_t text_bytes)
{
    char node[32] = "any node";
    if (pool->node >= 0) {
        (void)snprintf(node, sizeof node, "node %d preferred", pool->node);
    }
    (void)snprintf(out_text, text_bytes, "host memory, %llu MiB, %s pages, %s",
        mib(pool->segment.bytes), pool->segment.huge ? "huge" : "4 KiB", node);
}

static void device_host_close(struct device_pool *pool)
{
    segment_close(&pool->segment);
    *pool = DEVICE_POOL_NONE;
}

const struct device device_host = {
    .name = "host",
    .open = device_host_open,
    .adopt = device_host_adopt,
    .describe = device_host_describe,
    .close = device_host_close,
};
