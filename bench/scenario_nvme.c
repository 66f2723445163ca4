/* scenario_nvme: spill to and fetch from a local disk through tier_nvme, beside fio on the same
 * file system: same file size, block size, depth and flags, rounds in turn. It reads the tier's own
 * file, and writes one beside it.
 *
 * fio computes nothing; the tier hashes each block before it writes and after it reads it, which is
 * part of its CPU seconds.
 */
#include "bench/clock.h"
#include "bench/fio.h"
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
#define RUNS_MOST 64u
#define SIZES 3u
#define SIDES 2u /* write, read */
#define SKIPPED 77 /* as a test that cannot run */

static const struct {
    uint64_t block_bytes;
    uint32_t depth;
    const char *name;
} sizes[SIZES] = {{64u << 10, 32, "64 KiB"}, {256u << 10, 16, "256 KiB"}, {2u << 20, 8, "2 MiB"}};

/* What one size gave, round by round. */
struct column {
    double ours[RUNS_MOST];
    double fio[RUNS_MOST];
    double ratio[RUNS_MOST];
};

struct side {
    struct column gbps;
    struct column cpu;
    struct column p99;
};

static double median(double *samples, uint64_t count)
{
    struct stats stats;
    stats_borrow(&stats, samples, count);
    return stats_median(&stats);
}

static void note(struct column *column, uint64_t round, double ours, double fio)
{
    column->ours[round] = ours;
    column->fio[round] = fio;
    column->ratio[round] = fio > 0 ? ours / fio : 0;
}

/* One round of one direction: ours and fio, who goes first changes. */
static bool run_round(
    struct nvme_run *run, const struct fio_job *job, uint64_t round, struct side *side)
{
    struct fio_result ours;
    struct fio_result fio;
    bool good = true;
    for (uint32_t turn = 0; turn < 2 && good; turn++) {
        if ((turn ^ (round & 1)) != 0) {
            good = fio_run(job, &fio);
        } else if (job->write) {
            good = nvme_run_spill(run, job->run_bytes, &ours);
        } else {
            good = nvme_run_fetch(run, job->run_bytes, &ours);
        }
    }
    if (good) {
        note(&side->gbps, round, ours.bytes_per_s / 1e9, fio.bytes_per_s / 1e9);
        note(&side->cpu, round, ours.cpu_s_per_gb, fio.cpu_s_per_gb);
        note(&side->p99, round, ours.p99_us, fio.p99_us);
    }
    return good;
}

static bool find_bytes(const char *path, uint64_t *out_bytes)
{
    struct stat about;
    if (stat(path, &about) != 0) {
        perror(path);
        return false;
    }
    *out_bytes = (uint64_t)about.st_size;
    return true;
}

static bool run_size(const struct options *options, const char *folder, uint32_t size,
    struct side *sides, char *out_how, size_t how_bytes)
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
    for (uint32_t i = 0; i < SIDES; i++) {
        job.write = i == 0;
        if (!job.write) { /* of the same file: what the host caches differs from file to file */
            job.file = ours;
            good = good && find_bytes(ours, &job.file_bytes);
        }
        for (uint64_t round = 0; round < options->runs && good; round++) {
            good = run_round(&run, &job, round, &sides[i]);
        }
    }
    nvme_run_close(&run);
    (void)unlink(path);
    (void)unlink(ours);
    return good;
}

static void add_side(cJSON *object, struct table *table, const char *size, struct side *side,
    bool write, uint64_t runs)
{
    const char *verb = write ? "spill" : "fetch";
    char key[32];
    char what[64];
    double gbps = median(side->gbps.ours, runs);
    double fio_gbps = median(side->gbps.fio, runs);
    (void)snprintf(key, sizeof key, "%s_gbps", verb);
    report_number(object, key, gbps);
    (void)snprintf(key, sizeof key, "fio_%s_gbps", verb);
    report_number(object, key, fio_gbps);
    (void)snprintf(key, sizeof key, "%s_ratio", verb);
    report_number(object, key, median(side->gbps.ratio, runs));
    (void)snprintf(key, sizeof key, "%s_cpu_s_per_gb", verb);
    report_number(object, key, median(side->cpu.ours, runs));
    (void)snprintf(key, sizeof key, "fio_%s_cpu_s_per_gb", verb);
    report_number(object, key, median(side->cpu.fio, runs));
    (void)snprintf(key, sizeof key, "%s_p99_us", verb);
    report_number(object, key, median(side->p99.ours, runs));
    (void)snprintf(key, sizeof key, "fio_%s_p99_us", verb);
    report_number(object, key, median(side->p99.fio, runs));
    (void)snprintf(what, sizeof what, "%s, %s", verb, size);
    table_measure(table, what, "0.95 x", "GB/s", gbps, fio_gbps);
    (void)snprintf(what, sizeof what, "%s, %s: CPU a GB", verb, size);
    table_measure(table, what, "", "s", median(side->cpu.ours, runs), median(side->cpu.fio, runs));
    if (!write) {
        (void)snprintf(what, sizeof what, "fetch, %s: p99", size);
        table_measure(
            table, what, "1.5 x", "us", median(side->p99.ours, runs), median(side->p99.fio, runs));
    }
}

static bool measure(const struct options *options, const char *folder, struct report *report)
{
    struct table table;
    struct side *sides = calloc(SIZES * SIDES, sizeof *sides);
    double worst[SIDES] = {1e9, 1e9};
    double worst_p99 = 0;
    bool good = sides != NULL;
    char how[1024];
    table_start(&table, "", "fio");
    for (uint32_t i = 0; i < SIZES && good; i++) {
        struct side *pair = &sides[i * SIDES];
        good = run_size(options, folder, i, pair, how, sizeof how);
        if (!good) {
            break;
        }
        cJSON *object = report_object(report->root, sizes[i].name);
        report_number(object, "depth", sizes[i].depth);
        for (uint32_t side = 0; side < SIDES; side++) {
            add_side(object, &table, sizes[i].name, &pair[side], side == 0, options->runs);
            double ratio = median(pair[side].gbps.ratio, options->runs);
            worst[side] = ratio < worst[side] ? ratio : worst[side];
        }
        double p99 = median(pair[1].p99.ratio, options->runs);
        worst_p99 = p99 > worst_p99 ? p99 : worst_p99;
    }
    free(sides);
    if (good) {
        table_print(&table, report->people);
        fprintf(report->people, "%s\n", how);
        report_text(report->root, "how", how);
        report_number(report->root, "ratio_write", worst[0]);
        report_number(report->root, "ratio_read", worst[1]);
        report_number(report->root, "p99_fetch_ratio", worst_p99);
    }
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
