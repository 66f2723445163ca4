/* spill_hits: see spill_hits.h. */
#include "bench/spill_hits.h"

#include "bench/client.h"
#include "bench/clock.h"
#include "bench/content.h"
#include "bench/daemon.h"
#include "bench/hit_loop.h"
#include "bench/pin_cpu.h"
#include "bench/workers.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES (UINT64_C(256) << 10)
#define POOL_BYTES (UINT64_C(256) << 20)
#define COLD_BYTES (UINT64_C(2) << 30)
#define HOT_KEYS 64u
#define LOOPS 200000u /* over the hot keys, a measurement: some 300 ms */
#define SETTLE_NS (CLOCK_NS_PER_S / 2) /* until copies are under way, or have ended */
#define WAIT_NS (10 * CLOCK_NS_PER_S)
#define FLOOD_S 300 /* the flood ends by itself after this */

/* Between the reader and the flood. */
struct shared {
    _Atomic uint32_t flowing; /* commit now */
    _Atomic uint32_t stop;
};

struct scene {
    const struct options *options;
    struct pin_cpu_plan plan;
    struct daemon daemon;
    struct workers flood;
    struct shared *shared;
    cistern_t *reader;
    struct cistern_key *hot;
    struct stats samples; /* of one measurement */
};

static int commit_one(cistern_t *handle, uint64_t seed, uint64_t number)
{
    struct cistern_slot slot;
    size_t count = 0;
    int status = cistern_reserve(handle, 1, CLOCK_NS_PER_MS, &slot, &count);
    if (status != CISTERN_OK) {
        return status;
    }
    struct cistern_key key = content_key(seed, number);
    memcpy(slot.data, &number, sizeof number); /* what it holds does not matter here */
    return cistern_commit(handle, &slot, &key, NULL, BLOCK_BYTES);
}

static int flood(int number, void *context)
{
    (void)number;
    struct scene *scene = context;
    struct client_settings settings = {.socket_path = scene->daemon.socket_path,
        .name = "bench-spill",
        .block_bytes = BLOCK_BYTES};
    cistern_t *handle = NULL;
    if (!client_open(&settings, &handle)) {
        return 1;
    }
    pin_cpu(scene->plan.server);
    int64_t end = clock_now_ns() + FLOOD_S * CLOCK_NS_PER_S;
    for (uint64_t block = 0; clock_now_ns() < end && atomic_load(&scene->shared->stop) == 0;) {
        if (atomic_load(&scene->shared->flowing) == 0) {
            clock_sleep_until(clock_now_ns() + CLOCK_NS_PER_MS);
            continue;
        }
        int status = commit_one(handle, scene->options->seed + 1, block);
        if (status == CISTERN_OK) {
            block++;
        } else if (status != CISTERN_BUSY && status != CISTERN_LIMIT) {
            client_failed("commit", status);
            break;
        }
    }
    cistern_close(&handle);
    return 0;
}

/* What the sidecar has had written to disks; 0 if /proc does not say. */
static uint64_t written_bytes(pid_t pid)
{
    char path[64];
    char line[128];
    uint64_t bytes = 0;
    snprintf(path, sizeof path, "/proc/%d/io", (int)pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "write_bytes: %" SCNu64, &bytes);
    }
    if (file != NULL) {
        fclose(file);
    }
    return bytes;
}

static void measure(struct scene *scene, struct stats *p50, struct stats *p99, uint64_t *missed)
{
    scene->samples.count = 0;
    for (uint32_t i = 0; i < LOOPS; i++) {
        *missed += hit_loop_single(scene->reader, scene->hot, HOT_KEYS, true, &scene->samples);
    }
    stats_add(p50, stats_median(&scene->samples));
    stats_add(p99, stats_percentile(&scene->samples, 99));
}

static void set_flood(struct scene *scene, bool flowing)
{
    atomic_store(&scene->shared->flowing, flowing ? 1 : 0);
    int64_t end = clock_now_ns() + SETTLE_NS;
    uint64_t missed = 0;
    struct stats unused = {0};
    while (clock_now_ns() < end) { /* used meanwhile, so that they stay */
        missed += hit_loop_single(scene->reader, scene->hot, HOT_KEYS, true, &unused);
        clock_sleep_until(clock_now_ns() + CLOCK_NS_PER_MS);
    }
    (void)missed;
}

static void run_round(struct scene *scene, struct spill_hits *hits)
{
    set_flood(scene, false);
    measure(scene, &hits->idle_p50_ns, &hits->idle_p99_ns, &hits->missed);
    set_flood(scene, true);
    int64_t start = clock_now_ns();
    uint64_t before = written_bytes(scene->daemon.process.pid);
    measure(scene, &hits->spill_p50_ns, &hits->spill_p99_ns, &hits->missed);
    double seconds = (double)(clock_now_ns() - start) / 1e9;
    uint64_t written = written_bytes(scene->daemon.process.pid) - before;
    stats_add(&hits->gb_per_s, (double)written / 1e9 / seconds);
    size_t last = hits->ratio.count;
    stats_add(&hits->ratio, hits->spill_p99_ns.samples[last] / hits->idle_p99_ns.samples[last]);
}

static bool prepare(struct scene *scene, const char *folder)
{
    const struct options *options = scene->options;
    pin_cpu_plan(options, &scene->plan);
    scene->shared = workers_share(sizeof *scene->shared);
    scene->hot = hit_loop_draw(options->seed, options->seed, HOT_KEYS, HOT_KEYS);
    if (scene->shared == NULL || scene->hot == NULL ||
        !stats_open(&scene->samples, LOOPS * (HOT_KEYS / HIT_LOOP_GROUP))) {
        fputs("cistern-bench: out of memory\n", stderr);
        return false;
    }
    if (!daemon_start_cold(options, POOL_BYTES, BLOCK_BYTES, scene->plan.server, folder, COLD_BYTES,
            &scene->daemon)) {
        return false;
    }
    struct client_settings settings = {.socket_path = scene->daemon.socket_path,
        .name = "bench-spill",
        .block_bytes = BLOCK_BYTES};
    return workers_start(&scene->flood, 1, flood, scene) &&
           client_open(&settings, &scene->reader) &&
           client_fill(scene->reader, options->seed, 0, HOT_KEYS, BLOCK_BYTES, false);
}

bool spill_hits_measure(
    const struct options *options, const char *folder, struct spill_hits *out_hits)
{
    struct scene scene = {.options = options};
    size_t runs = (size_t)options->runs;
    *out_hits = (struct spill_hits){0};
    bool good =
        stats_open(&out_hits->idle_p50_ns, runs) && stats_open(&out_hits->idle_p99_ns, runs) &&
        stats_open(&out_hits->spill_p50_ns, runs) && stats_open(&out_hits->spill_p99_ns, runs) &&
        stats_open(&out_hits->ratio, runs) && stats_open(&out_hits->gb_per_s, runs);
    good = good && prepare(&scene, folder);
    if (good) {
        pin_cpu(scene.plan.client);
        for (size_t run = 0; run < runs; run++) {
            run_round(&scene, out_hits);
        }
        pin_cpu_free(&scene.plan);
        atomic_store(&scene.shared->stop, 1);
        good = workers_wait(&scene.flood, WAIT_NS, NULL, NULL);
    }
    cistern_close(&scene.reader);
    daemon_stop(&scene.daemon);
    daemon_clean_cold(folder);
    free(scene.hot);
    stats_close(&scene.samples);
    if (scene.shared != NULL) {
        workers_unshare(scene.shared, sizeof *scene.shared);
    }
    return good;
}

void spill_hits_close(struct spill_hits *hits)
{
    stats_close(&hits->idle_p50_ns);
    stats_close(&hits->idle_p99_ns);
    stats_close(&hits->spill_p50_ns);
    stats_close(&hits->spill_p99_ns);
    stats_close(&hits->ratio);
    stats_close(&hits->gb_per_s);
}
