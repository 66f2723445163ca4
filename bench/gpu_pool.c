/* gpu_pool: see gpu_pool.h. */
#include "bench/gpu_pool.h"

#include "bench/clock.h"
#include "bench/content.h"
#include "bench/hit_loop.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define HOST_BYTES (UINT64_C(64) << 20)
#define DEVICE_BYTES (UINT64_C(256) << 20)
#define WAIT_NS (10 * CLOCK_NS_PER_S)
#define HOST_SEED 1u /* added to the run's: other keys than those of the device */
#define THREADS 4u /* ours, and those of the driver */

/* Put a block into the stream, and its commit behind. */
static bool commit_one(struct gpu_pool *pool, const struct cistern_key *key,
    void (*before)(void *context), void *context)
{
    const struct driver *driver = &pool->run->driver;
    struct driver_stream *stream = pool->run->stream.stream;
    struct cistern_slot slot;
    size_t count = 0;
    int status = cistern_device_reserve(pool->of_writer, 1, WAIT_NS, &slot, &count);
    if (status != CISTERN_OK) {
        return client_failed("reserve on the device", status);
    }
    int result = driver->cuMemsetD8Async(
        (uint64_t)(uintptr_t)slot.data, (unsigned char)pool->number, slot.bytes, stream);
    if (result == DRIVER_SUCCESS && before != NULL) {
        result = driver->cuLaunchHostFunc(stream, before, context);
    }
    if (result != DRIVER_SUCCESS) {
        fprintf(stderr, "cistern-bench: the device refuses (%d)\n", result);
        (void)cistern_abort(pool->writer, &slot);
        return false;
    }
    status = cistern_device_commit(pool->of_writer, &slot, key, NULL, 1, GPU_POOL_BLOCK, stream);
    return status == CISTERN_OK || client_failed("commit on the device", status);
}

/* Is it hot in that memory, before the deadline? */
static bool comes(cistern_t *handle, const struct cistern_key *key, uint32_t tier)
{
    int64_t deadline = clock_now_ns() + WAIT_NS;
    struct cistern_view view = {.tier = UINT32_MAX};
    size_t count = 0;
    while (cistern_acquire(handle, key, 1, &view, &count) != CISTERN_OK) {
        if (clock_now_ns() > deadline) {
            fputs("cistern-bench: a block did not become visible\n", stderr);
            return false;
        }
    }
    (void)cistern_release(handle, &view, 1);
    if (view.tier != tier) {
        fputs("cistern-bench: a block lies in another memory than it should\n", stderr);
    }
    return view.tier == tier;
}

static bool fill(struct gpu_pool *pool)
{
    uint64_t seed = pool->options->seed;
    bool good = client_fill(pool->writer, seed + HOST_SEED, 0, GPU_POOL_HOT, GPU_POOL_BLOCK, false);
    for (; pool->number < GPU_POOL_HOT && good; pool->number++) {
        struct cistern_key key = content_key(seed, pool->number);
        good = commit_one(pool, &key, NULL, NULL) && comes(pool->writer, &key, CISTERN_TIER_DEVICE);
    }
    return good;
}

bool gpu_pool_open(
    const struct options *options, const struct gpu_run *run, struct gpu_pool *out_pool)
{
    struct gpu_pool *pool = out_pool;
    *pool = (struct gpu_pool){.run = run, .options = options};
    gpu_uuid_text(&run->gpu.uuid, pool->device);
    if (!daemon_start_device(
            options, HOST_BYTES, GPU_POOL_BLOCK, pool->device, DEVICE_BYTES, &pool->daemon)) {
        return false;
    }
    pool->settings = (struct client_settings){.socket_path = pool->daemon.socket_path,
        .name = "bench-gpu",
        .block_bytes = GPU_POOL_BLOCK,
        .threads_max = THREADS,
        .device = pool->device};
    if (!client_open(&pool->settings, &pool->writer) ||
        !client_open(&pool->settings, &pool->reader)) {
        return false;
    }
    int status = cistern_device_ready(pool->writer);
    if (status == CISTERN_OK) {
        status = cistern_device_open(pool->writer, NULL, &pool->of_writer);
    }
    return status == CISTERN_OK ? fill(pool) : client_failed("the device's memory", status);
}

void gpu_pool_close(struct gpu_pool *pool)
{
    cistern_device_close(&pool->of_writer);
    cistern_close(&pool->writer);
    cistern_close(&pool->reader);
    daemon_stop(&pool->daemon);
}

bool gpu_pool_hits(struct gpu_pool *pool, struct gpu_pool_hits *out_hits)
{
    uint64_t seed = pool->options->seed;
    struct cistern_key *device = hit_loop_draw(seed, seed, GPU_POOL_HOT, GPU_POOL_HITS);
    struct cistern_key *host = hit_loop_draw(seed + HOST_SEED, seed, GPU_POOL_HOT, GPU_POOL_HITS);
    struct stats warm = {0};
    bool good = device != NULL && host != NULL;
    uint64_t missed = 0;
    if (good) {
        missed += hit_loop_single(pool->writer, device, GPU_POOL_HOT, true, &warm);
        missed += hit_loop_single(pool->writer, device, GPU_POOL_HITS, true, &out_hits->device);
        missed += hit_loop_single(pool->writer, host, GPU_POOL_HOT, true, &warm);
        missed += hit_loop_single(pool->writer, host, GPU_POOL_HITS, true, &out_hits->host);
    }
    if (missed > 0 || !good) {
        fprintf(stderr, "cistern-bench: %s\n", good ? "blocks were missed" : "out of memory");
    }
    free(device);
    free(host);
    return good && missed == 0;
}

/* When the stream got there. */
static void stamp(void *context)
{
    _Atomic int64_t *at_ns = context;
    atomic_store_explicit(at_ns, clock_now_ns(), memory_order_release);
}

static int64_t await_stamp(const _Atomic int64_t *at_ns)
{
    int64_t deadline = clock_now_ns() + WAIT_NS;
    int64_t stamped = 0;
    while ((stamped = atomic_load_explicit(at_ns, memory_order_acquire)) == 0 &&
           clock_now_ns() < deadline) {
    }
    return stamped;
}

bool gpu_pool_commits(struct gpu_pool *pool, struct gpu_pool_commits *out_commits)
{
    for (uint32_t i = 0; i < GPU_POOL_COMMITS; i++, pool->number++) {
        struct cistern_key key = content_key(pool->options->seed, pool->number);
        _Atomic int64_t at_ns = 0;
        _Atomic int64_t floor_ns = 0;
        if (!commit_one(pool, &key, stamp, &at_ns) ||
            !comes(pool->reader, &key, CISTERN_TIER_DEVICE)) {
            (void)cistern_device_drain(pool->of_writer, WAIT_NS); /* `at_ns` is written no more */
            return false;
        }
        int64_t seen_ns = clock_now_ns();
        stats_add(&out_commits->seen, (double)(seen_ns - await_stamp(&at_ns)) / 1e3);
        int result = pool->run->driver.cuLaunchHostFunc(pool->run->stream.stream, stamp, &floor_ns);
        int64_t stamped_ns = result == DRIVER_SUCCESS ? await_stamp(&floor_ns) : 0;
        stats_add(&out_commits->floor, (double)(clock_now_ns() - stamped_ns) / 1e3);
        if (stamped_ns == 0) {
            (void)pool->run->driver.cuStreamSynchronize(pool->run->stream.stream);
            fputs("cistern-bench: the stream does not get there\n", stderr);
            return false;
        }
    }
    return true;
}

double gpu_pool_open_ms(const struct gpu_pool *pool, bool with_device)
{
    struct client_settings settings = pool->settings;
    cistern_t *handle = NULL;
    settings.device = with_device ? pool->device : NULL;
    int64_t begun_ns = clock_now_ns();
    bool good = client_open(&settings, &handle) &&
                (!with_device || cistern_device_ready(handle) == CISTERN_OK);
    double ms = (double)(clock_now_ns() - begun_ns) / 1e6;
    cistern_close(&handle);
    return good ? ms : -1;
}
