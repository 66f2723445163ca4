/* copy_run: A/B rounds of put or get against memcpy. */
#include "bench/copy_run.h"

#include "bench/client.h"
#include "bench/clock.h"
#include "bench/content.h"
#include "bench/daemon.h"
#include "bench/rng.h"
#include "bench/stats.h"

#include <stdio.h>

#define POOL_BYTES (UINT64_C(2) << 30)
#define ROUND_BLOCKS_MAX (COPY_RUN_ROUND_BYTES >> 16)
#define WAIT_NS (10 * CLOCK_NS_PER_S)

const uint64_t copy_run_sizes[COPY_RUN_SIZES] = {
    UINT64_C(64) << 10, UINT64_C(256) << 10, UINT64_C(1) << 20, UINT64_C(2) << 20};

/* One size's state. */
struct copy {
    enum copy_direction direction;
    uint64_t seed;
    uint64_t block_bytes;
    uint64_t round_blocks;
    struct daemon daemon;
    cistern_t *handle;
    const struct copy_run *run;
    uint64_t next_stand_in;
    uint64_t committed; /* keys 0 to this number were put */
    uint64_t resident; /* as many of the last ones can be expected to be hot */
    uint64_t random;
    uint64_t missed;
    struct stats gb_per_s, memcpy_gb_per_s, ratio, call_us;
};

static bool put_round(struct copy *copy, const uint64_t *from)
{
    for (uint64_t i = 0; i < copy->round_blocks; i++) {
        struct cistern_key key = content_key(copy->seed, copy->committed++);
        const void *data = baseline_memcpy_block(&copy->run->buffers, from[i]);
        int64_t start = clock_now_ns();
        int status;
        do {
            status = cistern_put(copy->handle, &key, NULL, data, copy->block_bytes);
        } while (status == CISTERN_BUSY && clock_now_ns() - start < WAIT_NS);
        if (status != CISTERN_OK) {
            return client_failed("put", status);
        }
        stats_add(&copy->call_us, (double)(clock_now_ns() - start) / 1e3);
    }
    return true;
}

static bool get_round(struct copy *copy, const uint64_t *from, const uint64_t *to)
{
    uint64_t first = copy->committed - copy->resident;
    for (uint64_t i = 0; i < copy->round_blocks; i++) {
        struct cistern_key key = content_key(copy->seed, first + from[i]);
        void *data = baseline_memcpy_block(&copy->run->buffers, to[i]);
        uint64_t bytes = 0;
        int64_t start = clock_now_ns();
        int status = cistern_get(copy->handle, &key, data, copy->block_bytes, &bytes);
        stats_add(&copy->call_us, (double)(clock_now_ns() - start) / 1e3);
        if (status == CISTERN_MISS) {
            copy->missed++;
        } else if (status != CISTERN_OK) {
            return client_failed("get", status);
        }
    }
    return true;
}

/* Draw what one side of a round copies. Each side draws for itself: blocks that the other side has
 * just touched would be in the cache. A pool in use writes where nothing was touched for longest,
 * so what stands for it goes round and round. */
static void draw(struct copy *copy, uint64_t *out_in_pool, uint64_t *out_in_buffers)
{
    for (uint64_t i = 0; i < copy->round_blocks; i++) {
        out_in_pool[i] = copy->direction == COPY_PUT ? copy->next_stand_in++
                                                     : rng_below(&copy->random, copy->resident);
        out_in_buffers[i] = rng_below(&copy->random, copy->run->buffers.blocks);
    }
}

static bool time_cistern(struct copy *copy, double *out_ns)
{
    uint64_t in_pool[ROUND_BLOCKS_MAX];
    uint64_t in_buffers[ROUND_BLOCKS_MAX];
    uint64_t stand_in = copy->next_stand_in;
    draw(copy, in_pool, in_buffers);
    copy->next_stand_in = stand_in;
    int64_t start = clock_now_ns();
    bool good = copy->direction == COPY_PUT ? put_round(copy, in_buffers)
                                            : get_round(copy, in_pool, in_buffers);
    *out_ns = (double)(clock_now_ns() - start);
    return good;
}

static double time_memcpy(struct copy *copy)
{
    uint64_t in_pool[ROUND_BLOCKS_MAX];
    uint64_t in_buffers[ROUND_BLOCKS_MAX];
    const struct copy_run *sets = copy->run;
    draw(copy, in_pool, in_buffers);
    return copy->direction == COPY_PUT ? baseline_memcpy_ns(&sets->buffers, in_buffers,
                                             &sets->stand_in, in_pool, copy->round_blocks)
                                       : baseline_memcpy_ns(&sets->stand_in, in_pool,
                                             &sets->buffers, in_buffers, copy->round_blocks);
}

static bool run_round(struct copy *copy, bool cistern_first)
{
    double ns = 0;
    uint64_t missed = copy->missed;
    double memcpy_ns = cistern_first ? 0 : time_memcpy(copy);
    if (!time_cistern(copy, &ns)) {
        return false;
    }
    memcpy_ns = cistern_first ? time_memcpy(copy) : memcpy_ns;
    if (copy->missed > missed) {
        return true; /* a miss copies nothing: such a round is no figure */
    }
    double bytes = (double)copy->round_blocks * (double)copy->block_bytes;
    stats_add(&copy->gb_per_s, bytes / ns);
    stats_add(&copy->memcpy_gb_per_s, bytes / memcpy_ns);
    stats_add(&copy->ratio, memcpy_ns / ns);
    return true;
}

/* Put once through the whole pool: what is measured is the pool in use, not its first filling. For
 * gets three quarters of it, which stay. */
static bool warm(struct copy *copy, uint64_t pool_bytes)
{
    uint64_t blocks = pool_bytes / copy->block_bytes;
    uint64_t wanted = copy->direction == COPY_PUT ? blocks + blocks / 4 : blocks / 4 * 3;
    for (uint64_t i = 0; i < wanted; i += copy->round_blocks) {
        uint64_t from[ROUND_BLOCKS_MAX];
        for (uint64_t n = 0; n < copy->round_blocks; n++) {
            from[n] = i + n;
        }
        if (!put_round(copy, from)) {
            return false;
        }
    }
    copy->resident = copy->committed;
    copy->call_us.count = 0;
    int status = cistern_flush(copy->handle, WAIT_NS);
    return status == CISTERN_OK || client_failed("flush", status);
}

static bool prepare(struct copy *copy, const struct options *options,
    const struct pin_cpu_plan *plan, uint64_t pool_bytes)
{
    size_t rounds = (size_t)options->runs * COPY_RUN_ROUNDS;
    struct client_settings settings = {
        .name = "bench-copy", .block_bytes = copy->block_bytes, .grants_ahead = 16};
    if (!stats_open(&copy->gb_per_s, rounds) || !stats_open(&copy->memcpy_gb_per_s, rounds) ||
        !stats_open(&copy->ratio, rounds) ||
        !stats_open(&copy->call_us, rounds * (size_t)copy->round_blocks)) {
        fputs("cistern-bench: out of memory\n", stderr);
        return false;
    }
    if (!pin_cpu_free(plan) ||
        !daemon_start(options, pool_bytes, copy_run_sizes[0], plan->server, &copy->daemon)) {
        return false;
    }
    settings.socket_path = copy->daemon.socket_path;
    return client_open(&settings, &copy->handle) && pin_cpu(plan->client) && warm(copy, pool_bytes);
}

static void take_result(struct copy *copy, struct copy_run_result *out_result)
{
    struct cistern_stats stats = {.size = sizeof stats};
    int status = cistern_stats(copy->handle, &stats);
    *out_result = (struct copy_run_result){
        .block_bytes = copy->block_bytes,
        .gb_per_s = stats_median(&copy->gb_per_s),
        .memcpy_gb_per_s = stats_median(&copy->memcpy_gb_per_s),
        .ratio = stats_median(&copy->ratio),
        .ratio_min = stats_min(&copy->ratio),
        .ratio_max = stats_max(&copy->ratio),
        .p50_us = stats_percentile(&copy->call_us, 50),
        .p99_us = stats_percentile(&copy->call_us, 99),
        .p999_us = stats_percentile(&copy->call_us, 99.9),
        .grant_waits = status == CISTERN_OK ? stats.grant_waits : 0,
        .missed = copy->missed,
    };
}

bool copy_run_open(const struct options *options, struct copy_run *out_run)
{
    struct copy_run run = {.options = options};
    pin_cpu_plan(options, &run.plan);
    run.pool_bytes = options->pool_bytes == 0 ? POOL_BYTES : options->pool_bytes;
    /* Three sets: the pool, its stand-in, half as much for buffers. */
    uint64_t available = daemon_memory_available();
    while (available > 0 && run.pool_bytes > COPY_RUN_ROUND_BYTES * 4 &&
           run.pool_bytes * 3 > available) {
        run.pool_bytes /= 2;
    }
    run.buffer_bytes = run.pool_bytes / 2;
    uint64_t largest = copy_run_sizes[COPY_RUN_SIZES - 1];
    if (run.pool_bytes < COPY_RUN_ROUND_BYTES * 4) {
        fputs("cistern-bench: --pool: 256MiB at least\n", stderr);
        return false;
    }
    if (!baseline_memcpy_open(&run.buffers, run.buffer_bytes, largest, false)) {
        return false;
    }
    if (!baseline_memcpy_open(&run.stand_in, run.pool_bytes, largest, true)) {
        baseline_memcpy_close(&run.buffers);
        return false;
    }
    *out_run = run;
    return true;
}

void copy_run_close(struct copy_run *run)
{
    baseline_memcpy_close(&run->buffers);
    baseline_memcpy_close(&run->stand_in);
}

bool copy_run_size(struct copy_run *run, enum copy_direction direction, uint64_t block_bytes,
    struct copy_run_result *out_result)
{
    const struct options *options = run->options;
    baseline_memcpy_cut(&run->buffers, block_bytes);
    baseline_memcpy_cut(&run->stand_in, block_bytes);
    struct copy copy = {.direction = direction,
        .run = run,
        .seed = options->seed,
        .random = options->seed + 1,
        .block_bytes = block_bytes,
        .round_blocks = COPY_RUN_ROUND_BYTES / block_bytes};
    bool good = prepare(&copy, options, &run->plan, run->pool_bytes);
    for (uint64_t i = 0; good && i < options->runs * COPY_RUN_ROUNDS; i++) {
        good = run_round(&copy, i % 2 == 0);
    }
    if (good) {
        take_result(&copy, out_result);
    }
    cistern_close(&copy.handle);
    daemon_stop(&copy.daemon);
    stats_close(&copy.gb_per_s);
    stats_close(&copy.memcpy_gb_per_s);
    stats_close(&copy.ratio);
    stats_close(&copy.call_us);
    return good;
}
