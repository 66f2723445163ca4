/* fetch: brings blocks to host memory, from below or from a device: one read for all who want one,
 * into a slot that is LOADING.
 *
 * Called by session/gather (block, ahead), session/handle (hot), session (drop); fetch_load does
 * the reading. On the server's loop. A read belongs to nobody: it goes on when those who asked are
 * gone, and what arrives is published. Always: a block is read at most once at one time, however
 * many want it; and it is read into host memory. Only a copy there is an answer to a fetch, unless
 * who asks reads the device that has the block: others are told of offsets in host memory. What
 * another device has is copied from there, sooner than a tier reads it.
 *
 *   QUEUED ──pump──▶ LOADING ──LOADED──▶ HERE ──▶ published      HERE: the bytes are there, and an
 *     │ nobody waits    │ MISS, IO        parent's read ended          older read brings its parent
 *     ▼                 ▼
 *    free ◀──────── slot told of? ─▶ DYING ──sweep finds no pin──▶ free
 */
#ifndef CISTERN_SIDECAR_BLOCK_FETCH_H
#define CISTERN_SIDECAR_BLOCK_FETCH_H

#include "shm/layout.h"
#include "shm/slot.h"
#include "sidecar/block/claim.h"
#include "sidecar/block/evict.h"
#include "sidecar/block/fetch_batch.h"
#include "sidecar/block/fetch_table.h"
#include "sidecar/tier/tier.h"

#include <stdbool.h>
#include <stdint.h>

#define FETCH_LOADING_MAX 1024u /* LOADING and HERE at one time */
#define FETCH_AHEAD_MAX 4096u /* prefetches in the queue */

struct blocks;

/* One block that somebody wants. */
struct fetch_want {
    struct key key;
    struct key parent;
    bool has_parent;
    uint16_t space;
    uint32_t class; /* of host memory */
    enum slot_tier reads; /* a device that the asker reads; SLOT_TIER_HOST: none */
};

/* What of the session layer is needed: its lanes, and ways to answer. */
struct fetch_means {
    struct evict_sweep sweep;
    struct fetch_answers answers;
    struct claim_answers claims;
    uint64_t now_ns;
};

/* The next block of a batch. */
void fetch_block(struct blocks *blocks, uint32_t batch, const struct fetch_want *want,
    const struct fetch_means *means);

/* A hint of a session: somebody will want this block in host memory. */
void fetch_ahead(
    struct blocks *blocks, uint32_t session, const struct fetch_want *want, uint64_t deadline_ns);

/* A block became hot by a commit: who waits for its read has it, if it is in host memory. */
void fetch_hot(
    struct blocks *blocks, const struct key *key, uint16_t space, const struct fetch_means *means);

/* The session is gone: its batches and hints are forgotten. */
void fetch_drop(struct blocks *blocks, uint32_t session);

/* All who wait for a read have their block, in `slot`, and it stays for them; or, HINT_NONE, they
 * will not have it, for the reason that `why` counts. */
void fetch_settle(struct blocks *blocks, uint32_t at, uint32_t slot, enum counter why,
    const struct fetch_means *means);

#endif
