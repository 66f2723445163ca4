/* segment: a shared memory file: made, sized, sealed, mapped.
 *
 * Made by the server (cuda/device_host for the pool, sidecar/session for lanes), mapped by both
 * sides, adopted by the next server. Always: mode 0600, sealed SHRINK | GROW | SEAL, so nobody can
 * cut it under a reader; never sealed FUTURE_WRITE, because after it not even a restarted server
 * could write (shm/README.md, decision 3).
 */
#ifndef CISTERN_SHM_SEGMENT_H
#define CISTERN_SHM_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

/* Its owner is whoever made it; segment_close() gives everything back. */
struct segment {
    void *base; /* NULL: not mapped */
    uint64_t bytes; /* a multiple of the page size */
    int fd; /* read-write; -1: none */
    bool huge; /* hugetlb pages */
};

#define SEGMENT_NONE ((struct segment){.fd = -1})

/* Make, seal and map a segment of `bytes`, read-write, every page present.
 * `huge` asks for hugetlb pages; without any, returns STATUS_UNSUPPORTED and makes nothing.
 * Returns 0, STATUS_NO_MEMORY, STATUS_UNSUPPORTED or STATUS_IO (errno says why). */
int segment_make(const char *name, uint64_t bytes, bool huge, struct segment *out_segment);

/* A second descriptor of the segment that can only read. Returns it, or -1 (errno says why). */
int segment_open_readonly(const struct segment *segment);

/* Map a received descriptor of `bytes`; `writable` as agreed. Takes `fd` over: it is closed at
 * once. Checks that the file has that size and is sealed against change; the memory of a stranger
 * would be cut under us. Returns 0, STATUS_MALFORMED or STATUS_IO. */
int segment_map(int fd, uint64_t bytes, bool writable, struct segment *out_segment);

/* Map a segment that an earlier process of this very program made, read-write, to go on with it.
 * Takes `fd` over, which stays open in the segment. `present`: with every page.
 * Returns as segment_map(). */
int segment_adopt(int fd, uint64_t bytes, bool present, struct segment *out_segment);

/* Undo make, map or adopt. Accepts a segment that holds nothing, and leaves it so. */
void segment_close(struct segment *segment);

#endif
