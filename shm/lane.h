/* lane: the private shared memory of one client handle, in two segments.
 *
 *   client part: the client writes, the server maps it read-only
 *   ┌────────┬── seat 0 ─────────────────────────────────────────────┬── seat 1 ─ …
 *   │ header │ words │ pin records │ request ring │ touch log        │
 *   └────────┴───────────────────────────────────────────────────────┴───────────
 *   server part: the server writes, that client maps it read-only
 *   ┌─────────────────────┬── seat 0 ────────────┬── seat 1 ─ …
 *   │ header, event ring  │ words │ reply ring   │
 *   └─────────────────────┴──────────────────────┴───────────
 *
 * A seat belongs to one thread of the client at a time, so every word has one writer. Nothing in a
 * lane needs repair after a death: the lane is dropped and its memory never given to anybody else.
 */
#ifndef CISTERN_SHM_LANE_H
#define CISTERN_SHM_LANE_H

#include "shm/layout.h"
#include "shm/ring.h"

#include <stdint.h>

#define LANE_REQUESTS 256u /* entries a seat; powers of two, as all rings */
#define LANE_REPLIES 256u
#define LANE_TOUCHES 8192u
#define LANE_EVENTS 1024u
#define LANE_SEATS_MAX 64u
#define LANE_PINS_MAX 65536u

/* What a request asks. Answers come in the same seat's reply ring; see sidecar/session/dispatch. */
enum request_type {
    REQUEST_NONE = 0,
    REQUEST_GRANT = 1, /* lend `count` slots: a REPLY_GRANT each; the last has flag REPLY_LAST */
    REQUEST_COMMIT = 2, /* publish (slot, generation) under `key`: no reply */
    REQUEST_ABORT = 3, /* take the grant (slot, generation) back: no reply */
    REQUEST_CLAIM = 4, /* claim `key`: REPLY_CLAIM with OK (it is hot), MINE or OTHER */
    REQUEST_UNCLAIM = 5, /* give the claim of `key` up: no reply */
    REQUEST_WAIT =
        6, /* tell when `key` is hot (OK), its claim is ours (MINE), or too late (MISS) */
    /* Forget the wait or the batch of `cookie`: no reply, if none was sent yet. Never one with
     * REQUEST_EVENT, whose cookies are numbers of their own. */
    REQUEST_CANCEL = 7,
    REQUEST_FENCE = 8, /* REPLY_FENCE when every earlier request of the seat was handled */
    /* Bring the cold block `key` up. A batch is as many requests of one cookie as it has blocks,
     * the deepest block last; `count` counts down to 0 at its last one. One REPLY_FETCH for all,
     * never before the last one. Blocks that are hot already may be among them: they are held like
     * the others. `flags` but PARENT, `bytes` and `timeout_ns` are those of the first one. A batch
     * that its client gave up half-way ends with a CANCEL of its cookie, or when the seat's next
     * FETCH does not go on with it; other requests may lie between. */
    REQUEST_FETCH = 9
};

#define REQUEST_CHECKSUM 1u /* flag of COMMIT: `checksum` is set */
#define REQUEST_PARENT 2u /* flag of COMMIT, FETCH: `parent` is set */
#define REQUEST_EVENT 4u /* flag of WAIT, FETCH: answer in the event ring, not in the reply ring */
#define REQUEST_AHEAD 8u /* flag of FETCH: nobody waits yet: no reply, no hold, after all others */
/* Flag of GRANT: slots of the session's device. Of FETCH with AHEAD: bring it up to the device, if
 * it is in host memory. */
#define REQUEST_DEVICE 16u
#define REQUEST_FETCH_MAX 65536u /* blocks of a batch */
#define REQUEST_PARTS_MAX 128u /* blocks of a batch of parts; those are not for EVENT */

/* A request in private memory; in the ring it is 16 words. */
struct request {
    uint32_t type; /* enum request_type */
    uint32_t flags;
    uint64_t cookie; /* the client's own; comes back in the reply */
    uint32_t slot; /* COMMIT, ABORT: as in the grant */
    uint32_t count; /* GRANT: how many, at most LANE_REPLIES / 2; FETCH: how many follow this one */
    uint64_t generation;
    /* COMMIT: how many were written; FETCH: a REPLY_PART when so many came, 0: none. */
    uint64_t bytes;
    uint64_t checksum; /* XXH3-64 of them */
    uint64_t timeout_ns; /* WAIT, FETCH: from now; bounded by the server */
    struct key key;
    struct key parent;
    uint64_t zero;
};

enum reply_type {
    REPLY_NONE = 0,
    REPLY_GRANT = 1,
    REPLY_CLAIM = 2,
    REPLY_WAIT = 3,
    REPLY_FENCE = 4,
    /* Every block of the batch is hot (OK), or some are not (MISS): lost, late, no room. `slot`:
     * how many at its start are. Each hot one is held for the session until it was touched. */
    REPLY_FETCH = 5,
    /* The first `bytes` bytes of the batch's block `number` lie at `offset` in slot `slot`,
     * state LOADING or VALID under `generation` (LOADING) or one more; held like a fetched one.
     * Pin it as ordering 2 says, and believe it only then. `bytes` is what was asked for, or more;
     * fewer only if the block has no more. One a block at most, all before the REPLY_FETCH. */
    REPLY_PART = 6
};

#define REPLY_LAST 1u /* flag: nothing more follows for this request */
#define REPLY_DEVICE 2u /* flag of GRANT: answers one with REQUEST_DEVICE */

/* A reply in private memory; in the reply ring, or the event ring, it is 8 words. */
struct reply {
    uint32_t type; /* enum reply_type */
    int32_t status; /* enum status */
    uint64_t cookie;
    uint32_t
        slot; /* GRANT: the slot; of an isolated client: its staging slot; FETCH, PART: see above */
    uint32_t flags;
    uint64_t bytes; /* GRANT: room in the slot */
    uint64_t generation;
    /* GRANT: bytes from the start of the pool, or of the device's; isolated: of its staging. */
    uint64_t offset;
    uint64_t number; /* PART: which block of the batch, from 0 */
    uint64_t zero;
};

#define LANE_REQUEST_WORDS (sizeof(struct request) / sizeof(uint64_t))
#define LANE_REPLY_WORDS (sizeof(struct reply) / sizeof(uint64_t))

/* Words of a seat that its thread writes. The server loads each once, then checks it. */
struct seat_client {
    _Alignas(64) _Atomic uint32_t pins_high; /* records below it may be in use; see pin.h */
    _Alignas(64) _Atomic uint32_t request_tail;
    _Alignas(64) _Atomic uint32_t touch_tail; /* runs free; the newest LANE_TOUCHES are kept */
    _Alignas(64) _Atomic uint32_t reply_head;
    _Atomic uint32_t sleeping; /* 1: wake me on the reply tail (bell.h) */
};

/* Words of a seat that the server writes. */
struct seat_server {
    _Alignas(64) _Atomic uint32_t request_head;
    _Alignas(64) _Atomic uint32_t reply_tail; /* the word that a waiting thread sleeps on */
};

struct lane_client_header {
    _Alignas(64) _Atomic uint32_t seats_used; /* seats below it were used once; never lowered */
    _Alignas(64) _Atomic uint32_t event_head;
};

struct lane_server_header {
    _Alignas(64) _Atomic uint32_t event_tail;
    _Alignas(64) _Atomic uint64_t events[LANE_EVENTS * LANE_REPLY_WORDS];
};

static_assert(sizeof(struct request) == 128, "a request is two cache lines");
static_assert(sizeof(struct reply) == 64, "a reply is one cache line");
static_assert(sizeof(struct seat_client) == 256, "a line for each word that changes on its own");
static_assert(sizeof(struct seat_server) == 128, "two lines");

/* How large a lane is: agreed at the door. */
struct lane_shape {
    uint32_t seats;
    uint32_t pins; /* records a seat */
};

/* One seat as one process maps it. */
struct lane_seat {
    struct seat_client *client;
    struct seat_server *server;
    _Atomic uint32_t *pins; /* `shape.pins` records */
    _Atomic uint64_t *requests; /* LANE_REQUESTS entries */
    _Atomic uint32_t *touches; /* LANE_TOUCHES slots */
    _Atomic uint64_t *replies; /* LANE_REPLIES entries */
};

uint64_t lane_client_bytes(const struct lane_shape *shape);
uint64_t lane_server_bytes(const struct lane_shape *shape);

/* The addresses of seat `index` in the two mapped parts. */
struct lane_seat lane_seat_at(
    const struct lane_shape *shape, void *client_base, void *server_base, uint32_t index);

/* The two ends of a seat's rings. Each side opens the ends that it owns, once: on a new lane. */
struct ring_writer lane_request_writer(const struct lane_seat *seat);
struct ring_reader lane_request_reader(const struct lane_seat *seat);
struct ring_writer lane_reply_writer(const struct lane_seat *seat);
struct ring_reader lane_reply_reader(const struct lane_seat *seat);
struct ring_writer lane_event_writer(
    struct lane_server_header *server, const struct lane_client_header *client);
struct ring_reader lane_event_reader(
    const struct lane_server_header *server, struct lane_client_header *client);

/* Client: append a slot to the touch log; call for the deepest block of a prefix first. */
static inline void lane_touch(const struct lane_seat *seat, uint32_t *tail, uint32_t slot)
{
    shared32_store_relaxed(&seat->touches[*tail & (LANE_TOUCHES - 1)], slot);
    ++*tail;
}

/* Client: show the touches to the server; ordering 1, partner: the server's acquire of the tail. */
static inline void lane_touch_publish(const struct lane_seat *seat, uint32_t tail)
{
    shared32_store_release(&seat->client->touch_tail, tail);
}

#endif
