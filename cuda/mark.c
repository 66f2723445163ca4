/* mark: three ways to know where a stream is. See mark.h. */
#include "cuda/mark.h"

#include "shm/status.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static_assert(sizeof(struct mark_page) <= MARK_WORD_BYTES, "the words are one page");

const char *mark_way_name(enum mark_way way)
{
    static const char *const names[] = {
        [MARK_AUTO] = "auto",
        [MARK_TIMELINE] = "timeline words",
        [MARK_CALL] = "host callbacks",
        [MARK_EVENT] = "events",
    };
    return names[way];
}

/* On a thread of the driver, which may not call it. */
static void call_back(void *context)
{
    const struct mark_call *call = context;
    shared64_store_release(&call->page->word[call->mark.slot], call->mark.value);
}

/* Returns a result of the driver. */
static int put(struct marks *marks, struct driver_stream *stream, const struct mark *mark)
{
    const struct driver *driver = marks->gpu->driver;
    struct mark_call *call = &marks->call[mark->slot];
    switch (marks->way) {
    case MARK_TIMELINE:
        /* The default write is fenced: what the stream wrote before is visible with it. */
        return driver->cuStreamWriteValue64(
            stream, marks->address + mark->slot * sizeof(uint64_t), mark->value, 0);
    case MARK_CALL:
        *call = (struct mark_call){.page = marks->page, .mark = *mark};
        return driver->cuLaunchHostFunc(stream, call_back, call);
    case MARK_EVENT:
        return driver->cuEventRecord(marks->event[mark->slot], stream);
    case MARK_AUTO:
        break;
    }
    assert(false && "a way was chosen");
    return DRIVER_INVALID_VALUE;
}

int mark_take(struct marks *marks, struct driver_stream *stream, struct mark *out_mark)
{
    if (marks->taken == UINT64_MAX) {
        return STATUS_BUSY;
    }
    uint32_t slot = (uint32_t)__builtin_ctzll(~marks->taken);
    struct mark mark = {.slot = slot, .value = marks->value[slot] + 1};
    int result = put(marks, stream, &mark);
    if (result == DRIVER_SUCCESS) {
        marks->value[slot] = mark.value;
        marks->taken |= UINT64_C(1) << slot;
        *out_mark = mark;
    }
    return driver_status(result);
}

int mark_passed(const struct marks *marks, const struct mark *mark)
{
    if (marks->way == MARK_EVENT) {
        int result = marks->gpu->driver->cuEventQuery(marks->event[mark->slot]);
        return result == DRIVER_NOT_READY ? STATUS_PENDING : driver_status(result);
    }
    /* Partner: the release store of call_back(), or the stream's fenced write. */
    uint64_t word = shared64_load_acquire(&marks->page->word[mark->slot]);
    return word >= mark->value ? STATUS_OK : STATUS_PENDING;
}

void mark_drop(struct marks *marks, const struct mark *mark)
{
    assert((marks->taken >> mark->slot & 1) != 0 && marks->value[mark->slot] == mark->value);
    marks->taken &= ~(UINT64_C(1) << mark->slot);
}

/* Returns a result of the driver. */
static int prepare(struct marks *marks)
{
    const struct driver *driver = marks->gpu->driver;
    int result = DRIVER_SUCCESS;
    if (marks->way == MARK_TIMELINE) {
        if (!marks->gpu->has_timeline || !driver->has[DRIVER_HOST]) {
            return DRIVER_NOT_SUPPORTED;
        }
        result = driver->cuMemHostRegister(
            marks->page, MARK_WORD_BYTES, DRIVER_REGISTER_PORTABLE | DRIVER_REGISTER_DEVICE_MAP);
        marks->registered = result == DRIVER_SUCCESS;
        return result != DRIVER_SUCCESS
                   ? result
                   : driver->cuMemHostGetDevicePointer(&marks->address, marks->page, 0);
    }
    for (uint32_t i = 0; i < MARK_SLOTS && marks->way == MARK_EVENT && result == 0; i++) {
        result = driver->cuEventCreate(&marks->event[i], DRIVER_EVENT_DISABLE_TIMING);
    }
    return result;
}

/* One mark through a stream of our own: an attribute of the device says less (it reads 0 where
 * writes work, and the reverse). Returns a result of the driver. */
static int probe(struct marks *marks)
{
    const struct driver *driver = marks->gpu->driver;
    struct driver_stream *stream = NULL;
    struct mark mark;
    int result = driver->cuStreamCreateWithPriority(&stream, DRIVER_STREAM_NON_BLOCKING, 0);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    mark = (struct mark){.slot = 0, .value = marks->value[0] + 1};
    result = put(marks, stream, &mark);
    result = result == DRIVER_SUCCESS ? driver->cuStreamSynchronize(stream) : result;
    marks->value[0] = mark.value;
    (void)driver->cuStreamDestroy(stream);
    if (result == DRIVER_SUCCESS && mark_passed(marks, &mark) != STATUS_OK) {
        result = DRIVER_NOT_SUPPORTED;
    }
    return result;
}

void mark_close(struct marks *marks)
{
    for (uint32_t i = 0; i < MARK_SLOTS && marks->gpu != NULL; i++) {
        if (marks->event[i] != NULL) {
            (void)marks->gpu->driver->cuEventDestroy(marks->event[i]);
        }
    }
    if (marks->registered) {
        (void)marks->gpu->driver->cuMemHostUnregister(marks->page);
    }
    *marks = (struct marks){.gpu = NULL};
}

/* Returns a result of the driver. */
static int try_way(
    const struct gpu *gpu, enum mark_way way, struct mark_page *page, struct marks *out_marks)
{
    *out_marks = (struct marks){.gpu = gpu, .way = way, .page = page};
    for (uint32_t i = 0; i < MARK_SLOTS; i++) { /* a page that was used before goes on from there */
        out_marks->value[i] = shared64_load_relaxed(&page->word[i]);
    }
    int result = prepare(out_marks);
    result = result == DRIVER_SUCCESS ? probe(out_marks) : result;
    if (result != DRIVER_SUCCESS) {
        mark_close(out_marks);
    }
    return result;
}

int mark_open(const struct gpu *gpu, enum mark_way way, struct mark_page *page,
    struct marks *out_marks, char *why, size_t why_bytes)
{
    static const enum mark_way ways[] = {MARK_TIMELINE, MARK_CALL, MARK_EVENT};
    int status = STATUS_UNSUPPORTED;
    assert((uintptr_t)page % MARK_WORD_BYTES == 0);
    why[0] = '\0';
    for (size_t i = 0; i < sizeof ways / sizeof ways[0] && status == STATUS_UNSUPPORTED; i++) {
        if (way != MARK_AUTO && way != ways[i]) {
            continue;
        }
        int result = try_way(gpu, ways[i], page, out_marks);
        size_t used = strlen(why);
        status = driver_status(result);
        if (result == DRIVER_SUCCESS) {
            (void)snprintf(why + used, why_bytes - used, "%s", mark_way_name(ways[i]));
        } else {
            char text[128];
            driver_say(gpu->driver, result, text, sizeof text);
            status = status == STATUS_INVALID ? STATUS_UNSUPPORTED : status;
            (void)snprintf(
                why + used, why_bytes - used, "no %s: %s; ", mark_way_name(ways[i]), text);
        }
    }
    return status;
}
