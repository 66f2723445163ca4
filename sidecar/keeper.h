/* keeper: the tiny parent that outlives the server, and holds its memory meanwhile.
 *
 *   keeper ──fork──▶ server ──HOLD, DROP, READY──▶ keeper ──fork──▶ the next server, which inherits
 *
 * Called by main. It holds, hands over, restarts, passes signals on and reaps; it maps nothing and
 * reads nothing that a client wrote. Always: everything that a server sent was read before the next
 * one starts, and of a table that is not whole nothing is handed over.
 */
#ifndef CISTERN_SIDECAR_KEEPER_H
#define CISTERN_SIDECAR_KEEPER_H

#include "sidecar/keep.h"
#include "sidecar/log.h"

#include <stdbool.h>

/* The server's part: runs in a child of the keeper, and returns the exit status. `again`: it is not
 * the first one. `keep` is its own from here on. */
typedef int keeper_serve(void *context, struct keep *keep, bool again);

/* Run servers until one ends by itself, or a signal (SIGTERM, SIGINT) asks for the end. A server
 * that ends before it served, and took nothing over, is not started again: its status is ours.
 * Returns the exit status: the last server's, 128 + the signal that killed it, or 1 and a log
 * line. */
int keeper_run(struct log *log, keeper_serve *serve, void *context);

#endif
