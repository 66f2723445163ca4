/* core: what a cistern_t is. Made by libclient/open, used by every file of the folder.
 *
 * Always: `era` is odd while a sidecar serves the handle and changes whenever that changes, so
 * one comparison tells a thread that all it knows is still true. Lock order: roster (thread.c),
 * `trying`, `lock`. None of them is taken by a hit.
 */
#ifndef CISTERN_LIBCLIENT_CORE_H
#define CISTERN_LIBCLIENT_CORE_H

#include "libclient/attach.h"
#include "libclient/card.h"
#include "libclient/greet.h"
#include "libclient/include/cistern.h"
#include "shm/atomic.h"
#include "shm/hello.h"
#include "shm/key.h"
#include "shm/lane.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#define CORE_WAITS_MAX 1024u
#define CORE_FORMERS_MAX 16u /* more deaths of the sidecar between two attaches wait for our end */

/* Counts of one seat; each a word that its thread alone writes. */
enum core_count {
    CORE_HITS,
    CORE_MISSES,
    CORE_RETRIES,
    CORE_VIOLATIONS,
    CORE_CHECKSUM_FAILURES,
    CORE_COMMITS,
    CORE_ABORTS,
    CORE_GRANT_WAITS,
    CORE_BELLS,
    CORE_COUNTS
};

/* A thread's place at the handle. Written by the thread that has it. Lies in memory that is zero
 * in a forked child: era 0 is never the handle's, so a child's call leaves the hit path by
 * itself. */
struct core_seat {
    _Alignas(64) uint32_t era; /* of the handle, when this seat moved to `attach`; 0: nowhere */
    uint32_t index;
    struct attach *attach;
    struct attach_lane *lane;
    _Alignas(64) _Atomic uint64_t counts[CORE_COUNTS]; /* read by cistern_stats() */
};

/* The memory that a forked child finds zeroed. */
struct core_arena {
    _Alignas(64) _Atomic uint32_t alive; /* 1; 0 in a forked child */
    struct core_seat seats[LANE_SEATS_MAX];
};

/* An attachment to a sidecar that is gone, of which nothing is in use any more: its successor, if
 * it took the memory over, is told so. */
struct core_former {
    uint64_t epoch;
    uint32_t session;
};

/* An asynchronous wait, or fetch, that was not answered yet. */
struct core_wait {
    uint64_t cookie; /* the caller's */
    uint64_t number; /* ours, in the request; 0: this entry is free */
    uint32_t attach; /* the attachment that was asked */
    int32_t status; /* STATUS_PENDING, or the answer that waits for cistern_drain() */
    uint32_t hot; /* a fetch: the blocks before those that were asked for; all of them were hot */
    uint32_t asked; /* a fetch: how many blocks follow them; 0: a wait */
};

struct cistern {
    /* Read by every call; written at open, `era` at every loss and attach. */
    _Alignas(64) uint64_t id; /* of all handles that this process ever had */
    _Atomic uint32_t era;
    struct core_arena *arena;
    uint32_t grants_ahead;
    uint32_t flags; /* CISTERN_CHECKSUM and the like */
    uint64_t spin_ns;
    struct key root; /* of the namespace's chains */
    struct hello hello; /* what every attach asks for */
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    struct card card; /* the device that it asks for; not open: none */
    struct copy_stream copies; /* of it */

    /* Any thread may write these, relaxed: each is only a hint when to do something again. */
    _Alignas(64) _Atomic uint64_t next_look_ns; /* for a hang-up, on a miss */
    _Atomic uint64_t next_try_ns; /* to attach again */
    _Atomic uint64_t lost_ns; /* when the last sidecar went */
    _Atomic uint64_t reattaches;
    _Atomic uint32_t card_lost; /* 1: the device failed, and is not asked for any more */

    pthread_mutex_t trying; /* held by the thread that attaches again; guards the four below */
    struct greet greet;
    uint32_t attach_count;
    uint64_t backoff_ns;
    char refused[CARD_WHY]; /* why the next attach is without the device; "": it is not */

    pthread_mutex_t lock; /* guards all that follows */
    struct attach *current; /* NULL: no sidecar serves the handle */
    struct attach *old; /* still in use somewhere */
    struct core_former formers[CORE_FORMERS_MAX]; /* not told yet */
    uint32_t former_count;
    struct mapping *mapping; /* the last pool, also while no sidecar is there; NULL: none */
    struct slabs *slabs; /* the same of the device */
    struct slabs *aside; /* to be unmapped by card_sweep() */
    int card_status; /* 0, or why no device is asked for: */
    char card_why[CARD_WHY];
    bool seat_taken[LANE_SEATS_MAX];
    int epoll; /* what cistern_fd() shows */
    int nudge; /* eventfd: readable while answers wait here instead of in the lane */
    uint64_t wait_number; /* the last one given */
    uint32_t wait_count;
    struct core_wait *waits; /* CORE_WAITS_MAX; NULL until the first one */

    struct cistern *next; /* in the roster, under its lock */
};

static inline bool core_is_forked(const struct cistern *handle)
{
    return shared32_load_relaxed(&handle->arena->alive) == 0;
}

static inline void core_count(struct core_seat *seat, enum core_count what, uint64_t more)
{
    _Atomic uint64_t *word = &seat->counts[what];
    shared64_store_relaxed(word, shared64_load_relaxed(word) + more);
}

#endif
