/* adopt: makes the blocks that a dead server left this one's own.
 *
 * Called by sidecar/recover, once, between blocks_open() and the first request, after the epoch was
 * raised and its fence (shm/README.md, ordering 2): from there on nobody can pin anything through
 * an older attach, so one sweep says of every slot whether it may be touched. Always: a block is
 * believed if all that its line says fits; anything else is garbage, and given away only when no
 * lane names it and nothing can write it any more. May be done again if it is cut short.
 */
#ifndef CISTERN_SIDECAR_BLOCK_ADOPT_H
#define CISTERN_SIDECAR_BLOCK_ADOPT_H

#include "sidecar/block/blocks.h"
#include "sidecar/block/evict.h"

#include <stdbool.h>
#include <stdint.h>

/* Slots, one behind the other through pool.next. */
struct adopt_chain {
    uint32_t first; /* POOL_NONE: empty */
    uint32_t count;
};

struct adopt_found {
    uint32_t blocks; /* hot, and found by their keys again */
    uint32_t lost; /* of devices whose memory is gone */
    uint32_t dropped; /* of no known namespace, double, or not believed */
    struct adopt_chain lent; /* RESERVED: the ledger says to whom */
    struct adopt_chain loading; /* LOADING: something may still write them */
    struct adopt_chain read; /* LOADING, and a reader has the part that was there already */
};

/* What is believed of what the dead server left. */
struct adopt_terms {
    const bool *known; /* BLOCKS_SPACES: can anybody still ask for blocks of this namespace? */
    /* A bit a device: its memory is not there any more, so all its slots are free, whoever fills or
     * reads them: their memory of old is written by nobody who is ours, and must never be this
     * device's memory again (the keeper forgot it). */
    uint32_t lost_devices;
};

/* Classes were adopted (pool_class_adopt()), and `sweep` knows every lane of old.
 * Returns 0 and what was found, its chains for the caller to give to their owners; STATUS_MALFORMED
 * if the memory contradicts itself, STATUS_NO_MEMORY: start with other memory then. */
int adopt_blocks(struct blocks *blocks, const struct adopt_terms *terms,
    const struct evict_sweep *sweep, struct adopt_found *out_found);

/* Take the first slot of a chain, which is not empty. */
uint32_t adopt_pop(struct blocks *blocks, struct adopt_chain *chain);

#endif
