/* move_down: brings what only a device has to host memory: before it leaves, and when somebody
 * waits for it who does not read that device.
 *
 * Called by session/handle (committed) and block/cold (some, rest), on the server's loop. Always: a
 * copy goes into a class of host memory that there is, since the keeper knows of no other; who
 * commits nowhere else finds one, because a session takes the class of its size in host memory
 * first.
 */
#ifndef CISTERN_SIDECAR_BLOCK_MOVE_DOWN_H
#define CISTERN_SIDECAR_BLOCK_MOVE_DOWN_H

#include "sidecar/block/claim.h"
#include "sidecar/block/move.h"

#include <stdint.h>

/* A block was committed to a device, new there or not: `filter` says which sessions read it there,
 * and those that wait for it are told. If others wait its copy to host memory begins, and its end
 * ends the claim; if none can be made, or it fails, the first of them gets the claim. */
void move_down_committed(struct blocks *blocks, const struct key *key, uint16_t space,
    const struct claim_filter *filter, const struct fetch_means *means);

/* Start copies of what leaves next, of devices' classes with little room; looks once in
 * MOVE_LOOK_NS. */
void move_down_some(struct blocks *blocks, const struct fetch_means *means);

/* For a clean stop: start copies of what only devices have and is worth a place on a tier, from
 * slot `*cursor` on, as far as they find room. Evicts from host memory what loses nothing by it. */
void move_down_rest(struct blocks *blocks, uint32_t *cursor, const struct evict_sweep *sweep);

#endif
