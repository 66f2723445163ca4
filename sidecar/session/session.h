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
#include "sidecar/block/adopt.h"
#include "sidecar/block/blocks.h"
#include "sidecar/block/move_up.h"
#include "sidecar/config.h"
#include "sidecar/keep.h"
#include "sidecar/log.h"
#include "sidecar/loop.h"
#include "sidecar/session/gather.h"
#include "sidecar/session/grant.h"
#include "sidecar/session/registry.h"
#include "sidecar/session/staging.h"

#include <stdbool.h>
#include <stdint.h>

struct door;

#define SESSION_INDEX_BITS 13u /* of a session number; the rest counts up */
#define SESSION_PLACES (1u << SESSION_INDEX_BITS)
#define SESSION_TOUCHED 4096u /* blocks whose repeated touches are noticed */
#define SESSION_GREETINGS 64u /* connections that have not said hello yet */

#define SESSION_NO_DEVICE UINT32_MAX

enum session_state { SESSION_GREETING, SESSION_ATTACHED, SESSION_REVOKED };

/* The server's ends of one seat, in private memory: what it wrote is never read back. */
struct session_seat {
    struct lane_seat lane;
    struct ring_reader requests;
    struct ring_writer replies;
    uint32_t touch_head;
    uint32_t held; /* replies that its next request needs room for, while there is none; else 0 */
    bool replied; /* since the last look whether its thread sleeps */
    struct gather gather;
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
    uint64_t greeted_ns; /* first tick after the connection came; 0 before */

    /* From the attach on. */
    bool welcomed; /* the client knows that it is attached */
    bool isolated;
    bool late_writes; /* a device may write its slots after its death */
    uint32_t space;
    uint32_t size_class; /* in host memory */
    uint32_t device; /* number of its GPU, or SESSION_NO_DEVICE */
    uint32_t device_class; /* in that one's memory */
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
    uint32_t grants_max; /* of slots in host memory, or places of staging */
    uint32_t device_lent; /* of `lent`, those in device memory */
    uint32_t device_grants_max;
    uint64_t promised_bytes; /* what its pins may hold */
    uint64_t epoch; /* of its attach */
    bool held; /* the keeper knows it */
    bool adopted; /* it attached to a server that died */
};

/* What a successor must know of a session, beside the lane's client part, its server part and the
 * pidfd: its blob in the keeper. */
struct session_record {
    uint64_t block_bytes;
    uint64_t promised_bytes;
    uint64_t epoch;
    uint32_t uid;
    int32_t pid;
    uint32_t space;
    uint32_t seats;
    uint32_t pins;
    uint32_t late_writes;
    uint32_t device; /* its number and 1; 0: none */
    uint32_t zero;
};

#define SESSION_FDS 3u /* lane's client part, its server part, pidfd */

/* All sessions of one server. Borrows all that it points to. */
struct session_table {
    struct blocks *blocks;
    struct loop *loop;
    struct log *log;
    const struct config *config;
    struct keep *keep; /* who holds lanes for a successor; NULL: nobody */
    struct door *door; /* where sessions come in; set by it */
    struct grants grants;
    struct registry registry;
    struct session **places; /* SESSION_PLACES, by number */
    uint32_t *active; /* places in use, dense */
    uint32_t active_count;
    uint32_t serial;
    uint32_t greetings;
    uint32_t attached; /* sessions with a lane */
    uint32_t adopted; /* those of them that attached to a server that died */
    struct adopt_chain read_on; /* slots that only they may still read; free when all are gone */
    uint64_t promised_bytes; /* sum of all pin quotas */
    uint64_t touched[SESSION_TOUCHED]; /* the last period and slot of each place (touch.c) */
    uint32_t touch_period; /* from 1 */
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

/* Of a session that has one: what is needed to bring blocks up to its device. */
static inline struct move_up_reader session_reader(const struct session *session)
{
    return (struct move_up_reader){.device = session->device,
        .class = session->device_class,
        .space = (uint16_t)session->space};
}

/* How many sessions of this user attached here, and did not give their lane back? */
uint32_t session_count_of(const struct session_table *table, uint32_t uid);

/* Stop serving a client that broke the rules or hung up; `why` goes to the log. What it was lent
 * comes home when its process is dead. The session may be gone after this. */
void session_revoke(struct session *session, const char *why);

/* The end: all that was lent comes home, pins vanish, memory and descriptors are given back.
 * `clean` says that the client itself declared it. */
void session_end(struct session *session, bool clean);

/* Give the session to the keeper, before its client learns of it. Returns as keep_hold(). */
int session_hold(struct session *session);

/* A session of the server before this one, with the descriptors that were held (taken over in any
 * case): revoked from the start, swept until its process is dead or gives it up. `number` is its
 * old one. Returns 0, or a status: without it the blocks cannot be taken over. */
int session_adopt(struct session_table *table, uint32_t number, const struct session_record *record,
    int fds[SESSION_FDS]);

/* The last adopted session is gone: what only they could read comes home. By session_end(). */
void session_adopted_gone(struct session_table *table);

/* The process behind `session` says that it has given an adopted one up. Returns false if that is
 * not one of its own. */
bool session_give_up(struct session *session, uint32_t former, uint64_t former_epoch);

/* evict_sweep, `context` being the table: turn PIN_VICTIM into PIN_PINNED for what any lane pins.
 * Returns wild records. */
uint32_t session_sweep(void *context, uint8_t *marks, uint32_t slots);

/* The sweep of this table, for block/evict. */
struct evict_sweep session_sweeper(struct session_table *table);

#endif
