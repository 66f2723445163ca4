/* tier_file: the reference tier: a file a block, plain synchronous calls, no cleverness.
 *
 * Opened by tests, and by whoever wants to see what the seam promises. A record is written to a
 * temporary name and renamed, so a file is whole or not there. Everything is done when store or
 * load return; poll() only hands the events out. What lies in the directory is found again at open.
 */
#ifndef CISTERN_SIDECAR_TIER_TIER_FILE_H
#define CISTERN_SIDECAR_TIER_TIER_FILE_H

#include "sidecar/tier/record.h"
#include "sidecar/tier/tier.h"

struct tier_file_options {
    const char *directory; /* exists, writable */
    uint64_t capacity_bytes; /* oldest files go first */
    enum codec codec;
    const char *key_file; /* NULL or "": not encrypted */
};

/* Returns 0, or a status and `why` with the remedy. */
int tier_file_open(
    const struct tier_file_options *options, struct tier **out_tier, char *why, size_t why_bytes);

#endif
