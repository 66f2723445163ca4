/* fake_event: see fake_event.h. */
#include "tests/fakes/cuda/fake_event.h"

#include "tests/fakes/cuda/fake_lock.h"
#include "tests/fakes/cuda/fake_stream.h"
#include "tests/fakes/cuda/fake_track.h"

#include <stdlib.h>

struct fake_point {
    unsigned holders;
    bool is_reached;
    struct fake_clock clock;
};

struct driver_event {
    struct driver_context *context;
    struct fake_point *point; /* NULL: never recorded */
    struct driver_event *next;
};

static struct driver_event *events;

void fake_event_drop(struct fake_point *point)
{
    if (point != NULL && --point->holders == 0) {
        free(point);
    }
}

void fake_event_reach(struct fake_point *point, const struct fake_clock *clock)
{
    point->clock = *clock;
    point->is_reached = true;
    fake_lock_progress();
}

void fake_event_await(const struct fake_point *point, struct fake_clock *clock)
{
    while (!point->is_reached) {
        fake_lock_await_progress();
    }
    fake_clock_join(clock, &point->clock);
}

static struct driver_event *find(const struct driver_event *event)
{
    struct driver_event *found = events;
    while (found != NULL && found != event) {
        found = found->next;
    }
    return found;
}

int fake_cuEventCreate(struct driver_event **event, unsigned flags)
{
    int result = fake_entry_enter(FAKE_cuEventCreate, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (event == NULL || flags > 3) { /* blocking synchronisation, no timing */
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    struct driver_event *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return fake_entry_leave(DRIVER_OUT_OF_MEMORY);
    }
    *made = (struct driver_event){.context = fake_context_current(), .next = events};
    events = made;
    *event = made;
    return fake_entry_leave(DRIVER_SUCCESS);
}

int fake_cuEventDestroy(struct driver_event *event)
{
    int result = fake_entry_enter(FAKE_cuEventDestroy, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    struct driver_event **link = &events;
    while (*link != NULL && *link != event) {
        link = &(*link)->next;
    }
    if (*link == NULL) {
        return fake_entry_leave(DRIVER_INVALID_HANDLE);
    }
    *link = event->next;
    fake_event_drop(event->point);
    free(event);
    return fake_entry_leave(DRIVER_SUCCESS);
}

static int record(struct driver_event *event, struct driver_stream *stream)
{
    const struct driver_stream *found = fake_stream_find(stream);
    if (event == NULL || found == NULL || event->context != found->context) {
        return DRIVER_INVALID_HANDLE;
    }
    struct fake_point *point = calloc(1, sizeof *point);
    struct fake_operation *operation =
        point != NULL ? fake_operation_make(FAKE_RECORD, FAKE_cuEventRecord, 0) : NULL;
    if (operation == NULL) {
        free(point);
        return DRIVER_OUT_OF_MEMORY;
    }
    point->holders = 2;
    operation->point = point;
    fake_event_drop(event->point);
    event->point = point;
    int result = fake_stream_ask(stream, operation);
    if (result != DRIVER_SUCCESS) {
        fake_event_drop(point);
        event->point = NULL;
    }
    return result;
}

int fake_cuEventRecord(struct driver_event *event, struct driver_stream *stream)
{
    int result = fake_entry_enter(FAKE_cuEventRecord, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    return fake_entry_leave(record(find(event), stream));
}

int fake_cuEventQuery(struct driver_event *event)
{
    int result = fake_entry_enter(FAKE_cuEventQuery, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    const struct driver_event *found = find(event);
    if (found == NULL) {
        return fake_entry_leave(DRIVER_INVALID_HANDLE);
    }
    if (found->context->sticky != DRIVER_SUCCESS) {
        return fake_entry_leave(found->context->sticky);
    }
    if (found->point == NULL) {
        return fake_entry_leave(DRIVER_SUCCESS);
    }
    if (!found->point->is_reached) {
        return fake_entry_leave(DRIVER_NOT_READY);
    }
    fake_track_learn(&found->point->clock);
    return fake_entry_leave(DRIVER_SUCCESS);
}

int fake_cuEventSynchronize(struct driver_event *event)
{
    int result = fake_entry_enter(FAKE_cuEventSynchronize, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    const struct driver_event *found = find(event);
    if (found == NULL) {
        return fake_entry_leave(DRIVER_INVALID_HANDLE);
    }
    const struct driver_context *context = found->context;
    struct fake_point *point = found->point;
    if (point != NULL) {
        struct fake_clock learnt = *fake_track_host();
        point->holders++;
        fake_event_await(point, &learnt);
        fake_event_drop(point);
        fake_track_learn(&learnt);
    }
    return fake_entry_leave(context->sticky);
}

int fake_cuStreamWaitEvent(struct driver_stream *stream, struct driver_event *event, unsigned flags)
{
    int result = fake_entry_enter(FAKE_cuStreamWaitEvent, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    const struct driver_event *found = find(event);
    if (flags != 0) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    if (found == NULL || fake_stream_find(stream) == NULL) {
        return fake_entry_leave(DRIVER_INVALID_HANDLE);
    }
    if (found->point == NULL) {
        return fake_entry_leave(DRIVER_SUCCESS);
    }
    struct fake_operation *operation = fake_operation_make(FAKE_AWAIT, FAKE_cuStreamWaitEvent, 0);
    if (operation != NULL) {
        operation->point = found->point;
        found->point->holders++;
    }
    return fake_entry_leave(fake_stream_ask(stream, operation));
}
