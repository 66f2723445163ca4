/* door: the unix socket on which clients attach.
 *
 * Owned by the server, on its loop. Knows who comes (SO_PEERCRED), hears the hello, and has welcome
 * answer it; afterwards hears goodbyes and hang-ups. Always: a connection that says nothing, or
 * says anything but a hello, ends; the path belongs to one server at a time (a lock beside it).
 */
#ifndef CISTERN_SIDECAR_SESSION_DOOR_H
#define CISTERN_SIDECAR_SESSION_DOOR_H

#include "sidecar/session/session.h"
#include "sidecar/session/welcome.h"

#define DOOR_GREETING_NS UINT64_C(5000000000) /* how long a connection may say nothing */

struct door {
    int socket;
    int lock;
    struct loop_watch *watch;
    struct session_table *table;
    struct welcome_gifts gifts;
    /* Fills the lines that an observer is told. */
    void (*describe)(void *context, char *out_text, size_t text_bytes);
    void *context;
    char path[CONFIG_PATH_BYTES];
};

/* Listen; or go on listening, if the keeper holds the socket and the lock of a server that died:
 * who knocked meanwhile still waits there. `door` is filled and stays where it is; table, gifts,
 * describe and context are set by the caller before. Returns 0, or STATUS_IO and `why` with the
 * remedy. */
int door_open(struct door *door, const char *path, uint32_t mode, char *why, size_t why_bytes);

/* End connections that never said hello; now and then. */
void door_tick(struct door *door);

/* Stop listening and take the path away; sessions live on. */
void door_close(struct door *door);

#endif
