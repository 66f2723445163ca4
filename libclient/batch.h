/* batch: a run of blocks of one prefix, asked for at once (REQUEST_FETCH).
 *
 * Called by libclient/fetch and libclient/fetch_layers, by the thread that has the seat. Always: a
 * run begins behind the hot start of the prefix, at a block that is not hot, and ends before the
 * first one that neither is hot nor has a hint of a lower tier. Hot blocks inside it are asked for
 * like the others: so they are held until the others have come, and the n-th block of the run is
 * the n-th of the answer (README, decision 16).
 */
#ifndef CISTERN_LIBCLIENT_BATCH_H
#define CISTERN_LIBCLIENT_BATCH_H

#include "libclient/call.h"

/* Requests that are worth waiting for room for, if so many are left. */
#define BATCH_GROUP 64u

struct batch {
    const struct cistern_key *keys; /* the caller's: the parent of a block is the key before it */
    size_t hot; /* blocks before the run: all hot */
    uint32_t count; /* blocks of the run; 0: there is nothing to ask for */
};

/* What of a prefix is to be asked for: `count` keys, at most REQUEST_FETCH_MAX.
 * Returns 0 or STATUS_NO_SERVER. */
int batch_find(struct cistern *handle, struct core_seat *seat, const struct cistern_key *keys,
    size_t count, struct batch *out_batch);

/* Send the requests of a batch, waiting for room until `deadline_ns`. `common`: what they share.
 * Returns 0, STATUS_NO_SERVER or STATUS_BUSY; then only a part of it may have gone out. */
int batch_send(struct cistern *handle, struct core_seat *seat, const struct batch *batch,
    const struct request *common, uint64_t deadline_ns);

/* Ask for a batch as a hint, with `flags` besides REQUEST_AHEAD: within a millisecond, and no more
 * of it than there is room for. Returns 0 or STATUS_NO_SERVER. */
int batch_ahead(
    struct cistern *handle, struct core_seat *seat, const struct batch *batch, uint32_t flags);

/* Send a batch and wait until it is answered; with `parts`, until the first `bytes` bytes of all
 * its blocks are there. `parts` may be NULL, `bytes` is 0 then; what came is in it in any case.
 * Returns 0 or STATUS_MISS: some may not have come; STATUS_BUSY, STATUS_NO_SERVER, or what else
 * the sidecar says. */
int batch_ask(struct cistern *handle, struct core_seat *seat, const struct batch *batch,
    uint64_t bytes, int64_t timeout_ns, struct call_parts *parts);

#endif
