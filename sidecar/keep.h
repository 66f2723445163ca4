/* keep: the server's end of the keeper's socket, and the one message that goes over it.
 *
 * The server says what is to be held for its successor (HOLD), what no longer (DROP), and that it
 * serves (READY). Called by sidecar/recover, session/door, welcome and session. Nothing comes back:
 * what was sent lies in the socket even if its sender dies at once, and the keeper reads all of it
 * before it starts another server; that one inherits the table (README, decision 1). Without a
 * keeper the pointer is NULL, and every call does nothing.
 */
#ifndef CISTERN_SIDECAR_KEEP_H
#define CISTERN_SIDECAR_KEEP_H

#include "sidecar/keep_table.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define KEEP_MAGIC UINT32_C(0x5045454b) /* "KEEP" */

enum keep_verb { KEEP_HOLD = 1, KEEP_DROP = 2, KEEP_READY = 3 };

struct keep_message {
    uint32_t magic;
    uint32_t verb; /* enum keep_verb */
    uint32_t kind; /* enum keep_kind; HOLD and DROP */
    uint32_t id;
    uint32_t bytes; /* of the blob; HOLD */
    uint32_t zero;
    unsigned char blob[KEEP_TABLE_BYTES];
};

static_assert(sizeof(struct keep_message) == 24 + KEEP_TABLE_BYTES, "no padding on the wire");

struct keep {
    int socket; /* to the keeper */
    struct keep_table held; /* what the server before this one left */
    bool cold; /* it is not to be taken over: servers that did so died */
};

/* Give an item to the keeper, before anybody else gets to know it. The descriptors stay the
 * caller's. Returns 0; STATUS_BUSY if the keeper did not read in time; STATUS_NO_SERVER if there is
 * none any more. */
int keep_hold(struct keep *keep, enum keep_kind kind, uint32_t id, const void *blob, uint32_t bytes,
    const int *fds, uint32_t fd_count);

/* The item is no longer wanted. If that cannot be said, the keeper holds more than it must. */
void keep_drop(struct keep *keep, enum keep_kind kind, uint32_t id);

/* The server serves: a death from here on is followed by another server. */
int keep_ready(struct keep *keep);

/* Close the socket and what is left of the inheritance. */
void keep_close(struct keep *keep);

#endif
