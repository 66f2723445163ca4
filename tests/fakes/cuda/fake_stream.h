/* fake_stream: a queue of operations and the thread that runs them, one after the other, late.
 *
 *   cu…Async ─▶ fake_stream_ask ─▶ queue ─▶ worker ─▶ fake_operation_run ─▶ "progress"
 *
 * Streams do not wait for each other, nor for the NULL stream of their context: all of them are
 * non-blocking ones. A destroyed stream finishes its work and then frees itself.
 */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_STREAM_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_STREAM_H

#include "tests/fakes/cuda/fake_clock.h"
#include "tests/fakes/cuda/fake_context.h"
#include "tests/fakes/cuda/fake_operation.h"

#include <pthread.h>

struct driver_stream {
    struct driver_context *context;
    struct fake_operation *first; /* of those that wait */
    struct fake_operation *last;
    struct fake_operation *current; /* the worker's, or NULL */
    uint64_t asked; /* operations */
    uint64_t done;
    unsigned waiters; /* threads that look at `done` */
    bool is_ending;
    int actor;
    struct fake_clock clock; /* what the current operation knows */
    struct fake_clock done_clock; /* what the last one that is done knew */
    pthread_cond_t wakes;
    struct driver_stream *next;
};

/* All under the lock. A stream that can be used: the one asked for, or for NULL that of the current
 * context. NULL: no such stream. */
struct driver_stream *fake_stream_find(struct driver_stream *stream);

/* Queue an operation, which now belongs to the stream; or free it, and say why. */
int fake_stream_ask(struct driver_stream *stream, struct fake_operation *operation);

/* All streams of a context end as if destroyed. */
void fake_stream_end(const struct driver_context *context);

/* Whether any operation waits or runs. */
bool fake_stream_is_busy(void);

/* These bytes go: operations that are still to use them break their context instead. Returns what
 * one of them is called, or NULL. */
const char *fake_stream_revoke(uint64_t address, uint64_t bytes);

#endif
