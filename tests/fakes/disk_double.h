/* disk_double: a double of a disk's engine: disk_threads, with faults by seed and rate.
 *
 * It keeps the rules of disk.h: each started operation comes back once. A read may fail, or bring a
 * flipped bit; a write may fail, or be torn and yet reported as whole, as a disk that lies would.
 * While it is dead every operation fails. Set before the tier is opened, and changed while it runs.
 */
#ifndef CISTERN_TESTS_FAKES_DISK_DOUBLE_H
#define CISTERN_TESTS_FAKES_DISK_DOUBLE_H

#include "sidecar/tier/disk.h"

struct disk_double_rates { /* of 65536 operations so many */
    uint32_t fail_read;
    uint32_t fail_write;
    uint32_t flip; /* reads */
    uint32_t tear; /* writes */
};

extern const struct disk_ops disk_double;

void disk_double_set(uint64_t seed, const struct disk_double_rates *rates);
void disk_double_kill(bool dead);

#endif
