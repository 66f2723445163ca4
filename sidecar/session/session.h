/* session: who is attached, and what was lent to whom.
 *
 *   GREETING ──▶ ATTACHED ──▶ REVOKED ──▶ gone      REVOKED: no more service, but its pins and its
 *       └──▶ gone    └──────────────────▶ gone      grants stand until its pidfd says it is dead
 *
 * Opened by door, attached by welcome, served by dispatch, ended here; all on the server's loop.
 * Always: a session's lane is swept before any slot is reused, from its attach until its process is
 * dead or said goodbye; a lane's memory is never given to a second client.
 */
#ifndef CISTERN_SIDECAR_SESSION_SESSION_H
#define CISTERN_SIDECAR_SESSION_SESSION_H

#include "shm/lane.h"
#include "shm/ring.h"
#include "shm/segment.h"
#include "sidecar/block/blocks.h"
#include "sidecar/config.h"
#include "sidecar/log.h"
#include "sidecar/loop.h"
#include "sidecar/session/grant.h"
#include "sidecar/session/registry.h"
#include "sidecar/session/staging.h"

#include <stdbool.h>
#include <stdint.h>

struct door;

#define SESSION_INDEX_BITS 13u /* of a session number; the rest counts up */
#define SESSION_PLACES (1u << SESSION_INDEX_BITS)
#define SESSION_GREETINGS 64u /* connections that have not said hello yet */

enum session_state { SESSION_GREETING, SESSION_ATTACHED, SESSION_REVOKED };

/* The server's ends of one seat, in private memory: what it wrote is never read back. */
struct session_seat {
    struct lane_seat lane;
    struct ring_reader requests;
    struct ring_writer replies;
    uint32_t touch_head;
    uint32_t held; /* replies that its next request needs room for, while there is none; else 0 */
    bool replied; /* since the last look whether its thread sleeps */
};

struct session {
    struct session_table *table;
    uint32_t number; /* never 0, never used twice */
    enum session_state state;
    uint32_t uid;
    int32_t pid;
    int socket;
    int pidfd;
    int bell;
    struct loop_watch *socket_watch;
    struct loop_watch *pid_watch;
    struct loop_watch *bell_watch;
    uint64_t greeted_ns; /* when the connection came */

    /* From the attach on. */
    bool welcomed; /* the client knows that it is attached */
    bool isolated;
    bool late_writes; /* a device may write its slots after its death */
    uint32_t space;
    uint32_t size_class;
    uint64_t block_bytes;
    struct lane_shape shape;
    struct segment lane_client; /* mapped read-only */
    struct segment lane_server;
    struct session_seat *seats;
    uint32_t seats_used;
    struct ring_writer events;
    uint32_t events_signalled; /* the event tail when the socket was last written */
    bool events_sent;
    struct grant_list lent; /* slots of the pool; trusted clients */
    struct staging staging; /* isolated clients */
    uint32_t grants_max;
    uint64_t promised_bytes; /* what its pins may hold */
};

/* All sessions of one server. Borrows all that it points to. */
struct session_table {
    struct blocks *blocks;
    struct loop *loop;
    struct log *log;
    const struct config *config;
    struct door *door; /* where sessions come in; set by it */
    struct grants grants;
    struct registry registry;
    struct session **places; /* SESSION_PLACES, by number */
    uint32_t *active; /* places in use, dense */
    uint32_t active_count;
    uint32_t serial;
    uint32_t greetings;
    uint32_t attached; /* sessions with a lane */
    uint64_t promised_bytes; /* sum of all pin quotas */
    uint64_t now_ns; /* of this turn */
    void *pool_base; /* the pool as this process maps it */
};

/* Returns 0 or STATUS_NO_MEMORY. */
int session_open_table(struct session_table *out_table, struct blocks *blocks, struct loop *loop,
    struct log *log, const struct config *config, void *pool_base);

/* Ends every session, as if all were dead. */
void session_close_table(struct session_table *table);

/* A new connection, which the session owns from here on. Returns NULL if there is no room for it
 * (then the socket is still the caller's). */
struct session *session_new(struct session_table *table, int socket, uint32_t uid, int32_t pid);

/* The session of this number, or NULL if it is gone. */
struct session *session_find(const struct session_table *table, uint32_t number);

/* What block/claim knows the session by: its place, which is its own until it ends. */
static inline uint32_t session_place(const struct session *session)
{
    return session->number % SESSION_PLACES;
}

/* How many sessions of this user have, or had and did not give back, a lane? */
uint32_t session_count_of(const struct session_table *table, uint32_t uid);

/* Stop serving a client that broke the rules or hung up; `why` goes to the log. What it was lent
 * comes home when its process is dead. The session may be gone after this. */
void session_revoke(struct session *session, const char *why);

/* The end: all that was lent comes home, pins vanish, memory and descriptors are given back.
 * `clean` says that the client itself declared it. */
void session_end(struct session *session, bool clean);

/* evict_sweep, `context` being the table: turn PIN_VICTIM into PIN_PINNED for what any lane pins.
 * Returns wild records. */
uint32_t session_sweep(void *context, uint8_t *marks, uint32_t slots);

/* The sweep of this table, for block/evict. */
struct evict_sweep session_sweeper(struct session_table *table);

#endif
