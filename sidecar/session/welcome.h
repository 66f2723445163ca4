/* welcome: what the server answers to a hello.
 *
 * Called by door. An attach is built in order (namespace, quotas, process, lane, bell) and undone
 * by session_end() from wherever it stops; the client learns of it only when everything stands.
 */
#ifndef CISTERN_SIDECAR_SESSION_WELCOME_H
#define CISTERN_SIDECAR_SESSION_WELCOME_H

#include "shm/hello.h"
#include "sidecar/device/devices.h"
#include "sidecar/session/session.h"

/* What every client is given; borrowed from the server, constant while the door is open. */
struct welcome_gifts {
    int index_readonly;
    int pool_readonly;
    int pool_writable;
    uint64_t index_bytes;
    uint64_t pool_bytes;
    uint64_t epoch;
    const struct device_gift *devices; /* by number */
    uint32_t device_count;
};

/* Make the greeting session an attached one, have `watch` watch its bell and its process, and only
 * then send the welcome. On failure a refusal was sent and the session must be ended by the caller.
 * Returns 0 or the status sent. */
int welcome_attach(struct session *session, const struct hello *hello,
    const struct welcome_gifts *gifts, int (*watch)(struct session *session));

/* Send the index, to be read, and `info`; the session is over with it. */
void welcome_observe(int socket, const struct welcome_gifts *gifts, const char *info);

/* Send a refusal. */
void welcome_refuse(int socket, int status, const char *why);

#endif
