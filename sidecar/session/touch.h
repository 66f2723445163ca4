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

#endif
