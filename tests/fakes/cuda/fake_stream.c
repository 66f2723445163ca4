/* fake_stream: see fake_stream.h. */
#include "tests/fakes/cuda/fake_stream.h"

#include "tests/fakes/cuda/fake_lock.h"
#include "tests/fakes/cuda/fake_settings.h"
#include "tests/fakes/cuda/fake_track.h"

#include <signal.h>
#include <stdlib.h>

static struct driver_stream *streams;

static struct fake_operation *pop(struct driver_stream *stream)
{
    while (stream->first == NULL && !stream->is_ending) {
        fake_lock_wait(&stream->wakes);
    }
    struct fake_operation *operation = stream->first;
    if (operation != NULL) {
        stream->first = operation->next;
        stream->last = stream->first == NULL ? NULL : stream->last;
    }
    return operation;
}

static void leave(struct driver_stream *stream)
{
    while (stream->waiters > 0) {
        fake_lock_await_progress();
    }
    struct driver_stream **link = &streams;
    while (*link != stream) {
        link = &(*link)->next;
    }
    *link = stream->next;
    fake_clock_drop(stream->actor, &stream->clock);
    (void)pthread_cond_destroy(&stream->wakes);
    free(stream);
}

static void *work(void *context)
{
    struct driver_stream *stream = context;
    fake_lock_take();
    for (struct fake_operation *operation = pop(stream); operation != NULL;
         operation = pop(stream)) {
        stream->current = operation;
        fake_clock_join(&stream->clock, &operation->asked);
        stream->clock.tick[stream->actor]++;
        fake_operation_run(stream, operation);
        stream->current = NULL;
        stream->done++;
        stream->done_clock = stream->clock;
        fake_operation_free(operation);
        fake_lock_progress();
    }
    leave(stream);
    fake_lock_drop();
    return NULL;
}

/* The worker takes no signals: they are the program's. */
static bool start(struct driver_stream *stream)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&thread, &attributes, work, stream) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return started;
}

static struct driver_stream *make(struct driver_context *context)
{
    struct driver_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL || !fake_clock_take(&stream->actor, &stream->clock)) {
        free(stream);
        return NULL;
    }
    stream->context = context;
    stream->done_clock = stream->clock;
    (void)pthread_cond_init(&stream->wakes, NULL);
    if (!start(stream)) {
        fake_clock_drop(stream->actor, &stream->clock);
        (void)pthread_cond_destroy(&stream->wakes);
        free(stream);
        return NULL;
    }
    stream->next = streams;
    streams = stream;
    return stream;
}

struct driver_stream *fake_stream_find(struct driver_stream *stream)
{
    struct driver_context *context = fake_context_current();
    if (stream == NULL) {
        if (context->null_stream == NULL) {
            context->null_stream = make(context);
        }
        return context->null_stream;
    }
    for (struct driver_stream *found = streams; found != NULL; found = found->next) {
        if (found == stream && !found->is_ending) {
            return found;
        }
    }
    return NULL;
}

int fake_stream_ask(struct driver_stream *stream, struct fake_operation *operation)
{
    struct driver_stream *found = operation == NULL ? NULL : fake_stream_find(stream);
    if (found == NULL || found->context->sticky != DRIVER_SUCCESS) {
        bool is_unmade = operation == NULL;
        fake_operation_free(operation);
        return is_unmade       ? DRIVER_OUT_OF_MEMORY
               : found == NULL ? DRIVER_INVALID_HANDLE
                               : found->context->sticky;
    }
    operation->asked = *fake_track_host();
    if (found->last != NULL) {
        found->last->next = operation;
    } else {
        found->first = operation;
    }
    found->last = operation;
    found->asked++;
    (void)pthread_cond_signal(&found->wakes);
    return DRIVER_SUCCESS;
}

static void end(struct driver_stream *stream)
{
    stream->is_ending = true;
    (void)pthread_cond_signal(&stream->wakes);
}

void fake_stream_end(const struct driver_context *context)
{
    for (struct driver_stream *stream = streams; stream != NULL; stream = stream->next) {
        if (stream->context == context) {
            end(stream);
        }
    }
}

bool fake_stream_is_busy(void)
{
    for (const struct driver_stream *stream = streams; stream != NULL; stream = stream->next) {
        if (stream->current != NULL || stream->first != NULL) {
            return true;
        }
    }
    return false;
}

static const char *take_from(
    struct fake_operation *operation, uint64_t address, uint64_t bytes, const char *before)
{
    if (!fake_operation_uses(operation, address, bytes)) {
        return before;
    }
    operation->is_revoked = true;
    return operation->what;
}

const char *fake_stream_revoke(uint64_t address, uint64_t bytes)
{
    const char *what = NULL;
    for (const struct driver_stream *stream = streams; stream != NULL; stream = stream->next) {
        if (stream->current != NULL) {
            what = take_from(stream->current, address, bytes, what);
        }
        for (struct fake_operation *operation = stream->first; operation != NULL;
             operation = operation->next) {
            what = take_from(operation, address, bytes, what);
        }
    }
    return what;
}

int fake_cuStreamCreateWithPriority(struct driver_stream **stream, unsigned flags, int priority)
{
    (void)priority; /* one beyond the range is clamped, and here all are equal */
    int result = fake_entry_enter(FAKE_cuStreamCreateWithPriority, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (stream == NULL || flags > DRIVER_STREAM_NON_BLOCKING) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    if (flags != DRIVER_STREAM_NON_BLOCKING) {
        return fake_entry_leave(DRIVER_NOT_SUPPORTED); /* order with the NULL stream is not kept */
    }
    struct driver_stream *made = make(fake_context_current());
    if (made == NULL) {
        return fake_entry_leave(DRIVER_OUT_OF_MEMORY);
    }
    *stream = made;
    return fake_entry_leave(DRIVER_SUCCESS);
}

int fake_cuStreamDestroy(struct driver_stream *stream)
{
    int result = fake_entry_enter(FAKE_cuStreamDestroy, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (stream == NULL || fake_stream_find(stream) == NULL) {
        return fake_entry_leave(DRIVER_INVALID_HANDLE);
    }
    end(stream);
    return fake_entry_leave(DRIVER_SUCCESS);
}

int fake_cuStreamSynchronize(struct driver_stream *stream)
{
    int result = fake_entry_enter(FAKE_cuStreamSynchronize, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    struct driver_stream *found = fake_stream_find(stream);
    if (found == NULL) {
        return fake_entry_leave(DRIVER_INVALID_HANDLE);
    }
    uint64_t target = found->asked;
    found->waiters++;
    while (found->done < target) {
        fake_lock_await_progress();
    }
    found->waiters--;
    fake_track_learn(&found->done_clock);
    result = found->context->sticky;
    fake_lock_progress(); /* a stream that ends waits for its waiters */
    return fake_entry_leave(result);
}

int fake_cuStreamQuery(struct driver_stream *stream)
{
    int result = fake_entry_enter(FAKE_cuStreamQuery, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    struct driver_stream *found = fake_stream_find(stream);
    if (found == NULL) {
        return fake_entry_leave(DRIVER_INVALID_HANDLE);
    }
    if (found->context->sticky != DRIVER_SUCCESS) {
        return fake_entry_leave(found->context->sticky);
    }
    if (found->done < found->asked) {
        return fake_entry_leave(DRIVER_NOT_READY);
    }
    fake_track_learn(&found->done_clock);
    return fake_entry_leave(DRIVER_SUCCESS);
}
