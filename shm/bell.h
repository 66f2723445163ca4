/* bell: wakes the other side only if it sleeps.
 *
 * A sleeper announces its sleep in a word that it alone writes, fences, looks at every ring once
 * more, and only then sleeps. A waker stores its ring's tail, fences, and reads that word. One of
 * the two always sees the other: it is ordering 2 of shm/README.md again.
 *
 *   the server sleeps on its loop; index_header.server_sleeping is an odd number while it does
 *   a client's thread sleeps on the futex of its reply tail; seat_client.sleeping is 1 meanwhile
 */
#ifndef CISTERN_SHM_BELL_H
#define CISTERN_SHM_BELL_H

#include "shm/atomic.h"

#include <stdbool.h>
#include <stdint.h>

/* Sleeper: "I am going to sleep." Look at every ring again after this, before sleeping.
 * Partner: bell_needed(). `value` is not 0. */
static inline void bell_announce(_Atomic uint32_t *word, uint32_t value)
{
    shared32_store_relaxed(word, value);
    shared_fence_full();
}

/* Sleeper: "I am awake." */
static inline void bell_awake(_Atomic uint32_t *word, uint32_t value)
{
    shared32_store_relaxed(word, value);
}

/* Waker, after its tail was stored: the sleeper's word; partner: bell_announce(). */
static inline uint32_t bell_look(const _Atomic uint32_t *word)
{
    shared_fence_full();
    return shared32_load_relaxed(word);
}

/* Sleep while `*word` is `value`, for at most `timeout_ns`. The word may lie in a read-only
 * mapping. Returns on a wake, a change, a signal or the deadline: the caller looks again. */
void bell_sleep(const _Atomic uint32_t *word, uint32_t value, uint64_t timeout_ns);

/* Wake every thread that sleeps on the word. */
void bell_wake(const _Atomic uint32_t *word);

/* Ring the server's bell, an eventfd that only this client writes. Never blocks: a full counter has
 * rung already. */
void bell_ring(int eventfd);

#endif
