/* fetch_load: the reads themselves: their start, what they deliver, and how their slots come home.
 *
 * Called by block/cold on the server's loop. See fetch.h for the life of a read. Always: a slot
 * that a tier or a device writes comes home only after its LOADED, or done; one whose first part
 * was told to a client, only after a sweep as well, like any victim.
 */
#ifndef CISTERN_SIDECAR_BLOCK_FETCH_LOAD_H
#define CISTERN_SIDECAR_BLOCK_FETCH_LOAD_H

#include "sidecar/block/fetch.h"

#include <stdbool.h>
#include <stdint.h>

/* Begin queued reads, a bounded number. Returns true if more can begin at once. */
bool fetch_load_some(struct blocks *blocks, const struct fetch_means *means);

/* Events of a tier; the cookie is the read's number. */
void fetch_load_part(
    struct blocks *blocks, const struct tier_done *done, const struct fetch_means *means);
void fetch_load_done(
    struct blocks *blocks, const struct tier_done *done, const struct fetch_means *means);

/* The copy of a device's slot ended on which the read hung: `content` is what was copied, NULL if
 * it failed; `claimed`: waiters of a claim hear of it, too. */
void fetch_load_moved(struct blocks *blocks, uint32_t at, const struct slot_content *content,
    bool claimed, const struct fetch_means *means);

/* Take slots home that readers were at. Returns when to do it again, UINT64_MAX: no need. */
uint64_t fetch_load_tick(struct blocks *blocks, const struct fetch_means *means);

#endif
