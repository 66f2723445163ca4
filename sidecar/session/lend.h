/* lend: slots on their way out to a client and home again.
 *
 * A trusted client is lent a slot of the pool; an isolated one a place of its staging segment,
 * which is copied into a slot when it commits. Called by handle, on the server's loop. The client
 * sees one thing in all cases: (slot, generation), an offset, and room for a block. A client with a
 * device may be lent slots of that one's memory besides.
 */
#ifndef CISTERN_SIDECAR_SESSION_LEND_H
#define CISTERN_SIDECAR_SESSION_LEND_H

#include "sidecar/session/session.h"

/* Lend one slot, of the session's device or of host memory; evicts for `wanted` of them if none is
 * free. Fills slot, generation, offset and bytes of the reply. Returns 0, STATUS_LIMIT (too many
 * lent already), STATUS_BUSY (nothing to evict) or STATUS_UNSUPPORTED (it has no device). */
int lend_slot(struct session *session, bool device, uint32_t wanted, struct reply *reply);

/* Is this slot or place lent to the session, under this generation? The numbers are the client's.
 */
bool lend_is_lent(const struct session *session, uint32_t slot, uint64_t generation);

/* A lent one comes home unused. */
void lend_return(struct session *session, uint32_t slot);

/* A lent one comes home with `bytes` bytes in it: no longer lent, ready for admit_block() under the
 * slot and generation set here. Returns 0, or STATUS_BUSY: an isolated client's bytes found no room
 * in the pool and are dropped. */
int lend_filled(struct session *session, uint32_t *slot, uint64_t *generation, uint64_t bytes);

#endif
