/* thread: which seat of a handle the calling thread has.
 *
 * Called first by every public function. The fast half is two comparisons against words of this
 * thread; they fail when the thread is new, when a sidecar came or went, and in a forked child,
 * whose seats are zero. Always: a seat has one thread at a time, and `seat->attach` stays mapped
 * until that thread's next call at the earliest.
 */
#ifndef CISTERN_LIBCLIENT_THREAD_H
#define CISTERN_LIBCLIENT_THREAD_H

#include "libclient/core.h"

#define THREAD_CACHED 4u /* handles of one thread that do not push each other out; a power of two */

struct thread_cached {
    uint64_t id; /* of the handle; 0: none */
    struct core_seat *seat;
};

/* Initial-exec: one load instead of a call of __tls_get_addr(). The library keeps to these
 * words, so that they fit what the loader holds ready for late-loaded libraries (decision 3). */
extern _Thread_local __attribute__((tls_model("initial-exec"),
    visibility("hidden"))) struct thread_cached thread_cached[THREAD_CACHED];

/* Is this thread one of the driver's, in a callback of ours? It must not call the driver, nor
 * attach, which maps a device's memory. */
extern _Thread_local
    __attribute__((tls_model("initial-exec"), visibility("hidden"))) bool thread_is_drivers;

/* The slow half of thread_enter(). */
__attribute__((cold)) int thread_enter_slow(struct cistern *handle, struct core_seat **out_seat);

/* The calling thread's seat, on the attachment of now.
 * Returns 0, STATUS_FORKED, STATUS_THREADS, STATUS_NO_MEMORY or STATUS_NO_SERVER. */
static inline int thread_enter(struct cistern *handle, struct core_seat **out_seat)
{
    struct thread_cached *cached = &thread_cached[handle->id & (THREAD_CACHED - 1)];
    struct core_seat *seat = cached->seat;
    if (__builtin_expect(
            cached->id == handle->id && seat->era == shared32_load_relaxed(&handle->era), 1)) {
        *out_seat = seat;
        return 0;
    }
    return thread_enter_slow(handle, out_seat);
}

/* The thread will make no call for a long time, perhaps: its seat is anybody's again, and keeps no
 * attachment mapped. Waits for nobody; slots that were lent to the seat in advance serve the next
 * thread that has it. */
void thread_leave(struct cistern *handle);

/* The calling thread's seat on the attachment of its last call, or NULL if it has none, or is in a
 * forked child. */
static inline struct core_seat *thread_seat(const struct cistern *handle)
{
    struct thread_cached *cached = &thread_cached[handle->id & (THREAD_CACHED - 1)];
    return cached->id == handle->id && cached->seat->era != 0 ? cached->seat : NULL;
}

#endif
