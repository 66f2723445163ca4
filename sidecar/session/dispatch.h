/* dispatch: reads the clients' requests and hands them on, a bounded number a turn.
 *
 * Called by the server in every turn, on its loop. Always: a request is copied to private memory
 * before it is looked at; a turn handles a bounded number of requests of a session, and copies a
 * bounded number of bytes for it, so that no client can hold up the others.
 */
#ifndef CISTERN_SIDECAR_SESSION_DISPATCH_H
#define CISTERN_SIDECAR_SESSION_DISPATCH_H

#include "sidecar/session/session.h"

/* Handle what waits in the lanes of all sessions, up to the bounds of one turn.
 * Returns how many requests were handled. */
uint32_t dispatch_turn(struct session_table *table);

/* Wake the clients' threads that wait for what was sent; dispatch_turn() ends with it. To be called
 * before a sleep, if anything else than a request caused answers. */
void dispatch_wake(struct session_table *table);

/* Does a request wait in any lane that can be handled now? The look before the server's sleep. */
bool dispatch_pending(struct session_table *table);

#endif
