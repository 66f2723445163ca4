/* file_read: read one block from its file, and verify it. Called by tier_file. */
#ifndef CISTERN_SIDECAR_TIER_FILE_READ_H
#define CISTERN_SIDECAR_TIER_FILE_READ_H

#include "sidecar/tier/file_store.h"

struct file_read {
    const struct record_rules *rules;
    const struct tier_wish *wish;
    uint64_t raw_bytes; /* as the index knows it */
    int descriptor; /* of the block's file */
    void *payload; /* room for `raw_bytes` */
    void *scratch; /* as record_scratch_bytes() says */
};

/* Filled as far as it went, also if it ended badly. */
struct file_read_done {
    uint64_t part_bytes; /* verified before the rest was read; 0: it was read in one go */
    uint64_t read_bytes;
    int error; /* an errno, where the status is STATUS_IO */
};

/* Returns 0; STATUS_IO: the device failed; STATUS_DENIED: written under another key; any other: the
 * file does not hold this block. */
int file_read(const struct file_read *read, struct file_read_done *out_done);

#endif
