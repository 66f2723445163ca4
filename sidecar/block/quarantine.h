/* quarantine: slots whose client died while something may still write into them.
 *
 * A store of the CPU ends with its process, a copy by a device or a disk may land later. Such a
 * slot keeps its state (RESERVED or LOADING) and belongs to nobody until its time is over. Called
 * by session when a pidfd says that a client is dead, and by the loop (tick).
 */
#ifndef CISTERN_SIDECAR_BLOCK_QUARANTINE_H
#define CISTERN_SIDECAR_BLOCK_QUARANTINE_H

#include "sidecar/block/arena.h"

#include <stdint.h>

#define QUARANTINE_TICK_MAX 256u /* slots given back in one tick */

struct blocks;

/* A queue: times only rise, because the delay is one for all. */
struct quarantine {
    uint64_t delay_ns;
    uint64_t *until_ns; /* one a slot */
    uint32_t first;
    uint32_t last;
    uint32_t count;
};

/* Called by blocks_open(). */
uint64_t quarantine_arena_bytes(uint32_t slots);
void quarantine_open(
    struct quarantine *quarantine, uint64_t delay_ns, uint32_t slots, struct arena *arena);

/* Hold a lent slot back for the delay, counted from now. */
void quarantine_put(struct blocks *blocks, uint32_t slot, uint64_t now_ns);

/* Give back what is over. Returns the next deadline, UINT64_MAX for none; not later than now: call
 * again soon. */
uint64_t quarantine_tick(struct blocks *blocks, uint64_t now_ns);

#endif
