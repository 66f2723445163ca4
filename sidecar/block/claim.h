/* claim: "I am computing this block now", and those who wait for it instead of computing it too.
 *
 * Called by session/dispatch (take, wait, release, cancel; done after a commit), by block/fetch and
 * block/move (done, done_where, fail), by session when a client is revoked or dies (drop), and by
 * the loop (tick). Always: a key of a namespace has at most one claim; every claim and every wait
 * ends: by commit, by release, by the death of its session, or at its deadline.
 *
 *   claim:  none ──take──▶ held by a session ──done──▶ none, all waiters told OK
 *                            │    │                    hot on a device: those who read it; the
 *                            │    │                    others wait for the copy in host memory
 *                            │    └─ fail, release, drop, expiry: the first waiter's, told MINE
 *                            └────── the same without a waiter: none
 *
 * Costs: a hash lookup, and O(log n) for a deadline; done and drop also what they answer or end.
 * A session that waits may get a claim above its own limit: at most one for each wait it has.
 */
#ifndef CISTERN_SIDECAR_BLOCK_CLAIM_H
#define CISTERN_SIDECAR_BLOCK_CLAIM_H

#include "shm/counter.h"
#include "shm/layout.h"
#include "sidecar/block/arena.h"
#include "sidecar/block/deadline.h"

#include <stdbool.h>
#include <stdint.h>

#define CLAIM_NONE UINT32_MAX
#define CLAIM_TABLE_MAX (UINT32_C(1) << 24) /* claims, and waits */
#define CLAIM_TICK_MAX 256u /* deadlines handled in one tick */

struct claims_limits {
    uint32_t sessions_max; /* session numbers are below it */
    uint32_t claims_max;
    uint32_t waiters_max;
    uint32_t claims_per_session;
    uint32_t waits_per_session;
    uint64_t seed; /* random, the server's own: clients choose keys, not where they fall */
};

struct claim_waiter {
    uint32_t session;
    uint32_t seat;
    uint64_t cookie;
    uint32_t flags; /* the caller's own */
    uint64_t deadline_ns;
};

/* Where answers go. `answer` is called with the table consistent, but calls nothing of claim_.
 * Statuses: OK (it is hot), MINE (the claim is yours now), MISS (too late). */
struct claim_answers {
    void (*answer)(void *context, const struct claim_waiter *waiter, const struct key *key,
        uint16_t space, int status);
    void *context;
};

struct claim_entry {
    struct key key;
    uint64_t term_ns; /* how long a holder may take; starts anew when the claim passes on */
    uint32_t session; /* who computes */
    uint32_t chain; /* next in its hash bucket, or in the free list */
    uint32_t bucket;
    uint32_t first_wait; /* in order of arrival */
    uint32_t last_wait;
    uint32_t before; /* in its session's list */
    uint32_t after;
    uint16_t space;
};

struct claim_wait_entry {
    struct claim_waiter waiter;
    uint32_t claim;
    uint32_t before; /* among the waits of its claim */
    uint32_t after; /* or in the free list */
    uint32_t session_before; /* among the waits of its session */
    uint32_t session_after;
};

struct claim_session {
    uint32_t claims; /* first of its list */
    uint32_t waits;
    uint32_t claim_count;
    uint32_t wait_count;
};

struct claims {
    struct claims_limits limits;
    _Atomic uint64_t *counters;
    struct claim_entry *entries;
    struct claim_wait_entry *waits;
    struct claim_session *sessions;
    uint32_t *buckets;
    uint32_t bucket_mask;
    uint32_t free_entry;
    uint32_t free_wait;
    struct deadlines deadlines; /* claims by their number, then waits by claims_max + theirs */
};

/* Called by blocks_open(). */
uint64_t claim_arena_bytes(const struct claims_limits *limits);
void claim_open(struct claims *claims, const struct claims_limits *limits,
    _Atomic uint64_t *counters, struct arena *arena);

/* Claim a key. Returns STATUS_MINE (also if the session has it already), STATUS_OTHER, or
 * STATUS_LIMIT: the session or the table has no claim left. */
int claim_take(struct claims *claims, const struct key *key, uint16_t space, uint32_t session,
    uint64_t now_ns, uint64_t expires_ns);

/* Wait for a claimed key. Returns STATUS_PENDING: one answer will come; STATUS_MISS: nobody claims
 * it; STATUS_LIMIT: the session or the table has no wait left. */
int claim_wait(struct claims *claims, const struct key *key, uint16_t space,
    const struct claim_waiter *waiter);

/* The block is hot, whoever committed it: end its claim, tell its waiters OK. */
void claim_done(struct claims *claims, const struct key *key, uint16_t space,
    const struct claim_answers *answers);

/* Which waiters can read the block where it is; `reads` is asked by their session. */
struct claim_filter {
    bool (*reads)(void *context, uint32_t session);
    void *context;
};

/* The block is hot, but not where everybody can read it: tell those OK who can. Returns whether
 * others wait on: then the claim stays for them, until claim_done() or claim_fail(); with none left
 * it ends. Cost: as claim_done(), and those who wait on. */
bool claim_done_where(struct claims *claims, const struct key *key, uint16_t space,
    const struct claim_filter *filter, const struct claim_answers *answers);

/* What the waiters wait for will not come, whoever has the claim: as if that one gave it up. */
void claim_fail(struct claims *claims, const struct key *key, uint16_t space, uint64_t now_ns,
    const struct claim_answers *answers);

/* The session gives its claim up. Returns 0, or STATUS_MISS if it does not have it. */
int claim_release(struct claims *claims, const struct key *key, uint16_t space, uint32_t session,
    uint64_t now_ns, const struct claim_answers *answers);

/* The session is no more: its waits vanish unanswered, its claims pass on. */
void claim_drop(
    struct claims *claims, uint32_t session, uint64_t now_ns, const struct claim_answers *answers);

/* Forget a wait, unanswered. Returns 0, or STATUS_MISS if there is none. */
int claim_cancel(struct claims *claims, uint32_t session, uint32_t seat, uint64_t cookie);

/* End what is due: late waits are told MISS, late claims pass on.
 * Returns the next deadline, UINT64_MAX for none; not later than now: call again soon. */
uint64_t claim_tick(struct claims *claims, uint64_t now_ns, const struct claim_answers *answers);

#endif
