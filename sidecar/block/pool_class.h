/* pool_class: which sizes there are, in which tier, and who uses them.
 *
 * Called by session/welcome (take), session (drop), and sidecar/recover (adopt). Always: a class is
 * of one slot size and one tier while it has users or extents; no two classes are of the same. Each
 * tier has a class of its own of a size: their slots cannot stand in for each other.
 */
#ifndef CISTERN_SIDECAR_BLOCK_POOL_CLASS_H
#define CISTERN_SIDECAR_BLOCK_POOL_CLASS_H

#include "sidecar/block/pool.h"

#include <stdint.h>

/* The class of blocks of `block_bytes` in this tier, made if need be; taken once per session and
 * tier, which is one user of it until pool_class_drop(). A class without users and extents makes
 * room for another. Returns 0; STATUS_INVALID for 0 bytes; STATUS_UNSUPPORTED if the pool has
 * nothing of this tier, or that is off (pool_tier_off()); STATUS_TOO_LARGE if it is above an
 * extent; STATUS_LIMIT if POOL_CLASSES_MAX other ones are in use. */
int pool_class_take(
    struct pool *pool, uint64_t block_bytes, enum slot_tier tier, uint32_t *out_class);

/* The class of slots of this size in this tier, or POOL_NONE: none was taken yet. For copies
 * between tiers, which make no class: the keeper would not know of it. */
uint32_t pool_class_find(const struct pool *pool, uint64_t slot_bytes, enum slot_tier tier);

/* One user less. */
void pool_class_drop(struct pool *pool, uint32_t class);

/* Of a pool that a former server left, before its first user and before adopt_blocks(): the size of
 * a class, which takes the number that it had. Its tier is that of the first extent in use that the
 * ledger says is its; without one it is of the tier that pool_class_take() first wants it for.
 * Returns 0, or STATUS_MALFORMED if there is no such size or number. */
int pool_class_adopt(struct blocks *blocks, uint32_t class, uint64_t slot_bytes);

#endif
