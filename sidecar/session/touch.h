/* touch: what the clients say they used, read from their logs.
 *
 * Called by the server now and then while it is awake, and by handle before it evicts. The logs are
 * lossy and advisory: a client overwrites what nobody read in time.
 */
#ifndef CISTERN_SIDECAR_SESSION_TOUCH_H
#define CISTERN_SIDECAR_SESSION_TOUCH_H

#include "sidecar/session/session.h"

/* Read all logs; bounded by their size. Returns how many touches there were. */
uint32_t touch_drain(struct session_table *table);

/* A tick is over: further touches of the same blocks are uses of their own again. Until then they
 * are one use (README, decision 12). */
void touch_pass(struct session_table *table);

#endif
