/* recover: the way from a dead server's memory to a serving one.
 *
 *   keeper's table ─▶ recover_map ─▶ blocks, sessions (empty) ─▶ recover_take ─▶ door
 *
 * Called by server_open(), on the server's thread. The order is that of ordering 2 of
 * shm/README.md: the old index is mapped for writing, its epoch is raised, then one fence; all
 * lanes of old are swept from there on; and only then anything is retired or lent. Always: memory
 * that contradicts itself is given up as a whole, and clients that have it mapped are told by its
 * epoch.
 */
#ifndef CISTERN_SIDECAR_RECOVER_H
#define CISTERN_SIDECAR_RECOVER_H

#include "cuda/device.h"
#include "sidecar/keep.h"
#include "sidecar/session/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What survives a server: made by it, given to the keeper in one message, adopted by the next. */
struct recover_memory {
    struct device_pool pool;
    struct segment index;
    struct segment ledger;
};

/* The sizes that must be equal for memory to be taken over: the blob of KEEP_MEMORY. */
struct recover_sizes {
    uint64_t pool_bytes;
    uint64_t extent_bytes;
    uint64_t slot_min_bytes;
    uint64_t index_bytes;
    uint64_t ledger_bytes;
    uint64_t device_bytes; /* of each device */
    uint32_t devices;
    uint32_t abi;
    uint32_t huge;
    int32_t node;
};

/* Is there memory to take over? */
bool recover_can(const struct keep *keep);

/* Give fresh memory to the keeper, before anybody else gets to know it. As keep_hold(). */
int recover_hold(
    struct keep *keep, const struct recover_memory *memory, const struct recover_sizes *sizes);

/* Map what is held, if it has the sizes of `wanted` (huge and node do not count).
 * Returns 0, and the memory is the caller's; or a status and `why`. */
int recover_map(struct keep *keep, const struct recover_sizes *wanted,
    struct recover_memory *out_memory, char *why, size_t why_bytes);

/* Raise the epoch, then take over classes, namespaces, lanes and blocks into a table and blocks
 * that were opened over the memory and are empty; of devices whose bit is set in `lost` the memory
 * is gone. Says in the log what was found, and how long it
 * took since `start_ns`. Returns 0; or a status and `why`, and then the table is to be closed and
 * the memory given up. */
int recover_take(
    struct session_table *table, uint32_t lost, uint64_t start_ns, char *why, size_t why_bytes);

/* Give up what is still held but for the door, and tell the clients of that memory. */
void recover_renounce(struct keep *keep);

#endif
