/* reply: what the server writes into a lane, and when it wakes a client for it.
 *
 * Called by dispatch and, for claims and fetches, by the answers of block/claim and block/fetch; on
 * the server's loop. Replies are
 * shown at once; sleepers are woken once a turn, by reply_wake(), after one fence for all of them.
 */
#ifndef CISTERN_SIDECAR_SESSION_REPLY_H
#define CISTERN_SIDECAR_SESSION_REPLY_H

#include "sidecar/session/session.h"

/* Put a reply into the seat's ring. If the ring is full the client does not read: the reply is
 * lost, its caller's deadline ends the wait. */
void reply_send(struct session *session, uint32_t seat, const struct reply *reply);

/* Where block/claim sends its answers: into the waiter's reply ring, or its event ring. */
struct claim_answers reply_answers(struct session_table *table);

/* What block/fetch needs: that, its own answers, the sweep, and the time of this turn. */
struct fetch_means reply_means(struct session_table *table);

/* Wake the threads of a session that wait for what was sent in this turn. */
void reply_wake(struct session *session);

#endif
