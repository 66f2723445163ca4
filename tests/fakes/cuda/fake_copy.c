/* fake_copy: copies, fills and functions of the host, queued on a stream.
 *
 * A pointer that belongs to no device memory at all is refused by the call; what is mapped and may
 * be touched is judged when the operation runs, and breaks the context.
 */
#include "tests/fakes/cuda/fake_host.h"
#include "tests/fakes/cuda/fake_region.h"
#include "tests/fakes/cuda/fake_stream.h"
#include "tests/fakes/cuda/fake_violation.h"

static bool is_device(uint64_t address)
{
    return fake_region_find(address) != NULL || fake_region_reserved(address, 1) ||
           fake_host_is_mapped(address, 1);
}

static int ask(
    enum fake_entry entry, struct driver_stream *stream, struct fake_range range, unsigned sides)
{
    if (fake_stream_find(stream) == NULL) {
        return DRIVER_INVALID_HANDLE;
    }
    if (range.bytes == 0) {
        return DRIVER_SUCCESS;
    }
    if (range.to == 0 || range.from == 0 || range.to + range.bytes < range.to ||
        range.from + range.bytes < range.from ||
        ((sides & FAKE_TO_DEVICE) != 0 && !is_device(range.to)) ||
        ((sides & FAKE_FROM_DEVICE) != 0 && !is_device(range.from))) {
        return DRIVER_INVALID_VALUE;
    }
    struct fake_operation *operation = fake_operation_make(FAKE_COPY, entry, 1);
    if (operation != NULL) {
        operation->sides = sides;
        operation->ranges[0] = range;
    }
    return fake_stream_ask(stream, operation);
}

int fake_cuMemcpyAsync(uint64_t to, uint64_t from, size_t bytes, struct driver_stream *stream)
{
    int result = fake_entry_enter(FAKE_cuMemcpyAsync, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    struct fake_range range = {.to = to, .from = from, .bytes = bytes};
    return fake_entry_leave(ask(FAKE_cuMemcpyAsync, stream, range, 0));
}

int fake_cuMemcpyHtoDAsync(
    uint64_t to, const void *from, size_t bytes, struct driver_stream *stream)
{
    int result = fake_entry_enter(FAKE_cuMemcpyHtoDAsync, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    struct fake_range range = {.to = to, .from = (uint64_t)(uintptr_t)from, .bytes = bytes};
    return fake_entry_leave(ask(FAKE_cuMemcpyHtoDAsync, stream, range, FAKE_TO_DEVICE));
}

int fake_cuMemcpyDtoHAsync(void *to, uint64_t from, size_t bytes, struct driver_stream *stream)
{
    int result = fake_entry_enter(FAKE_cuMemcpyDtoHAsync, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    struct fake_range range = {.to = (uint64_t)(uintptr_t)to, .from = from, .bytes = bytes};
    return fake_entry_leave(ask(FAKE_cuMemcpyDtoHAsync, stream, range, FAKE_FROM_DEVICE));
}

int fake_cuMemsetD8Async(
    uint64_t to, unsigned char value, size_t bytes, struct driver_stream *stream)
{
    int result = fake_entry_enter(FAKE_cuMemsetD8Async, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (!is_device(to) || to + bytes < to) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    if (bytes == 0) {
        return fake_entry_leave(DRIVER_SUCCESS);
    }
    struct fake_operation *operation = fake_operation_make(FAKE_FILL, FAKE_cuMemsetD8Async, 1);
    if (operation != NULL) {
        operation->sides = FAKE_TO_DEVICE;
        operation->value = value;
        operation->ranges[0] = (struct fake_range){.to = to, .bytes = bytes};
    }
    return fake_entry_leave(fake_stream_ask(stream, operation));
}

static bool is_hit(uint64_t start, uint64_t bytes, uint64_t other, uint64_t other_bytes)
{
    return start < other + other_bytes && other < start + bytes;
}

/* The copies of a batch run in any order, so none may touch what another one writes. */
static void compare(const struct fake_operation *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct fake_range *one = &batch->ranges[i];
        for (size_t j = 0; j < batch->count; j++) {
            const struct fake_range *other = &batch->ranges[j];
            if (j != i && (is_hit(one->to, one->bytes, other->from, other->bytes) ||
                              (j > i && is_hit(one->to, one->bytes, other->to, other->bytes)))) {
                fake_violation("copy %zu of a batch writes what copy %zu of it touches: a batch "
                               "has no order",
                    i, j);
                return;
            }
        }
    }
}

static int check_how(
    const struct driver_copy *how, const size_t *how_index, size_t how_count, size_t count)
{
    if (how == NULL || how_index == NULL || how_count == 0 || how_count > count ||
        how_index[0] != 0) {
        return DRIVER_INVALID_VALUE;
    }
    for (size_t i = 0; i < how_count; i++) {
        if (i > 0 && (how_index[i] <= how_index[i - 1] || how_index[i] >= count)) {
            return DRIVER_INVALID_VALUE;
        }
        if (how[i].order != DRIVER_ORDER_STREAM) {
            /* Others may read the source before earlier work of the stream is done. */
            return how[i].order == 2 || how[i].order == 3 ? DRIVER_NOT_SUPPORTED
                                                          : DRIVER_INVALID_VALUE;
        }
    }
    return DRIVER_SUCCESS;
}

static int batch(const uint64_t *to, const uint64_t *from, const size_t *bytes, size_t count,
    struct driver_stream *stream)
{
    struct fake_operation *made = fake_operation_make(FAKE_COPY, FAKE_cuMemcpyBatchAsync, count);
    for (size_t i = 0; made != NULL && i < count; i++) {
        if (to[i] == 0 || from[i] == 0 || bytes[i] == 0) {
            fake_operation_free(made);
            return DRIVER_INVALID_VALUE;
        }
        made->ranges[i] = (struct fake_range){.to = to[i], .from = from[i], .bytes = bytes[i]};
    }
    if (made != NULL) {
        compare(made);
    }
    return fake_stream_ask(stream, made);
}

int fake_cuMemcpyBatchAsync(uint64_t *to, uint64_t *from, size_t *bytes, size_t count,
    struct driver_copy *how, size_t *how_index, size_t how_count, struct driver_stream *stream)
{
    int result = fake_entry_enter(FAKE_cuMemcpyBatchAsync, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (stream == NULL || to == NULL || from == NULL || bytes == NULL || count == 0) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    result = check_how(how, how_index, how_count, count);
    return fake_entry_leave(
        result == DRIVER_SUCCESS ? batch(to, from, bytes, count, stream) : result);
}

int fake_cuLaunchHostFunc(struct driver_stream *stream, void (*call)(void *context), void *context)
{
    int result = fake_entry_enter(FAKE_cuLaunchHostFunc, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (call == NULL) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    struct fake_operation *operation = fake_operation_make(FAKE_CALL, FAKE_cuLaunchHostFunc, 0);
    if (operation != NULL) {
        operation->call = call;
        operation->context = context;
    }
    return fake_entry_leave(fake_stream_ask(stream, operation));
}
