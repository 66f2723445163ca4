/* double_server: a double of the sidecar for tests of libclient: a thread that answers at a socket.
 *
 * It keeps the rules of the real one where the library can see them: the greeting and its
 * descriptors, a read-only index, one reply for each request that has one, the bell, a signal
 * for the event ring. It evicts nothing, checks little, and can misbehave on request.
 */
#ifndef CISTERN_TESTS_UNIT_LIBCLIENT_DOUBLE_SERVER_H
#define CISTERN_TESTS_UNIT_LIBCLIENT_DOUBLE_SERVER_H

#include "libclient/include/cistern.h"
#include "shm/hello.h"
#include "shm/lane.h"
#include "shm/segment.h"
#include "shm/slot.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define DOUBLE_SLOTS 512u
#define DOUBLE_BLOCK 4096u
/* Behind the host's slots come those of two devices; sessions have the second one. */
#define DOUBLE_DEVICE_SLOTS 64u
#define DOUBLE_OTHERS DOUBLE_SLOTS
#define DOUBLE_OWN (DOUBLE_SLOTS + DOUBLE_DEVICE_SLOTS)
#define DOUBLE_SLOTS_ALL (DOUBLE_SLOTS + 2 * DOUBLE_DEVICE_SLOTS)
#define DOUBLE_SLABS 2u
#define DOUBLE_SESSIONS 8u
#define DOUBLE_WAITERS 64u
#define DOUBLE_CLAIMS 64u
#define DOUBLE_STORED 512u
#define DOUBLE_BATCHES 4u
#define DOUBLE_BATCH_BLOCKS 512u

/* How it shall misbehave; all zero: not at all. Set before double_start(), but for `mute` and
 * `lends`. */
struct double_faults {
    int32_t refuse; /* the welcome's status; `why` is the text */
    const char *why;
    uint32_t abi; /* another version in the welcome */
    bool cut_index; /* the welcome lies about the index's size */
    bool wrong_fds; /* one descriptor is missing */
    uint32_t seats_max; /* grants fewer seats than asked */
    bool wild_grants; /* grants point outside the pool */
    bool late_welcome; /* answers the second hello only */
};

/* A field of the welcome that goes out with another value. */
struct double_lie {
    size_t at;
    size_t bytes; /* 0: no lie */
    uint64_t value; /* little-endian, as everything here */
};

/* Memory of a device, which the test made: the sessions that ask for the device get it. */
struct double_device {
    uint32_t kind; /* enum hello_slabs; DOUBLE_SLABS of them */
    uint64_t slab_bytes;
    uint64_t pool; /* the welcome's device_pool */
    int fds[DOUBLE_SLABS]; /* borrowed */
    uint8_t ipc[DOUBLE_SLABS][HELLO_IPC];
    uint32_t grants; /* 0: as many as of the host */
    int32_t status; /* not 0: there is none, though it is asked for */
    const char *why;
    struct double_lie lie[2]; /* all zero: none */
};

struct double_waiter {
    bool used;
    uint32_t session;
    uint32_t seat;
    bool event;
    uint64_t cookie;
    uint64_t deadline_ns;
    struct key key;
};

struct double_claim {
    bool used;
    uint32_t session;
    struct key key;
};

/* A block that it can bring up: `bytes` times `fill`. */
struct double_stored {
    bool used;
    uint8_t fill;
    uint32_t bytes;
    struct key key;
};

/* A batch of REQUEST_FETCH on its way in, or held. */
struct double_batch {
    bool used;
    bool whole; /* its last request came */
    uint32_t session;
    uint32_t seat;
    uint32_t count;
    struct request first;
    struct key keys[DOUBLE_BATCH_BLOCKS];
    struct key parents[DOUBLE_BATCH_BLOCKS]; /* zero: none was given */
    uint32_t slots[DOUBLE_BATCH_BLOCKS]; /* LOADING or VALID, or HINT_NONE */
};

/* What came to it of fetches. */
struct double_seen {
    uint32_t batches; /* whole ones */
    uint32_t cut; /* given up half-way */
    uint32_t cancels;
    struct double_batch last; /* the last whole one */
};

/* What is wrong with its answers to fetches. */
enum double_spoil {
    DOUBLE_SOUND,
    DOUBLE_COOKIE, /* of no request */
    DOUBLE_TYPE, /* an answer to a wait */
    DOUBLE_STATUS, /* one that no fetch has */
    DOUBLE_COUNT, /* more blocks than were asked for */
    DOUBLE_PART_UNASKED, /* parts, though none were asked for */
    DOUBLE_PART_COOKIE, /* this one and the following: of the parts */
    DOUBLE_PART_NUMBER,
    DOUBLE_PART_SLOT,
    DOUBLE_PART_OFFSET,
    DOUBLE_PART_ALIGNMENT,
    DOUBLE_PART_BYTES,
    DOUBLE_PART_WRAPPED, /* its end lies in the pool, its start does not */
    DOUBLE_PART_GENERATION,
    DOUBLE_PART_TWICE, /* the second time it is wild */
    DOUBLE_PART_LATE, /* behind the answer */
    DOUBLE_SPOILS
};

/* How it fetches. All zero: whole blocks, at once. */
struct double_fetching {
    bool holds; /* says nothing before double_finish() */
    bool parts; /* first bytes come before the rest, which comes with double_finish() */
    int32_t refuses; /* the status that it answers instead; 0: it fetches */
    enum double_spoil spoil;
};

struct double_session {
    int socket; /* -1: free */
    int bell;
    bool isolated;
    struct lane_shape shape;
    struct segment client;
    struct segment server;
    struct segment staging;
    struct lane_seat seats[LANE_SEATS_MAX];
    struct ring_reader requests[LANE_SEATS_MAX];
    struct ring_writer replies[LANE_SEATS_MAX];
    struct ring_writer events;
    bool device; /* it has the device */
    struct space space;
};

struct double_server {
    char path[100];
    struct double_faults faults;
    const struct double_device *device; /* NULL: it has none */
    int door;
    uint64_t epoch;
    struct segment index;
    struct segment pool;
    struct index_view view;
    pthread_t thread;
    int wake; /* eventfd: end, or look again */

    /* Under the lock; the thread holds it while it works. */
    pthread_mutex_t lock;
    bool stopping;
    bool mute; /* reads no requests */
    int32_t lends; /* the status of grant requests; 0: it lends */
    bool goodbye_heard;
    struct hello heard; /* the last one */
    uint32_t aborts;
    uint32_t sleep_number;
    struct double_session sessions[DOUBLE_SESSIONS];
    struct double_waiter waiters[DOUBLE_WAITERS];
    struct double_claim claims[DOUBLE_CLAIMS];
    struct double_fetching fetching;
    struct double_stored stored[DOUBLE_STORED];
    struct double_batch batches[DOUBLE_BATCHES];
    struct double_seen seen;
};

/* Start one at `path`, with an empty index. Fails the test if it cannot. */
void double_start(struct double_server *server, const char *path, uint64_t epoch,
    const struct double_faults *faults);

/* The same with a device, which stays the caller's. */
void double_start_with(struct double_server *server, const char *path, uint64_t epoch,
    const struct double_faults *faults, const struct double_device *device);

/* End it: hang-ups, memory unmapped. Clients keep their mappings. The first raises the epoch in
 * them, as a sidecar does that stops; the second does not, as one that was killed. */
void double_stop(struct double_server *server);
void double_crash(struct double_server *server);

/* Publish a block of `bytes` times `fill` under a key. Returns its slot. */
uint32_t double_add(
    struct double_server *server, const struct cistern_key *key, uint8_t fill, uint32_t bytes);

/* Publish a block in a slot of a device, under its tier, at `offset` in its memory, which the test
 * fills. */
void double_add_on(struct double_server *server, const struct cistern_key *key, uint32_t slot,
    uint64_t offset, uint32_t bytes);

/* Add a hint of a cold block that no tier has. */
void double_add_cold(struct double_server *server, const struct cistern_key *key);

/* Add a cold block: its hint, and `bytes` times `fill` for who fetches it. */
void double_store(
    struct double_server *server, const struct cistern_key *key, uint8_t fill, uint32_t bytes);

/* The same without a hint: a block that the server finds by itself. */
void double_keep(
    struct double_server *server, const struct cistern_key *key, uint8_t fill, uint32_t bytes);

/* What of fetches was seen so far. */
void double_look(struct double_server *server, struct double_seen *out_seen);

/* Read no requests, or read them again. */
void double_mute(struct double_server *server, bool mute);

/* How fetches are answered from now on. */
void double_fetches(struct double_server *server, const struct double_fetching *fetching);

/* Handle the batches that are held: `come` says whether their blocks do. */
void double_finish(struct double_server *server, bool come);

/* Is any pin record of any session set to this slot? */
bool double_is_pinned(struct double_server *server, uint32_t slot);

/* Slots that are neither free nor valid: lent to somebody. */
uint32_t double_count_lent(struct double_server *server);

/* The thread's work on one request; in double_requests.c. Under the lock. */
void double_handle(
    struct double_server *server, uint32_t session, uint32_t seat, const struct request *request);

/* One request of a batch, and the end of one; in double_fetch.c. Under the lock. */
void double_fetch(
    struct double_server *server, uint32_t session, uint32_t seat, const struct request *request);
void double_fetch_cancel(struct double_server *server, uint32_t session, uint64_t cookie);

/* Send a reply, or an event. Under the lock. */
void double_reply(
    struct double_server *server, uint32_t session, uint32_t seat, const struct reply *answer);
void double_event(struct double_server *server, uint32_t session, const struct reply *answer);

bool double_is_hot(const struct double_server *server, const struct key *key);

/* Answer the waits whose time has come. Under the lock. */
void double_expire(struct double_server *server, uint64_t now_ns);

#endif
