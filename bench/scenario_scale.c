/* scenario_scale: 1 to N processes on one hot prefix, N the number of cores.
 *
 * Each process acquires and releases the same 64 blocks as fast as it can, on its own core. Hits
 * write no shared line, so N processes should do N times the work of one. Runs of one process and
 * of N take turns; the ratio is the median over runs.
 */
#include "bench/scenario.h"

#include "bench/client.h"
#include "bench/clock.h"
#include "bench/content.h"
#include "bench/daemon.h"
#include "bench/table.h"
#include "bench/workers.h"

#include <stdatomic.h>

#define BLOCK_BYTES 4096u
#define POOL_BYTES (UINT64_C(64) << 20)
#define PREFIX_BLOCKS 64u
#define RUN_NS (400 * CLOCK_NS_PER_MS)
#define TURNS_BETWEEN_LOOKS 64u
#define WAIT_NS (10 * CLOCK_NS_PER_S)

struct scale_shared {
    _Alignas(128) _Atomic uint32_t ready; /* workers that wait for the start */
    _Alignas(128) _Atomic uint32_t go;
    struct {
        _Alignas(128) uint64_t blocks;
        uint64_t missed;
        double blocks_per_s;
    } worker[WORKERS_MAX];
};

struct scale {
    const struct options *options;
    struct pin_cpu_plan plan;
    struct daemon daemon;
    struct client_settings settings;
    struct scale_shared *shared;
    int first_core; /* index in plan.cores of worker 0's core */
};

static int scale_body(int number, void *context)
{
    struct scale *scale = context;
    struct scale_shared *shared = scale->shared;
    cistern_t *handle = NULL;
    struct cistern_key keys[PREFIX_BLOCKS];
    struct cistern_view views[PREFIX_BLOCKS];
    for (uint64_t i = 0; i < PREFIX_BLOCKS; i++) {
        keys[i] = content_key(scale->options->seed, i);
    }
    if (!client_open(&scale->settings, &handle)) {
        return 1;
    }
    pin_cpu(scale->plan.cores[(scale->first_core + number) % scale->plan.count]);
    atomic_fetch_add_explicit(&shared->ready, 1, memory_order_acq_rel);
    int64_t deadline = clock_now_ns() + WAIT_NS;
    while (atomic_load_explicit(&shared->go, memory_order_acquire) == 0) {
        if (clock_now_ns() > deadline) {
            return 1;
        }
    }
    uint64_t blocks = 0;
    uint64_t missed = 0;
    int64_t start = clock_now_ns();
    int64_t now = start;
    while (now - start < RUN_NS) {
        for (unsigned turn = 0; turn < TURNS_BETWEEN_LOOKS; turn++) {
            size_t count = 0;
            if (cistern_acquire(handle, keys, PREFIX_BLOCKS, views, &count) == CISTERN_OK) {
                cistern_release(handle, views, count);
            } else {
                count = 0;
            }
            blocks += count;
            missed += PREFIX_BLOCKS - count;
        }
        now = clock_now_ns();
    }
    shared->worker[number].blocks = blocks;
    shared->worker[number].missed = missed;
    shared->worker[number].blocks_per_s = (double)blocks * 1e9 / (double)(now - start);
    cistern_close(&handle);
    return 0;
}

/* Blocks a second of `processes` together. */
static bool run_processes(struct scale *scale, int processes, double *out_blocks_per_s)
{
    struct scale_shared *shared = scale->shared;
    atomic_store_explicit(&shared->ready, 0, memory_order_relaxed);
    atomic_store_explicit(&shared->go, 0, memory_order_relaxed);
    struct workers workers;
    if (!workers_start(&workers, processes, scale_body, scale)) {
        return false;
    }
    int64_t deadline = clock_now_ns() + WAIT_NS;
    while (atomic_load_explicit(&shared->ready, memory_order_acquire) < (uint32_t)processes &&
           clock_now_ns() < deadline) {
        clock_sleep_until(clock_now_ns() + CLOCK_NS_PER_MS);
    }
    atomic_store_explicit(&shared->go, 1, memory_order_release);
    if (!workers_wait(&workers, 2 * WAIT_NS, NULL, NULL)) {
        return false;
    }
    double sum = 0;
    for (int i = 0; i < processes; i++) {
        if (shared->worker[i].missed > 0) {
            fprintf(stderr, "cistern-bench: %llu blocks of the hot prefix were missed\n",
                (unsigned long long)shared->worker[i].missed);
            return false;
        }
        sum += shared->worker[i].blocks_per_s;
    }
    *out_blocks_per_s = sum;
    return true;
}

static bool prepare(struct scale *scale, struct report *report)
{
    pin_cpu_plan(scale->options, &scale->plan);
    report_cores(report, &scale->plan);
    scale->shared = workers_share(sizeof *scale->shared);
    if (scale->shared == NULL || !daemon_start(scale->options, POOL_BYTES, BLOCK_BYTES,
                                     scale->plan.server, &scale->daemon)) {
        return false;
    }
    scale->settings = (struct client_settings){
        .socket_path = scale->daemon.socket_path,
        .name = "bench-scale",
        .block_bytes = BLOCK_BYTES,
    };
    cistern_t *handle = NULL;
    bool good = client_open(&scale->settings, &handle) &&
                client_fill(handle, scale->options->seed, 0, PREFIX_BLOCKS, BLOCK_BYTES, true);
    cistern_close(&handle);
    return good;
}

static bool run_count(
    struct scale *scale, int processes, struct stats *out_total, struct stats *out_ratio)
{
    for (uint64_t run = 0; run < scale->options->runs; run++) {
        double one;
        double all;
        /* One process takes another core each time: cores of one host may differ. */
        scale->first_core = (int)(run % (uint64_t)scale->plan.count);
        if (!run_processes(scale, 1, &one)) {
            return false;
        }
        all = one;
        if (processes > 1 && !run_processes(scale, processes, &all)) {
            return false;
        }
        stats_add(out_total, all / 1e6);
        stats_add(out_ratio, all / (one * processes));
    }
    return true;
}

/* 1, 2, 4, … and the number of cores itself. */
static int next_count(int count, int most)
{
    return count == most ? most + 1 : count * 2 < most ? count * 2 : most;
}

static bool run_all(struct scale *scale, struct report *report)
{
    struct table table;
    const char *columns[TABLE_COLUMNS] = {
        "processes", "goal, ratio", "million blocks a second", "ratio to N × one"};
    table_start_columns(&table, columns);
    cJSON *counts = report_object(report->root, "by_processes");
    int most = scale->plan.count < WORKERS_MAX ? scale->plan.count : WORKERS_MAX;
    for (int count = 1; count <= most; count = next_count(count, most)) {
        struct stats total = {0};
        struct stats ratio = {0};
        bool good = stats_open(&total, (size_t)scale->options->runs) &&
                    stats_open(&ratio, (size_t)scale->options->runs) &&
                    run_count(scale, count, &total, &ratio);
        if (good) {
            char name[16];
            snprintf(name, sizeof name, "%d", count);
            cJSON *entry = report_object(counts, name);
            report_runs(entry, "million_blocks_per_s", &total);
            report_runs(entry, "throughput_ratio", &ratio);
            table_row(&table);
            table_cell(&table, 0, "%d", count);
            table_cell(&table, 1, "%s", count > 1 ? "≥ 0.95" : "");
            table_cell(&table, 2, "%.1f", stats_median(&total));
            table_cell(&table, 3, "%.3f", stats_median(&ratio));
        }
        if (good && count == most) {
            report_number(report->root, "processes", count);
            report_number(report->root, "throughput_ratio", stats_median(&ratio));
            report_number(report->root, "million_blocks_per_s", stats_median(&total));
        }
        stats_close(&total);
        stats_close(&ratio);
        if (!good) {
            return false;
        }
    }
    fprintf(report->people,
        "\nscale: processes acquiring and releasing one hot prefix of %u blocks, each on its own "
        "core\n\n",
        PREFIX_BLOCKS);
    table_print(&table, report->people);
    return true;
}

bool scenario_scale(const struct options *options, struct report *report)
{
    struct scale scale = {.options = options};
    bool good = prepare(&scale, report) && run_all(&scale, report);
    daemon_stop(&scale.daemon);
    workers_unshare(scale.shared, sizeof *scale.shared);
    return good;
}
