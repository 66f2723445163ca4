/* scenario_nvme: spill to and fetch from a local disk through tier_nvme, beside two floors on the
 * same file system: same file size, block size, depth and flags, rounds in turn.
 *
 *   spill    store                                     fio    writes, or reads the tier's own file,
 *   fetch    load, as many at a time as fio                   from and into `depth` blocks
 *   prefix   load, twice as many, as a cold tail       plain  the same from and into all of a pool
 *            is asked for; the device's depth is
 *            the same
 *
 * Neither floor looks at what it moves; the tier hashes each block before it writes and after it
 * reads it, which is part of its CPU seconds.
 */
#include "bench/clock.h"
#include "bench/fio.h"
#include "bench/floor_disk.h"
#include "bench/nvme_run.h"
#include "bench/scenario.h"
#include "bench/spill_hits.h"
#include "bench/stats.h"
#include "bench/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES (UINT64_C(2) << 30)
#define RUNS_MOST STATS_FEW
#define SIZES 3u
#define SKIPPED 77 /* as a test that cannot run */

static const struct {
    uint64_t block_bytes;
    uint32_t depth;
    const char *name;
} sizes[SIZES] = {{64u << 10, 32, "64 KiB"}, {256u << 10, 16, "256 KiB"}, {2u << 20, 8, "2 MiB"}};

enum side { SPILL, FETCH, PREFIX, SIDES };
static const char *const names[SIDES] = {"spill", "fetch", "prefix"};

enum who { OURS, FIO, PLAIN, WHO };

/* What one side of one size gave, round by round. */
struct figures {
    double gbps[WHO][RUNS_MOST];
    double cpu[WHO][RUNS_MOST]; /* seconds a GB */
    double p99_us[WHO][RUNS_MOST];
};

/* Of the ratios round by round: neighbours in time share what the machine did. */
static double median_ratio(double samples[WHO][RUNS_MOST], enum who floor, uint64_t runs)
{
    double ratio[RUNS_MOST];
    for (uint64_t i = 0; i < runs; i++) {
        ratio[i] = samples[floor][i] > 0 ? samples[OURS][i] / samples[floor][i] : 0;
    }
    return stats_median_of(ratio, runs);
}

static bool run_one(struct nvme_run *run, const struct fio_job *job, enum side side, enum who who,
    struct fio_result *out_result)
{
    if (who == FIO) {
        return fio_run(job, out_result);
    }
    if (who == PLAIN) {
        return floor_disk_run(job, run->pool, run->pool_bytes, &run->random, out_result);
    }
    if (side == SPILL) {
        return nvme_run_spill(run, job->run_bytes, out_result);
    }
    return side == FETCH ? nvme_run_fetch(run, job->run_bytes, out_result)
                         : nvme_run_prefix(run, job->run_bytes, out_result);
}

/* One round: who goes first changes. */
static bool run_round(struct nvme_run *run, const struct fio_job *job, uint64_t round,
    enum side side, struct figures *figures)
{
    for (uint32_t turn = 0; turn < WHO; turn++) {
        enum who who = (enum who)((turn + round) % WHO);
        struct fio_result result;
        if (!run_one(run, job, side, who, &result)) {
            return false;
        }
        figures->gbps[who][round] = result.bytes_per_s / 1e9;
        figures->cpu[who][round] = result.cpu_s_per_gb;
        figures->p99_us[who][round] = result.p99_us;
    }
    return true;
}

static bool find_bytes(const char *path, uint64_t *out_bytes)
{
    struct stat entry;
    if (stat(path, &entry) != 0) {
        perror(path);
        return false;
    }
    *out_bytes = (uint64_t)entry.st_size;
    return true;
}

static bool run_size(const struct options *options, const char *folder, uint32_t size,
    struct figures *figures, char *out_how, size_t how_bytes)
{
    char path[160];
    char ours[160];
    (void)snprintf(path, sizeof path, "%.140s/fio", folder);
    (void)snprintf(ours, sizeof ours, "%.140s/%s", folder, TIER_NVME_FILE);
    uint64_t file_bytes = options->file_bytes == 0 ? FILE_BYTES : options->file_bytes;
    struct fio_job job = {.file = path,
        .file_bytes = file_bytes,
        .block_bytes = sizes[size].block_bytes,
        .run_bytes = file_bytes / 2,
        .depth = sizes[size].depth};
    struct nvme_run run = {.tier = NULL};
    bool good = fio_prepare(&job) &&
                nvme_run_open(&run, folder, file_bytes, job.block_bytes, job.depth, options->seed);
    (void)snprintf(out_how, how_bytes, "%s", run.why);
    /* All writes before all reads: a block that was loaded is kept when its region goes, which
     * would add reads and writes to the rounds of writing. */
    job.write = true;
    for (uint64_t round = 0; round < options->runs && good; round++) {
        good = run_round(&run, &job, round, SPILL, &figures[SPILL]);
    }
    /* Reads are of the same file: what the host caches differs from file to file. */
    job.write = false;
    job.file = ours;
    good = good && find_bytes(ours, &job.file_bytes);
    for (uint64_t round = 0; round < options->runs && good; round++) {
        good = run_round(&run, &job, round, FETCH, &figures[FETCH]) &&
               run_round(&run, &job, round, PREFIX, &figures[PREFIX]);
    }
    nvme_run_close(&run);
    (void)unlink(path);
    (void)unlink(ours);
    return good;
}

static void add_number(cJSON *object, const char *before, const char *side, const char *what,
    double samples[RUNS_MOST], uint64_t runs)
{
    char key[48];
    (void)snprintf(key, sizeof key, "%s%s_%s", before, side, what);
    report_number(object, key, stats_median_of(samples, runs));
}

static void add_numbers(cJSON *object, const char *side, struct figures *figures, uint64_t runs)
{
    static const char *const before[WHO] = {"", "fio_", "plain_"};
    char key[48];
    for (uint32_t who = 0; who < WHO; who++) {
        add_number(object, before[who], side, "gbps", figures->gbps[who], runs);
        add_number(object, before[who], side, "cpu_s_per_gb", figures->cpu[who], runs);
        add_number(object, before[who], side, "p99_us", figures->p99_us[who], runs);
    }
    (void)snprintf(key, sizeof key, "%s_ratio", side);
    report_number(object, key, median_ratio(figures->gbps, FIO, runs));
    (void)snprintf(key, sizeof key, "%s_ratio_plain", side);
    report_number(object, key, median_ratio(figures->gbps, PLAIN, runs));
}

static void add_row(struct table *table, const char *what, const char *goal, const char *unit,
    double samples[WHO][RUNS_MOST], uint64_t runs)
{
    table_row(table);
    table_cell(table, 0, "%s", what);
    table_cell(table, 1, "%s", goal);
    for (uint32_t who = 0; who < WHO; who++) {
        double value = stats_median_of(samples[who], runs);
        int digits = value < 10 ? 2 : 0;
        if (who == OURS) {
            table_cell(table, 2, "%.*f %s", digits, value, unit);
        } else {
            table_cell(table, 2 + (int)who, "%.*f (%.2f)", digits, value,
                median_ratio(samples, (enum who)who, runs));
        }
    }
}

static void print_figures(struct figures *figures, uint64_t runs, FILE *to)
{
    struct table table;
    table_start_columns(
        &table, (const char *const[]){"", "goal", "measured", "fio (ratio)", "plain (ratio)"});
    for (uint32_t i = 0; i < SIZES; i++) {
        for (uint32_t side = 0; side < SIDES; side++) {
            struct figures *these = &figures[i * SIDES + side];
            char what[64];
            (void)snprintf(what, sizeof what, "%s, %s", names[side], sizes[i].name);
            add_row(&table, what, "0.95 x", "GB/s", these->gbps, runs);
            (void)snprintf(what, sizeof what, "%s, %s: CPU a GB", names[side], sizes[i].name);
            add_row(&table, what, "", "s", these->cpu, runs);
            if (side == FETCH) {
                (void)snprintf(what, sizeof what, "fetch, %s: p99", sizes[i].name);
                add_row(&table, what, "1.5 x", "us", these->p99_us, runs);
            }
        }
    }
    table_print(&table, to);
    fputs("  prefix: fetches, twice as many at a time; the device's depth is the same\n"
          "  plain:  a loop that does nothing else, from and into as much memory as the pool has\n",
        to);
}

/* The ratio of the size that is worst: the least GB/s, the most p99. */
static double worst_rate(struct figures *figures, enum side side, enum who floor, uint64_t runs)
{
    double worst = 1e9;
    for (uint32_t i = 0; i < SIZES; i++) {
        double ratio = median_ratio(figures[i * SIDES + side].gbps, floor, runs);
        worst = ratio < worst ? ratio : worst;
    }
    return worst;
}

static double worst_p99(struct figures *figures, enum side side, enum who floor, uint64_t runs)
{
    double worst = 0;
    for (uint32_t i = 0; i < SIZES; i++) {
        double ratio = median_ratio(figures[i * SIDES + side].p99_us, floor, runs);
        worst = ratio > worst ? ratio : worst;
    }
    return worst;
}

static bool measure(const struct options *options, const char *folder, struct report *report)
{
    struct figures *figures = calloc(SIZES * SIDES, sizeof *figures);
    uint64_t runs = options->runs;
    char how[1024];
    bool good = figures != NULL;
    for (uint32_t i = 0; i < SIZES && good; i++) {
        good = run_size(options, folder, i, &figures[i * SIDES], how, sizeof how);
    }
    for (uint32_t i = 0; i < SIZES && good; i++) {
        cJSON *object = report_object(report->root, sizes[i].name);
        report_number(object, "depth", sizes[i].depth);
        for (uint32_t side = 0; side < SIDES; side++) {
            add_numbers(object, names[side], &figures[i * SIDES + side], runs);
        }
    }
    if (good) {
        print_figures(figures, runs, report->people);
        fprintf(report->people, "%s\n\n", how);
        report_text(report->root, "how", how);
        report_number(report->root, "ratio_write", worst_rate(figures, SPILL, FIO, runs));
        report_number(report->root, "ratio_read", worst_rate(figures, FETCH, FIO, runs));
        report_number(report->root, "ratio_write_plain", worst_rate(figures, SPILL, PLAIN, runs));
        report_number(report->root, "ratio_read_plain", worst_rate(figures, PREFIX, PLAIN, runs));
        report_number(report->root, "p99_fetch_ratio", worst_p99(figures, FETCH, FIO, runs));
    }
    free(figures);
    return good;
}

/* What hits on hot blocks feel meanwhile, with a whole sidecar on the same disk. */
static bool measure_hits(const struct options *options, const char *folder, struct report *report)
{
    struct spill_hits hits;
    bool good = spill_hits_measure(options, folder, &hits);
    if (good) {
        double idle = stats_median(&hits.idle_p99_ns);
        double spilling = stats_median(&hits.spill_p99_ns);
        struct table table;
        table_start(&table, "", "no spill");
        table_measure(&table, "hit while others spill, p50", "", "ns",
            stats_median(&hits.spill_p50_ns), stats_median(&hits.idle_p50_ns));
        table_measure(&table, "hit while others spill, p99", "1.2 x", "ns", spilling, idle);
        table_print(&table, report->people);
        fprintf(report->people,
            "  %.2f GB/s went to the disk meanwhile; %llu of the timed hits missed\n",
            stats_median(&hits.gb_per_s), (unsigned long long)hits.missed);
        report_number(report->root, "hit_idle_p99_ns", idle);
        report_number(report->root, "hit_spilling_p99_ns", spilling);
        report_number(report->root, "hit_spilling_ratio", stats_median(&hits.ratio));
        report_number(report->root, "hit_spilling_gb_per_s", stats_median(&hits.gb_per_s));
        report_number(report->root, "hits_missed", (double)hits.missed);
    }
    spill_hits_close(&hits);
    return good;
}

bool scenario_nvme(const struct options *options, struct report *report)
{
    char folder[140];
    int length = snprintf(folder, sizeof folder, "%s/cistern-bench-XXXXXX",
        options->dir_path == NULL ? "." : options->dir_path);
    if (options->runs > RUNS_MOST || length < 0 || (size_t)length >= sizeof folder) {
        fputs("cistern-bench: at most 64 runs, and a shorter folder name\n", stderr);
        return false;
    }
    if (!fio_found()) {
        fputs("cistern-bench: no fio to compare with; remedy: apt-get install fio\n", stderr);
        exit(SKIPPED);
    }
    if (mkdtemp(folder) == NULL) {
        perror(folder);
        return false;
    }
    bool good = measure(options, folder, report) && measure_hits(options, folder, report);
    if (rmdir(folder) != 0) {
        perror(folder);
    }
    return good;
}
