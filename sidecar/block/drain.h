/* drain: moves extents from the class that has most to one that has too few.
 *
 * Without it a pool that is full of one model's blocks would never hold another's: slots of two
 * sizes cannot replace each other, only whole extents can. Called by evict. Always: nothing is
 * taken from a draining extent; emptied it joins its heir. Pinned blocks and lent slots only delay
 * that: while one extent is stuck with them others are tried, and of too many stuck ones one goes
 * back into service. A class that nobody used while all that its tier holds was evicted once over
 * is idle (pool_idle()): it has no share, and gives first. Donor, heir and share are of one tier:
 * what is stuck in the other one delays nobody here.
 */
#ifndef CISTERN_SIDECAR_BLOCK_DRAIN_H
#define CISTERN_SIDECAR_BLOCK_DRAIN_H

#include "shm/slot.h"
#include "sidecar/block/evict.h"

#include <stdbool.h>
#include <stdint.h>

#define DRAIN_EXTENTS_MAX 8u /* of a tier, at a time */
#define DRAIN_PASSES 64u /* over one extent without emptying it: then it is stuck */
#define DRAIN_LOOKS 1024u /* slots looked at for one batch of victims */

/* Take an extent out of service for `class`, if the class has less than its fair share (extents by
 * classes in use, at least one), another has more than it, and nothing drains for it that is not
 * stuck. Returns true if one that is not stuck drains for it now. */
bool drain_start(struct blocks *blocks, uint32_t class);

/* Evict from the draining extents of a tier, `batches` sweeps at most. Returns true if any slot was
 * freed. */
bool drain_tick(
    struct blocks *blocks, enum slot_tier tier, uint32_t batches, const struct evict_sweep *sweep);

#endif
