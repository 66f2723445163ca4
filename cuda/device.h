/* device: the memory that holds blocks, behind one table of operations.
 *
 * Used by the server to open its pool; users of the seam never see a backend. Backends: device_host
 * (shared memory of the host: the reference, always there). All operations come from the server's
 * thread, at start and at stop, never while requests wait.
 */
#ifndef CISTERN_CUDA_DEVICE_H
#define CISTERN_CUDA_DEVICE_H

#include "shm/segment.h"

#include <stddef.h>
#include <stdint.h>

#define DEVICE_UNKNOWN UINT64_MAX

enum device_huge { DEVICE_HUGE_AUTO, DEVICE_HUGE_YES, DEVICE_HUGE_NO }; /* `huge_pages` of config */

/* What the caller asks for, and what it knows about the host: the seam reads no files. */
struct device_wish {
    uint64_t bytes; /* a multiple of 4 KiB */
    enum device_huge huge;
    int32_t node; /* NUMA node to prefer; -1: any */
    uint64_t available_bytes; /* memory that can be had now; DEVICE_UNKNOWN: not known */
    uint64_t huge_page_bytes; /* default hugetlb page; 0: the kernel has none */
    uint64_t huge_free_bytes; /* free in hugetlb pages */
    const char *shmem_thp; /* setting of transparent huge pages for shared memory; "": not known */
};

/* Memory for blocks. Owned by whoever opened it; lanes and clients borrow its descriptors. */
struct device_pool {
    const struct device *device; /* NULL: holds nothing */
    struct segment segment; /* mapped read-write, every page present */
    int32_t node; /* preferred; -1: any */
};

#define DEVICE_POOL_NONE ((struct device_pool){.segment = {.fd = -1}, .node = -1})

struct device {
    const char *name;

    /* Make the memory, every page of it present. Called once, at start, on the server's thread; it
     * may block for as long as the kernel needs to clear the pages (seconds for many GiB), and is
     * done when it returns. Required.
     * `why` says what was chosen, what is done instead of what was asked, and the remedy; on
     * failure what is missing.
     * Returns 0, STATUS_INVALID (no such node), STATUS_UNSUPPORTED (huge pages demanded, none
     * there), STATUS_NO_MEMORY or STATUS_IO. */
    int (*open)(
        const struct device_wish *wish, struct device_pool *out_pool, char *why, size_t why_bytes);

    /* Map memory that the open() of an earlier process made, to go on with what lies in it: `fd`,
     * which is taken over, `bytes`, and of `as` its node and kind of pages. Called once, at start,
     * on the server's thread, instead of open(); does not touch the pages. Required.
     * Returns 0, STATUS_MALFORMED (another size, not sealed) or STATUS_IO. */
    int (*adopt)(
        int fd, uint64_t bytes, const struct device_pool *as, struct device_pool *out_pool);

    /* One line for --explain and the log: kind of memory, size, page size, node. Called at any time
     * on the server's thread; does not block. Required. */
    void (*describe)(const struct device_pool *pool, char *out_text, size_t text_bytes);

    /* Give the memory back; mappings of clients live on. Called once, at stop, on the server's
     * thread; does not wait for anybody. Accepts a pool that holds nothing, and leaves it so.
     * Required. */
    void (*close)(struct device_pool *pool);
};

#endif
