/* move_up: brings what is used from host memory to the device where it is used.
 *
 * Called by session/touch (touched) and session/gather (ahead), on the server's loop. A copy up is
 * a hint that nobody waits for: what finds no room is dropped. Always: nothing is evicted from a
 * device for it but what host memory or a lower tier has too, and what its class keeps free for
 * grants is left to them.
 */
#ifndef CISTERN_SIDECAR_BLOCK_MOVE_UP_H
#define CISTERN_SIDECAR_BLOCK_MOVE_UP_H

#include "sidecar/block/move.h"

#include <stdint.h>

/* A session with a device, which wants blocks there. */
struct move_up_reader {
    uint32_t device;
    uint32_t class; /* of that device, which the session took */
    uint16_t space;
};

/* The session touched `slot`, which is below index.slots, and else its word alone: if it is of host
 * memory, and was touched as often as moves.promote says, its copy to the device begins. */
void move_up_touched(struct blocks *blocks, uint32_t slot, const struct move_up_reader *reader,
    const struct evict_sweep *sweep);

/* The session asks for the block on its device: if host memory has it its copy begins, whatever
 * moves.promote says. */
void move_up_ahead(struct blocks *blocks, const struct key *key,
    const struct move_up_reader *reader, const struct evict_sweep *sweep);

#endif
