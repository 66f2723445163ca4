/* copy: merges neighbours, and hands the rest over in batches where the driver has them. See
 * copy.h. */
#include "cuda/copy.h"

#include "shm/status.h"

#define BATCH 128u /* copies in one call of the driver */

/* What is collected before it is handed over: three arrays, as the driver wants them. */
struct batch {
    uint64_t to[BATCH];
    uint64_t from[BATCH];
    size_t bytes[BATCH];
    size_t count;
};

static int one_by_one(
    const struct gpu *gpu, struct driver_stream *stream, const struct batch *batch)
{
    int result = DRIVER_SUCCESS;
    for (size_t i = 0; i < batch->count && result == DRIVER_SUCCESS; i++) {
        result = gpu->driver->cuMemcpyAsync(batch->to[i], batch->from[i], batch->bytes[i], stream);
    }
    return result;
}

/* In stream order, never "any": a copy would else read what the stream has not written yet
 * (shared facts: srcAccessOrder). */
static int hand_over(const struct gpu *gpu, struct driver_stream *stream, struct batch *batch)
{
    struct driver_copy how = {.order = DRIVER_ORDER_STREAM};
    size_t first = 0;
    int result = DRIVER_NOT_SUPPORTED;
    if (batch->count == 0) {
        return DRIVER_SUCCESS;
    }
    if (gpu->driver->has[DRIVER_BATCH] && stream != NULL && batch->count > 1) {
        result = gpu->driver->cuMemcpyBatchAsync(
            batch->to, batch->from, batch->bytes, batch->count, &how, &first, 1, stream);
    }
    if (result == DRIVER_NOT_SUPPORTED || result == DRIVER_INVALID_VALUE) {
        result = one_by_one(gpu, stream, batch); /* and finds out which one is invalid */
    }
    batch->count = 0;
    return result;
}

static bool follows(const struct batch *batch, const struct copy *copy)
{
    size_t last = batch->count - 1;
    return batch->count > 0 && batch->to[last] + batch->bytes[last] == copy->to &&
           batch->from[last] + batch->bytes[last] == copy->from;
}

/* Returns a result of the driver. */
static int add(const struct gpu *gpu, struct driver_stream *stream, struct batch *batch,
    const struct copy *copy)
{
    if (copy->bytes == 0) {
        return DRIVER_SUCCESS;
    }
    if (follows(batch, copy)) {
        batch->bytes[batch->count - 1] += copy->bytes;
        return DRIVER_SUCCESS;
    }
    int result = batch->count == BATCH ? hand_over(gpu, stream, batch) : DRIVER_SUCCESS;
    batch->to[batch->count] = copy->to;
    batch->from[batch->count] = copy->from;
    batch->bytes[batch->count] = copy->bytes;
    batch->count++;
    return result;
}

int copy_start(
    const struct gpu *gpu, struct driver_stream *stream, const struct copy *list, size_t count)
{
    struct batch batch;
    batch.count = 0;
    int result = DRIVER_SUCCESS;
    for (size_t i = 0; i < count && result == DRIVER_SUCCESS; i++) {
        result = add(gpu, stream, &batch, &list[i]);
    }
    return driver_status(result == DRIVER_SUCCESS ? hand_over(gpu, stream, &batch) : result);
}

static int move(const struct gpu *gpu, struct driver_stream *stream, uint64_t block,
    const struct copy_piece *pieces, size_t count, bool gather)
{
    struct batch batch;
    batch.count = 0;
    int result = DRIVER_SUCCESS;
    for (size_t i = 0; i < count && result == DRIVER_SUCCESS; i++) {
        struct copy copy = {.to = gather ? block : pieces[i].address,
            .from = gather ? pieces[i].address : block,
            .bytes = pieces[i].bytes};
        result = add(gpu, stream, &batch, &copy);
        block += pieces[i].bytes;
    }
    return driver_status(result == DRIVER_SUCCESS ? hand_over(gpu, stream, &batch) : result);
}

int copy_gather(const struct gpu *gpu, struct driver_stream *stream, uint64_t block,
    const struct copy_piece *pieces, size_t count)
{
    return move(gpu, stream, block, pieces, count, true);
}

int copy_scatter(const struct gpu *gpu, struct driver_stream *stream, uint64_t block,
    const struct copy_piece *pieces, size_t count)
{
    return move(gpu, stream, block, pieces, count, false);
}

int copy_open(const struct gpu *gpu, struct copy_stream *out_stream)
{
    struct driver_stream *stream = NULL;
    int result = gpu->driver->cuStreamCreateWithPriority(&stream, DRIVER_STREAM_NON_BLOCKING, 0);
    if (result == DRIVER_SUCCESS) {
        *out_stream = (struct copy_stream){.gpu = gpu, .stream = stream};
    }
    return driver_status(result);
}

int copy_done(const struct copy_stream *stream)
{
    int result = stream->gpu->driver->cuStreamQuery(stream->stream);
    return result == DRIVER_NOT_READY ? STATUS_PENDING : driver_status(result);
}

void copy_close(struct copy_stream *stream)
{
    if (stream->gpu != NULL) {
        const struct driver *driver = stream->gpu->driver;
        (void)driver->cuStreamSynchronize(stream->stream);
        (void)driver->cuStreamDestroy(stream->stream);
    }
    *stream = (struct copy_stream){.gpu = NULL};
}
