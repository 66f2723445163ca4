/* fake_operation: see fake_operation.h. */
#include "tests/fakes/cuda/fake_operation.h"

#include "tests/fakes/cuda/fake_event.h"
#include "tests/fakes/cuda/fake_host.h"
#include "tests/fakes/cuda/fake_kernel.h"
#include "tests/fakes/cuda/fake_lock.h"
#include "tests/fakes/cuda/fake_region.h"
#include "tests/fakes/cuda/fake_stream.h"
#include "tests/fakes/cuda/fake_timeline.h"
#include "tests/fakes/cuda/fake_track.h"

#include <stdlib.h>
#include <string.h>

struct fake_operation *fake_operation_make(
    enum fake_kind kind, enum fake_entry entry, size_t range_count)
{
    struct fake_operation *made = calloc(1, sizeof *made + range_count * sizeof(struct fake_range));
    if (made != NULL) {
        made->kind = kind;
        made->what = fake_entry_name(entry);
        made->count = range_count;
    }
    return made;
}

void fake_operation_free(struct fake_operation *operation)
{
    if (operation != NULL) {
        fake_event_drop(operation->point);
        free(operation);
    }
}

static bool is_hit(uint64_t start, uint64_t bytes, uint64_t other, uint64_t other_bytes)
{
    return start != 0 && start < other + other_bytes && other < start + bytes;
}

bool fake_operation_uses(const struct fake_operation *operation, uint64_t address, uint64_t bytes)
{
    for (size_t i = 0; i < operation->count; i++) {
        const struct fake_range *range = &operation->ranges[i];
        if (is_hit(range->to, range->bytes, address, bytes) ||
            is_hit(range->from, range->bytes, address, bytes)) {
            return true;
        }
    }
    return false;
}

bool fake_operation_may(const struct driver_stream *stream, uint64_t address, uint64_t bytes,
    int access, bool is_device)
{
    while (bytes > 0) {
        struct fake_piece piece = fake_region_piece(address, bytes);
        if (piece.is_hole) {
            return false;
        }
        if (piece.region != NULL) {
            if ((piece.region->access[stream->context->device] & access) != access) {
                return false;
            }
        } else if (is_device && !fake_host_is_mapped(address, piece.bytes)) {
            return false;
        }
        address += piece.bytes;
        bytes -= piece.bytes;
    }
    return true;
}

static void be_late(void)
{
    uint64_t delay_us = fake_settings_read()->delay_us;
    if (delay_us > 0) {
        fake_lock_nap(delay_us * 1000);
    }
}

static bool may_touch(const struct driver_stream *stream, const struct fake_operation *operation)
{
    bool to_device = (operation->sides & FAKE_TO_DEVICE) != 0;
    bool from_device = (operation->sides & FAKE_FROM_DEVICE) != 0;
    for (size_t i = 0; i < operation->count; i++) {
        const struct fake_range *range = &operation->ranges[i];
        if ((range->to != 0 && !fake_operation_may(stream, range->to, range->bytes,
                                   DRIVER_ACCESS_READ_WRITE, to_device)) ||
            (range->from != 0 && !fake_operation_may(stream, range->from, range->bytes,
                                     DRIVER_ACCESS_READ, from_device))) {
            return false;
        }
    }
    return true;
}

static void touch(const struct driver_stream *stream, const struct fake_operation *operation)
{
    const struct fake_doer doer = {
        .what = operation->what, .actor = stream->actor, .clock = &stream->clock};
    for (size_t i = 0; i < operation->count; i++) {
        const struct fake_range *range = &operation->ranges[i];
        if (range->from != 0) {
            fake_track_access(&doer, range->from, range->bytes, false);
        }
        if (range->to != 0) {
            fake_track_access(&doer, range->to, range->bytes, true);
        }
        if (operation->kind == FAKE_KERNEL) {
            continue; /* it computes once all its ranges are known to be in order */
        }
        if (operation->kind == FAKE_FILL) {
            memset(fake_region_pointer(range->to), (int)operation->value, range->bytes);
        } else {
            memmove(fake_region_pointer(range->to), fake_region_pointer(range->from), range->bytes);
        }
    }
    if (operation->kind == FAKE_KERNEL) {
        fake_kernel_run(operation);
    }
}

/* By its end the host may act on what it learnt there, so it knows what the stream knows. */
static void call(const struct driver_stream *stream, const struct fake_operation *operation)
{
    fake_track_learn(&stream->clock);
    fake_lock_drop();
    fake_entry_callback(true);
    operation->call(operation->context);
    fake_entry_callback(false);
    fake_lock_take();
}

void fake_operation_run(struct driver_stream *stream, struct fake_operation *operation)
{
    switch (operation->kind) {
    case FAKE_RECORD:
        fake_event_reach(operation->point, &stream->clock);
        return;
    case FAKE_AWAIT:
        fake_event_await(operation->point, &stream->clock);
        return;
    case FAKE_COPY:
    case FAKE_FILL:
    case FAKE_WRITE:
    case FAKE_KERNEL:
        be_late();
        break;
    case FAKE_CALL:
    case FAKE_WAIT:
        break;
    }
    if (stream->context->sticky != DRIVER_SUCCESS) {
        return; /* nothing runs in a broken context, host functions included */
    }
    if (operation->is_revoked || !may_touch(stream, operation)) {
        fake_context_break(stream->context, DRIVER_ILLEGAL_ADDRESS);
    } else if (operation->kind == FAKE_KERNEL && !fake_kernel_is_aligned(operation)) {
        fake_context_break(stream->context, FAKE_MISALIGNED);
    } else if (operation->kind == FAKE_CALL) {
        call(stream, operation);
    } else if (operation->kind == FAKE_WRITE) {
        fake_timeline_write(stream, operation);
    } else if (operation->kind == FAKE_WAIT) {
        fake_timeline_wait(stream, operation);
    } else {
        touch(stream, operation);
    }
}
