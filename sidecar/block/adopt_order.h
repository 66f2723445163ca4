/* adopt_order: tells the policies of adopted blocks which came first, and which follows which.
 *
 * Called by adopt, once. The ledger has the serial of each block's last use; told in that order,
 * the policies end up as the dead server's were, but for ghosts. A parent that was used after its
 * children is told before them, because they name it, and again when its turn comes.
 */
#ifndef CISTERN_SIDECAR_BLOCK_ADOPT_ORDER_H
#define CISTERN_SIDECAR_BLOCK_ADOPT_ORDER_H

#include "sidecar/block/blocks.h"

#include <stdint.h>

/* All VALID slots, of which there are `count`, become resident in their classes' policies.
 * Returns 0 or STATUS_NO_MEMORY. */
int adopt_order(struct blocks *blocks, uint32_t count);

#endif
