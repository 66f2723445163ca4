/* admit: from a filled slot to a block that readers find.
 *
 * Called by session/handle for commits, session/touch, block/fetch for what a lower tier delivered,
 * and to answer "is it hot?". Always: the descriptor is published before its hint; a key and
 * namespace have at most one hot slot in each tier. Two copies are two blocks that have a key in
 * common: each has a hint, holds and an age of its own, and leaves without the other (README,
 * decision 30).
 */
#ifndef CISTERN_SIDECAR_BLOCK_ADMIT_H
#define CISTERN_SIDECAR_BLOCK_ADMIT_H

#include "shm/hint.h"
#include "shm/slot.h"
#include "sidecar/block/blocks.h"

#include <stdbool.h>
#include <stdint.h>

/* A slot that holds this key of this namespace, or HINT_NONE; of two copies that in host memory,
 * which everybody can read. To tell a client of its place, ask for the tier that it reads. */
uint32_t admit_find(const struct blocks *blocks, const struct key *key, uint16_t space);

/* The slot in this tier that holds it, or HINT_NONE. */
uint32_t admit_find_tier(
    const struct blocks *blocks, const struct key *key, uint16_t space, enum slot_tier tier);

/* All of them, one a call: the next at or after a position of the key's buckets, which begins at 0;
 * or HINT_NONE. Words of one tag may be two copies of a key, or two keys: the line says which. */
uint32_t admit_next(const struct blocks *blocks, const struct hint_place *place,
    const struct key *key, uint16_t space, uint32_t *position);

/* What dropping each of its copies costs now, after one came or went: a fetch, if the block lies
 * `below`, on a lower tier, or the copy is a device's and host memory has one too. */
void admit_cost(struct blocks *blocks, const struct key *key, uint16_t space, bool below);

/* Publish a lent slot. The caller set key, space, bytes, checksum and flags of `content`, and
 * checked that the slot is its client's; offset, tier and class are the slot's, and filled in here.
 * `parent` is the block before it in its chain, or NULL: while it is hot in the same tier, and this
 * block too, it is not evicted.
 *
 * Returns 0: the block is hot (duplicate false), or it was already in the slot's tier (true; the
 * slot was given back).
 * STATUS_BUSY: no room for the hint, the slot was given back. STATUS_STALE: the slot is not lent,
 * or under another generation. STATUS_INVALID: no bytes, or more than the slot has; it stays lent.
 * */
int admit_block(struct blocks *blocks, uint32_t slot, uint64_t generation,
    struct slot_content *content, const struct key *parent, bool *out_duplicate);

/* Publish a LOADING slot that a read or a copy filled; the block is not hot in the slot's tier, and
 * lies `below`, on a lower tier, or not. As admit_block(), but a slot that cannot be published
 * stays LOADING: readers of its first part may have pinned it. Returns 0, or STATUS_BUSY: no room
 * for the hint. */
int admit_filled(struct blocks *blocks, uint32_t slot, struct slot_content *content,
    const struct key *parent, bool below);

/* A lane says that a block was used; `slot` is below index.slots. Ignored if it holds no block.
 * Several blocks of a chain: the deepest first. */
void admit_touch(struct blocks *blocks, uint32_t slot);

#endif
