/* cold: where the blocks of this server meet its lower tiers: events in, reads and copies out.
 *
 * Called by the loop (server_run) every turn, and by server_tiers when they are opened and closed.
 * Without tiers there are batches and holds all the same: of blocks that are hot; and with devices
 * the copies between them and host memory.
 *
 *   tiers_poll ─▶ STORED ─▶ spill          LOST, FOUND ─▶ is it hot? then what leaving costs
 *              └▶ PART, LOADED ─▶ fetch    turn: events, then reads that wait, then copies
 *   mover    ─▶ done ─▶ move, fetch         of what leaves the pool, or a device
 */
#ifndef CISTERN_SIDECAR_BLOCK_COLD_H
#define CISTERN_SIDECAR_BLOCK_COLD_H

#include "sidecar/block/fetch.h"
#include "sidecar/tier/tiers.h"

#include <stdbool.h>
#include <stdint.h>

#define COLD_EVENTS 256u /* taken in one turn */

struct blocks;

/* How far a clean stop came. */
struct cold_cursor {
    uint32_t device; /* slots looked at for copies to host memory */
    uint32_t host; /* for copies to tiers */
};

struct cold {
    struct tiers *tiers; /* NULL: none */
    unsigned char *pool; /* as this process maps it */
    uint64_t measured_ns; /* when the tiers were last asked how they are */
    bool finding; /* they find what an earlier life left: nobody knows yet what needs no copy */
    uint64_t search_ns; /* nobody waits for it longer than until then */
};

/* From now on these tiers are below the pool, which is mapped at `pool`; both stay the caller's.
 * NULL: none any more. */
void cold_attach(struct blocks *blocks, struct tiers *tiers, void *pool);

/* The tiers begin to find what an earlier life left there: copies wait until it is known. */
void cold_search(struct blocks *blocks, uint64_t now_ns);

/* Blocks of this number belong to this namespace, of this trust group, from now on. */
void cold_space(struct blocks *blocks, uint32_t number, const struct space *space, uint64_t group);

/* Is a block of this key known on a tier? Advice, as tiers_has(); false if there is none. */
bool cold_has(const struct blocks *blocks, const struct key *key);

/* One turn; `*out_work` is 0 if nothing was done, so nobody was answered. Returns true if there is
 * more to do at once. */
bool cold_turn(struct blocks *blocks, const struct fetch_means *means, uint32_t *out_work);

/* Now and then: deadlines, counters, copies ahead of eviction. Returns the next deadline; not later
 * than now: call again soon. */
uint64_t cold_tick(struct blocks *blocks, const struct fetch_means *means);

/* A step of a clean stop: copy down what is worth it and has no copy, that of devices by way of
 * host memory, as long as there is a mover. `*cursor` is 0 at the first step. Returns true when all
 * of it has ended; else call it again when a tier says something. */
bool cold_save(struct blocks *blocks, const struct fetch_means *means, struct cold_cursor *cursor);

#endif
