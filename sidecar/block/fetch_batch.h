/* fetch_batch: who waits for which cold blocks: the batches of the clients, and one wait for each
 * of their blocks that is on its way.
 *
 * Called by session/gather (open, close, cancel), session (drop), block/fetch (wait, settle) and
 * the loop (tick). Always: a wait belongs to one batch and one read; a batch that was closed is
 * answered once: when its last wait settled, or at its deadline; and an answer that finds no room
 * is kept.
 *
 *   begin ──▶ collecting ──close──▶ waiting ──▶ answered, free      forgotten at any time: free,
 *                                      none left, or late           unanswered
 */
#ifndef CISTERN_SIDECAR_BLOCK_FETCH_BATCH_H
#define CISTERN_SIDECAR_BLOCK_FETCH_BATCH_H

#include "shm/counter.h"
#include "sidecar/block/arena.h"
#include "sidecar/block/deadline.h"

#include <stdbool.h>
#include <stdint.h>

#define FETCH_BATCH_NONE UINT32_MAX
#define FETCH_BATCH_MAX 4096u
#define FETCH_BATCH_A_SESSION 16u
#define FETCH_BATCH_TICK_MAX 64u /* batches that are late in one tick; each may have many waits */

/* Who asks, and how. */
struct fetch_ask {
    uint32_t session; /* its place */
    uint32_t seat;
    uint64_t cookie;
    uint64_t part_bytes; /* tell when so many bytes of a block are here; 0: no */
    uint64_t deadline_ns;
    uint64_t hold_ns; /* how long what came stays */
    uint32_t quota; /* slots that may be held for, or on their way to, the session */
    uint32_t blocks; /* of the batch */
    bool event; /* answered in the event ring */
};

struct fetch_batch {
    struct fetch_ask ask;
    uint32_t taken; /* blocks that came so far */
    uint32_t miss; /* the first block that will not be hot; `ask.blocks`: none so far */
    uint32_t waits; /* not settled */
    uint32_t first_wait;
    uint32_t parts; /* REPLY_PARTs sent */
    uint32_t before; /* of its session, or free */
    uint32_t after;
    bool closed;
    bool late; /* its deadline was, before its last block came */
    bool unsent; /* the answer found no room */
};

struct fetch_wait {
    uint32_t batch;
    uint32_t number; /* which block of the batch */
    uint32_t read;
    uint32_t batch_before;
    uint32_t batch_after; /* or free */
    uint32_t read_before;
    uint32_t read_after;
    bool told; /* its REPLY_PART was sent */
    bool again; /* its session waited for this read before: one slot, counted once */
};

struct fetch_batch_session {
    uint32_t first;
    uint32_t count;
    uint32_t waits;
};

/* Where a block lies, of which at least the first bytes are there. */
struct fetch_part {
    uint64_t generation; /* of its LOADING */
    uint64_t offset;
    uint64_t bytes;
    uint32_t number;
    uint32_t slot;
};

/* Where answers go; nothing of fetch_ is called from them. `done` returns false if there is no room
 * now: it is called again. `part` always finds room (session/dispatch keeps it). */
struct fetch_answers {
    bool (*done)(void *context, const struct fetch_ask *ask, int status, uint32_t hot);
    void (*part)(void *context, const struct fetch_ask *ask, const struct fetch_part *part);
    void *context;
};

struct fetch_batches {
    struct fetch_batch *batches;
    struct fetch_wait *waits;
    uint32_t *of_read; /* the first wait of each read */
    struct fetch_batch_session *sessions;
    uint32_t free_batch;
    uint32_t free_wait;
    uint32_t unsent; /* batches whose answer found no room */
    struct deadlines deadlines; /* by batch */
    _Atomic uint64_t *counters;
};

/* Called by blocks_open(). */
uint64_t fetch_batch_arena_bytes(uint32_t waits_max, uint32_t reads_max, uint32_t sessions_max);
void fetch_batch_open(struct fetch_batches *batches, uint32_t waits_max, uint32_t reads_max,
    uint32_t sessions_max, _Atomic uint64_t *counters, struct arena *arena);

/* Begin a batch. Returns its number, or FETCH_BATCH_NONE: the session, or the server, has no more.
 * */
uint32_t fetch_batch_begin(struct fetch_batches *batches, const struct fetch_ask *ask);

/* Its last block came. It may be answered, and gone, now. */
void fetch_batch_close(
    struct fetch_batches *batches, uint32_t batch, const struct fetch_answers *answers);

/* Does the session wait for this read already? Looks at the last few who do. */
bool fetch_batch_waits(const struct fetch_batches *batches, uint32_t session, uint32_t read);

/* Block `number` of the batch is on its way with `read`. Returns the wait, or FETCH_BATCH_NONE. */
uint32_t fetch_batch_wait(
    struct fetch_batches *batches, uint32_t batch, uint32_t number, uint32_t read);

/* Block `number` of the batch will not be hot. */
void fetch_batch_miss(struct fetch_batches *batches, uint32_t batch, uint32_t number);

/* The wait is over: its block is hot, or will not be. Its batch may be answered now. */
void fetch_batch_settle(
    struct fetch_batches *batches, uint32_t wait, bool hot, const struct fetch_answers *answers);

/* The block of a wait is there: `part->bytes` of it, or all (`whole`). Told once, if it wanted to
 * know. Returns whether it was told now. */
bool fetch_batch_part(struct fetch_batches *batches, uint32_t wait, const struct fetch_part *part,
    bool whole, const struct fetch_answers *answers);

/* Block `part->number` of the batch was hot already: likewise. */
void fetch_batch_hot(struct fetch_batches *batches, uint32_t batch, const struct fetch_part *part,
    const struct fetch_answers *answers);

/* Does anybody wait for this read who can still use it: with all blocks before it in sight? */
bool fetch_batch_wants(const struct fetch_batches *batches, uint32_t read);

/* Forget the batch that will be answered in this seat's reply ring, unanswered. False: none. */
bool fetch_batch_cancel(
    struct fetch_batches *batches, uint32_t session, uint32_t seat, uint64_t cookie);

/* Forget a batch, unanswered. */
void fetch_batch_forget(struct fetch_batches *batches, uint32_t batch);

/* Forget all of a session. */
void fetch_batch_drop(struct fetch_batches *batches, uint32_t session);

/* Answer what is late, and what found no room before. Returns the next deadline, UINT64_MAX for
 * none; not later than now: call again soon. */
uint64_t fetch_batch_tick(
    struct fetch_batches *batches, uint64_t now_ns, const struct fetch_answers *answers);

/* Replies that may still come into a seat's reply ring beside those to its next requests. */
uint32_t fetch_batch_owed(const struct fetch_batches *batches, uint32_t session, uint32_t seat);

#endif
