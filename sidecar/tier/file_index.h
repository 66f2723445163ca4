/* file_index: which blocks lie in a directory, oldest first. Owned by tier_file, on its thread.
 *
 * Always: a block has one entry; entries are in the order in which they were added.
 */
#ifndef CISTERN_SIDECAR_TIER_FILE_INDEX_H
#define CISTERN_SIDECAR_TIER_FILE_INDEX_H

#include "sidecar/tier/tier.h"

#include <stdbool.h>
#include <stdint.h>

struct file_entry {
    struct tier_id id;
    uint64_t raw_bytes;
    uint64_t file_bytes; /* with header and padding */
    bool said; /* the caller knows of it, by STORED or FOUND */
    struct file_entry *next_in_bucket;
    struct file_entry *older;
    struct file_entry *newer;
};

struct file_index {
    struct file_entry **buckets; /* owned, like all entries */
    uint32_t bucket_count; /* a power of two */
    uint64_t count;
    uint64_t bytes;
    struct file_entry *oldest;
    struct file_entry *newest;
    struct file_entry *unsaid; /* no entry before this one is unsaid; NULL: none is */
};

/* Returns 0 or STATUS_NO_MEMORY. */
int file_index_open(struct file_index *out_index);
void file_index_close(struct file_index *index);

struct file_entry *file_index_find(const struct file_index *index, const struct tier_id *id);

/* Add the newest; the block has no entry yet. Returns 0 or STATUS_NO_MEMORY. */
int file_index_add(struct file_index *index, const struct file_entry *entry);
void file_index_remove(struct file_index *index, struct file_entry *entry);

/* The next one that the caller does not know of, from now on said; NULL: there is none. */
const struct file_entry *file_index_say(struct file_index *index);

#endif
