/* mapping: the pool as this process maps it, shared by the attachments that have the same one.
 *
 * A pool of many GiB takes a page table entry for each of its pages: a quarter of a second for 4
 * GiB. A sidecar that took its predecessor's memory over gives out the same file, so the mapping is
 * used again, and views of before and after it lie at the same addresses. Used by
 * libclient/reattach and attach, `users` under the handle's lock.
 */
#ifndef CISTERN_LIBCLIENT_MAPPING_H
#define CISTERN_LIBCLIENT_MAPPING_H

#include "shm/segment.h"

#include <stdbool.h>
#include <stdint.h>

struct mapping {
    struct segment segment;
    uint64_t device; /* which file it is; it cannot be another's while we map it */
    uint64_t inode;
    bool writable;
    uint32_t users; /* attachments, and the handle for the last one */
};

/* Is `fd` the very file that is mapped, in the same way? `known` may be NULL. */
bool mapping_is(const struct mapping *known, int fd, uint64_t bytes, bool writable);

/* Map a received pool; takes `fd` over. One user. Returns as segment_map(), or
 * STATUS_NO_MEMORY. */
int mapping_open(int fd, uint64_t bytes, bool writable, struct mapping **out_mapping);

/* One user less, and the pointer is NULL; the last one unmaps. Accepts NULL. */
void mapping_drop(struct mapping **mapping);

#endif
