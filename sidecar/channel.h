/* channel: two queues between the server's thread, the front, and one thread of its own, and their
 * bells.
 *
 *   front  ── ask ──▶ ring of entries ──▶ thread    wake_fd, rung only while the thread sleeps
 *          ◀── answer ── ring of entries ──         event_fd, rung only while the front sleeps
 *
 * Called by tier/nvme_channel and device/mover. The rings are those of shm/ring.h, ordering 1; the
 * bells are those of shm/bell.h, ordering 2. Always: who asks knows how many answers that may
 * bring, so each ring has room, and nothing waits for it.
 */
#ifndef CISTERN_SIDECAR_CHANNEL_H
#define CISTERN_SIDECAR_CHANNEL_H

#include "shm/ring.h"

#include <stdbool.h>
#include <stdint.h>

struct channel_shape {
    uint32_t asks; /* entries of the ring, a power of two */
    uint32_t ask_words; /* of an entry */
    uint32_t answers;
    uint32_t answer_words;
};

struct channel {
    /* the front's, and the thread's, private ends */
    struct ring_writer ask_in;
    struct ring_reader answer_out;
    uint32_t naps; /* the front's: odd while it sleeps */
    uint32_t thread_nap_rung; /* the front's: which sleep of the thread it ended last */
    int event_fd; /* borrowed; counts, does not block */
    _Alignas(128) struct ring_reader ask_out;
    struct ring_writer answer_in;
    uint32_t thread_naps; /* the thread's: odd while it sleeps */
    uint32_t front_nap_rung; /* the thread's: which sleep of the front it ended last */
    int wake_fd; /* owned; blocks */

    /* shared words: one writer each, a line each */
    _Alignas(128) _Atomic uint32_t ask_tail; /* front */
    _Alignas(128) _Atomic uint32_t ask_head; /* thread */
    _Alignas(128) _Atomic uint32_t answer_tail; /* thread */
    _Alignas(128) _Atomic uint32_t answer_head; /* front */
    _Alignas(128) _Atomic uint32_t front_sleeping; /* front: naps */
    _Alignas(128) _Atomic uint32_t thread_sleeping; /* thread: thread_naps */
    _Alignas(128) _Atomic uint64_t rung; /* thread: times it rang event_fd */
    _Alignas(128) _Atomic uint64_t words[]; /* of both rings */
};

/* Returns 0 or STATUS_NO_MEMORY. */
int channel_open(int event_fd, const struct channel_shape *shape, struct channel **out_channel);

/* Neither side uses it any more. Accepts NULL. */
void channel_close(struct channel *channel);

/* Front: hand an entry over. One system call, and only if the thread sleeps. */
void channel_ask(struct channel *channel, const void *entry);

/* Front: take an answer. Returns false: there is none. */
bool channel_take(struct channel *channel, void *out_entry);

/* Front: "I sleep"; true: there is an answer after all. And "I am awake". */
bool channel_front_sleep(struct channel *channel);
void channel_front_wake(struct channel *channel);

/* Thread: take what was asked. Returns false: there is nothing. */
bool channel_next(struct channel *channel, void *out_entry);

/* Thread: "I sleep"; true: something was asked after all. And "I am awake". */
bool channel_sleep(struct channel *channel);
void channel_wake(struct channel *channel);

/* Thread: put an answer; the front sees it after channel_show(). */
void channel_put(struct channel *channel, const void *entry);
void channel_show(struct channel *channel);

/* End the other's sleep, though there is no entry: the front that of the thread; the thread that of
 * the front, which may not have said that it sleeps. */
void channel_rouse(struct channel *channel);
void channel_alarm(struct channel *channel);

#endif
