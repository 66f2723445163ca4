/* spill: copies blocks to a lower tier before their turn to leave comes, so that leaving is free.
 *
 * Called by block/cold on the server's loop (tick, stored), and by evict (missed). A tier reads the
 * bytes in the pool, while the block is VALID, held and readable; nothing waits for it. What is
 * stored is known by its policy_cost(): FETCH. Always: only slots of host memory are copied, as a
 * tier has no address of device memory; a slot is held from the store to its STORED; at most
 * SPILL_COUNT_MAX blocks, and SPILL_BYTES_MAX or one block, are on their way.
 */
#ifndef CISTERN_SIDECAR_BLOCK_SPILL_H
#define CISTERN_SIDECAR_BLOCK_SPILL_H

#include "sidecar/block/evict.h"
#include "sidecar/tier/tier.h"

#include <stdbool.h>
#include <stdint.h>

#define SPILL_COUNT_MAX 256u
#define SPILL_BYTES_MAX (UINT64_C(64) << 20)
#define SPILL_LOOK_NS UINT64_C(1000000)

struct blocks;

struct spills {
    uint32_t count; /* on their way */
    uint64_t bytes;
    bool always; /* all that leaves is worth a write, not only what was used again */
    bool refused; /* the tiers take no more now; until the next STORED, or tick */
    uint64_t looked_ns; /* when spill_some() last looked */
};

/* Is the block in this slot on a lower tier; of one in device memory: there, or in host memory? */
bool spill_is_stored(const struct blocks *blocks, uint32_t slot);

/* Is a copy of this block worth a write, and is there none? Never of a slot in device memory: such
 * a block is copied to host memory first (move). */
bool spill_is_wanted(struct blocks *blocks, uint32_t slot);

/* Can a copy of the slot begin: is it readable, and no copy under way? */
bool spill_is_ready(const struct blocks *blocks, uint32_t slot);

/* Start copies of what leaves one class of host memory next: its room is needed. */
void spill_class(struct blocks *blocks, uint32_t class);

/* Room in a class of host memory for about `wanted` blocks that can wait, unlike a commit: what
 * would be lost is copied down first. Returns 0; STATUS_PENDING while that goes on, STATUS_BUSY. */
int spill_room(
    struct blocks *blocks, uint32_t class, uint32_t wanted, const struct evict_sweep *sweep);

/* Start copies of what leaves next, of classes with little room; looks once in SPILL_LOOK_NS. */
void spill_some(struct blocks *blocks, uint64_t now_ns);

/* A copy ended; its cookie is the slot. */
void spill_stored(struct blocks *blocks, const struct tier_done *done);

/* The block in this slot is about to be dropped: count it if it was worth a copy and has none. */
void spill_missed(struct blocks *blocks, uint32_t slot);

/* For a clean stop: start copies of all that is worth one, from slot `*cursor` on, as far as they
 * are taken. Returns true when the last slot was seen. */
bool spill_rest(struct blocks *blocks, uint32_t *cursor);

#endif
