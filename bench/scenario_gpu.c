/* scenario_gpu: copies between pool, engine and host beside the device's own, marks, opening; and
 * what a worker gets of a sidecar with memory of the device.
 *
 * A figure of a device comes from a device: without one, or on the tests' double, the scenario says
 * so and prints none. On the double everything is done all the same, so that a test can see that it
 * works.
 */
#include "bench/gpu_pool.h"
#include "bench/gpu_run.h"
#include "bench/scenario.h"
#include "bench/table.h"
#include "shm/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKIPPED 77 /* as a test that cannot run */
#define RUNS_MOST STATS_FEW
#define SIZES 4u

static const struct {
    uint64_t bytes;
    const char *name;
} sizes[SIZES] = {
    {64u << 10, "64 KiB"}, {256u << 10, "256 KiB"}, {1u << 20, "1 MiB"}, {4u << 20, "4 MiB"}};

static const struct row {
    const char *name; /* for people */
    const char *key;
    enum gpu_run_way way;
    uint32_t pieces;
} rows[] = {
    {"gather", "gather", GPU_RUN_GATHER, 1},
    {"scatter", "scatter", GPU_RUN_SCATTER, 1},
    {"gather of 32 layers", "gather_layers", GPU_RUN_GATHER, GPU_RUN_LAYERS},
    {"scatter to 32 layers", "scatter_layers", GPU_RUN_SCATTER, GPU_RUN_LAYERS},
    {"host to device", "down", GPU_RUN_DOWN, 1},
    {"device to host", "up", GPU_RUN_UP, 1},
};

#define ROWS (sizeof rows / sizeof rows[0])

/* One row of one size, rounds in turn with the driver's own copy. */
static bool measure_row(struct gpu_run *run, const struct row *row, uint32_t size, uint64_t runs,
    struct table *table, cJSON *object)
{
    double ours[RUNS_MOST];
    double plain[RUNS_MOST];
    double ratio[RUNS_MOST];
    char text[64];
    (void)gpu_run_blocks(run, row->way, sizes[size].bytes, row->pieces); /* warm up */
    for (uint64_t i = 0; i < runs; i++) {
        plain[i] = gpu_run_plain(run, row->way);
        ours[i] = gpu_run_blocks(run, row->way, sizes[size].bytes, row->pieces);
        if (plain[i] <= 0 || ours[i] <= 0) {
            fprintf(stderr, "cistern-bench: %s of %s: %s\n", row->name, sizes[size].name, run->why);
            return false;
        }
        ratio[i] = ours[i] / plain[i];
    }
    (void)snprintf(text, sizeof text, "%s, %s", row->name, sizes[size].name);
    table_measure(table, text, "0.95 x", "GB/s", stats_median_of(ours, runs) / 1e9,
        stats_median_of(plain, runs) / 1e9);
    (void)snprintf(text, sizeof text, "%s_gbps", row->key);
    report_number(object, text, stats_median_of(ours, runs) / 1e9);
    (void)snprintf(text, sizeof text, "%s_ratio", row->key);
    report_number(object, text, stats_median_of(ratio, runs));
    return true;
}

static bool measure_copies(
    const struct options *options, struct gpu_run *run, struct table *table, struct report *report)
{
    for (uint32_t size = 0; size < SIZES; size++) {
        cJSON *object = report_object(report->root, sizes[size].name);
        for (size_t i = 0; i < ROWS; i++) {
            if (!measure_row(run, &rows[i], size, options->runs, table, object)) {
                return false;
            }
        }
    }
    return true;
}

static bool measure_rest(
    const struct options *options, struct gpu_run *run, struct table *table, struct report *report)
{
    struct stats marks;
    struct stats waits;
    double open_ms[RUNS_MOST];
    double least_ms[RUNS_MOST];
    bool good = stats_open(&marks, GPU_RUN_MARKS) && stats_open(&waits, GPU_RUN_MARKS) &&
                gpu_run_marks(run, &marks, &waits);
    for (uint64_t i = 0; i < options->runs && good; i++) {
        least_ms[i] = gpu_run_open_ms(run, &run->engine);
        open_ms[i] = gpu_run_open_ms(run, &run->pool);
        good = open_ms[i] >= 0 && least_ms[i] >= 0;
    }
    if (good) {
        table_measure(table, "a mark is seen, p50", "", "us", stats_percentile(&marks, 50),
            stats_percentile(&waits, 50));
        table_measure(table, "a mark is seen, p99", "", "us", stats_percentile(&marks, 99),
            stats_percentile(&waits, 99));
        table_measure(table, "another process opens the pool", "50 ms", "ms",
            stats_median_of(open_ms, options->runs), stats_median_of(least_ms, options->runs));
        report_number(report->root, "mark_us_p50", stats_percentile(&marks, 50));
        report_number(report->root, "mark_us_p99", stats_percentile(&marks, 99));
        report_number(report->root, "wait_us_p50", stats_percentile(&waits, 50));
        report_number(report->root, "open_ms", stats_median_of(open_ms, options->runs));
        report_number(report->root, "open_one_piece_ms", stats_median_of(least_ms, options->runs));
    } else {
        fprintf(stderr, "cistern-bench: %s\n", run->why);
    }
    stats_close(&marks);
    stats_close(&waits);
    return good;
}

/* Both sides of a measurement, and what is said of them. */
static void report_both(struct table *table, struct report *report, const char *what,
    const char *goal, const char *unit, const char *key, const char *floor_key,
    const struct stats *measured, const struct stats *floor)
{
    struct stats ours = *measured;
    struct stats least = *floor;
    char text[64];
    const double percent[] = {50, 99};
    for (size_t i = 0; i < sizeof percent / sizeof percent[0]; i++) {
        (void)snprintf(text, sizeof text, "%s, p%.0f", what, percent[i]);
        table_measure(table, text, i == 0 ? goal : "", unit, stats_percentile(&ours, percent[i]),
            stats_percentile(&least, percent[i]));
        (void)snprintf(text, sizeof text, "%s_p%.0f", key, percent[i]);
        report_number(report->root, text, stats_percentile(&ours, percent[i]));
        (void)snprintf(text, sizeof text, "%s_p%.0f", floor_key, percent[i]);
        report_number(report->root, text, stats_percentile(&least, percent[i]));
    }
}

static bool measure_handles(
    const struct gpu_pool *pool, uint64_t runs, struct table *table, struct report *report)
{
    double with[RUNS_MOST];
    double without[RUNS_MOST];
    for (uint64_t i = 0; i < runs; i++) {
        without[i] = gpu_pool_open_ms(pool, false);
        with[i] = gpu_pool_open_ms(pool, true);
        if (without[i] < 0 || with[i] < 0) {
            return false;
        }
    }
    table_measure(table, "a handle with a device is open", "50 ms", "ms",
        stats_median_of(with, runs), stats_median_of(without, runs));
    report_number(report->root, "handle_open_ms", stats_median_of(with, runs));
    report_number(report->root, "handle_open_host_ms", stats_median_of(without, runs));
    return true;
}

static bool measure_pool(
    const struct options *options, struct gpu_run *run, struct table *table, struct report *report)
{
    struct gpu_pool pool;
    struct gpu_pool_hits hits = {0};
    struct gpu_pool_commits commits = {0};
    size_t hit_room = options->runs * GPU_POOL_HITS;
    size_t commit_room = options->runs * GPU_POOL_COMMITS;
    bool good = gpu_pool_open(options, run, &pool) && stats_open(&hits.device, hit_room) &&
                stats_open(&hits.host, hit_room) && stats_open(&commits.seen, commit_room) &&
                stats_open(&commits.floor, commit_room);
    for (uint64_t i = 0; i < options->runs && good; i++) {
        good = gpu_pool_hits(&pool, &hits) && gpu_pool_commits(&pool, &commits);
    }
    if (good && measure_handles(&pool, options->runs, table, report)) {
        report_both(table, report, "a hit, to a device pointer", "≤ 50 ns", "ns", "hit_device_ns",
            "hit_host_ns", &hits.device, &hits.host);
        report_both(table, report, "a commit is seen after the stream", "", "us", "commit_us",
            "commit_floor_us", &commits.seen, &commits.floor);
    } else {
        good = false;
    }
    stats_close(&hits.device);
    stats_close(&hits.host);
    stats_close(&commits.seen);
    stats_close(&commits.floor);
    gpu_pool_close(&pool);
    return good;
}

static void say(const struct gpu_run *run, const struct table *table, struct report *report)
{
    char uuid[GPU_UUID_TEXT];
    gpu_uuid_text(&run->gpu.uuid, uuid);
    fprintf(report->people, "%s, %s, driver %d.%d; marks by %s, host memory %s\n\n", run->gpu.name,
        uuid, run->driver.version / 1000, run->driver.version % 1000 / 10,
        mark_way_name(run->marks.way), run->lock.locked ? "page-locked" : "not page-locked");
    table_print(table, report->people);
    fputs("  gather, scatter: blocks anywhere in the pool, from and to one engine's tensors;\n"
          "  floor: the driver's own copy of all in one piece; of a mark: waiting for the stream;\n"
          "  of an opened pool: as much memory in one piece; of a handle: one without a device; of "
          "a hit: a block of\n"
          "  host memory, by the same handle; of a commit: until a word that the stream's callback "
          "writes is seen\n",
        report->people);
    report_text(report->root, "device", run->gpu.name);
    report_number(report->root, "driver", run->driver.version);
    report_text(report->root, "marks", mark_way_name(run->marks.way));
}

bool scenario_gpu(const struct options *options, struct report *report)
{
    struct gpu_run run;
    struct table table;
    if (options->runs > RUNS_MOST) {
        fputs("cistern-bench: at most 64 runs\n", stderr);
        return false;
    }
    int status = gpu_run_open(&run, options->device == NULL ? "auto" : options->device);
    if (status == STATUS_UNSUPPORTED || status == STATUS_BUSY) {
        fprintf(stderr, "cistern-bench: no GPU, so no figure: %s\n", run.why);
        exit(SKIPPED);
    }
    if (status != STATUS_OK) {
        fprintf(stderr, "cistern-bench: %s\n", run.why);
        return false;
    }
    table_start(&table, "", "floor");
    bool good = measure_copies(options, &run, &table, report) &&
                measure_rest(options, &run, &table, report) &&
                measure_pool(options, &run, &table, report);
    bool is_double = run.is_double;
    if (good && !is_double) {
        say(&run, &table, report);
    }
    gpu_run_close(&run);
    if (good && is_double) {
        fputs("cistern-bench: this driver is the tests' double; all was done, no figure means "
              "anything\n",
            stderr);
        exit(SKIPPED);
    }
    return good;
}
