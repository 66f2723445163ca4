/* scenario_commit: from the call of cistern_commit() until another handle can acquire the block.
 *
 * With three cores or more the writer and the reader are two processes, each on its own core; with
 * two, the sidecar needs one of them, so one process writes with one handle and polls with another.
 * The path is the same: the block becomes visible when the sidecar has published it. Floors, in the
 * same run and with the same gaps: two processes spinning on two cache lines; an eventfd wake-up.
 */
#include "bench/scenario.h"

#include "bench/client.h"
#include "bench/clock.h"
#include "bench/content.h"
#include "bench/daemon.h"
#include "bench/floor.h"
#include "bench/table.h"
#include "bench/workers.h"

#include <stdatomic.h>
#include <string.h>

#define BLOCK_BYTES 4096u
#define POOL_BYTES (UINT64_C(512) << 20)
#define POLLING_COUNT 10000u /* a run */
#define SLEEPING_COUNT 250u
#define POLLING_GAP_NS (5 * CLOCK_NS_PER_US)
#define SLEEPING_GAP_NS (2 * CLOCK_NS_PER_MS)
#define WAIT_NS (5 * CLOCK_NS_PER_S)

/* What writer and reader share when they are two processes. */
struct meeting {
    _Alignas(128) _Atomic uint64_t ready; /* by the reader: it is attached, and polls */
    _Alignas(128) _Atomic uint64_t stop; /* by the writer */
    _Alignas(128) _Atomic uint64_t seen; /* by the reader: blocks seen so far */
    int64_t seen_ns; /* by the reader, before `seen` */
};

struct commit {
    const struct options *options;
    struct pin_cpu_plan plan;
    struct daemon daemon;
    struct client_settings settings;
    cistern_t *writer;
    cistern_t *reader; /* NULL: the reader is another process */
    struct meeting *meeting;
    struct workers workers;
    uint64_t number; /* of the next block */
    struct stats polling, sleeping, wake_floor, ping_floor; /* microseconds */
};

/* Poll until the block is there. Returns the time, or 0 at the deadline. */
static int64_t poll_block(cistern_t *handle, const struct cistern_key *key, int64_t deadline)
{
    struct cistern_view view;
    size_t count;
    while (cistern_acquire(handle, key, 1, &view, &count) != CISTERN_OK) {
        if (clock_now_ns() > deadline) {
            return 0;
        }
    }
    int64_t now = clock_now_ns();
    cistern_release(handle, &view, 1);
    return now;
}

static int reader_body(int number, void *context)
{
    (void)number;
    struct commit *commit = context;
    struct meeting *meeting = commit->meeting;
    cistern_t *handle = NULL;
    if (!client_open(&commit->settings, &handle)) {
        return 1;
    }
    pin_cpu(commit->plan.second);
    atomic_store_explicit(&meeting->ready, 1, memory_order_release);
    for (uint64_t i = 0;; i++) {
        struct cistern_key key = content_key(commit->options->seed, i);
        int64_t seen = 0;
        while (seen == 0) {
            if (atomic_load_explicit(&meeting->stop, memory_order_acquire) != 0) {
                cistern_close(&handle);
                return 0;
            }
            seen = poll_block(handle, &key, clock_now_ns() + CLOCK_NS_PER_MS);
        }
        meeting->seen_ns = seen;
        atomic_store_explicit(&meeting->seen, i + 1, memory_order_release);
    }
}

/* When the reader saw block `number`; 0 at the deadline. */
static int64_t wait_seen(
    struct commit *commit, const struct cistern_key *key, uint64_t number, int64_t deadline)
{
    if (commit->reader != NULL) {
        return poll_block(commit->reader, key, deadline);
    }
    while (atomic_load_explicit(&commit->meeting->seen, memory_order_acquire) <= number) {
        if (clock_now_ns() > deadline) {
            return 0;
        }
    }
    return commit->meeting->seen_ns;
}

/* `count` commits, `gap_ns` apart. The slot is taken and filled before the gap. */
static bool run_commits(
    struct commit *commit, uint64_t count, int64_t gap_ns, struct stats *out_samples)
{
    for (uint64_t i = 0; i < count; i++) {
        struct cistern_slot slot;
        size_t taken;
        uint64_t number = commit->number++;
        struct cistern_key key = content_key(commit->options->seed, number);
        int status = cistern_reserve(commit->writer, 1, WAIT_NS, &slot, &taken);
        if (status != CISTERN_OK) {
            return client_failed("reserve", status);
        }
        memcpy(slot.data, &number, sizeof number);
        clock_spin_until(clock_now_ns() + gap_ns);
        int64_t start = clock_now_ns();
        status = cistern_commit(commit->writer, &slot, &key, NULL, sizeof number);
        if (status != CISTERN_OK) {
            return client_failed("commit", status);
        }
        int64_t seen = wait_seen(commit, &key, number, start + WAIT_NS);
        if (seen == 0) {
            fprintf(stderr, "cistern-bench: block %llu did not become visible in %d s\n",
                (unsigned long long)number, (int)(WAIT_NS / CLOCK_NS_PER_S));
            return false;
        }
        stats_add(out_samples, (double)(seen - start) / 1e3);
    }
    return true;
}

static bool prepare(struct commit *commit, struct report *report)
{
    const struct options *options = commit->options;
    pin_cpu_plan(options, &commit->plan);
    report_cores(report, &commit->plan);
    size_t runs = (size_t)options->runs;
    if (!stats_open(&commit->polling, runs * POLLING_COUNT) ||
        !stats_open(&commit->sleeping, runs * SLEEPING_COUNT) ||
        !stats_open(&commit->wake_floor, runs * SLEEPING_COUNT) ||
        !stats_open(&commit->ping_floor, runs * POLLING_COUNT)) {
        fputs("cistern-bench: out of memory\n", stderr);
        return false;
    }
    uint64_t pool = options->pool_bytes == 0 ? POOL_BYTES : options->pool_bytes;
    if (!daemon_start(options, pool, BLOCK_BYTES, commit->plan.server, &commit->daemon)) {
        return false;
    }
    commit->settings = (struct client_settings){
        .socket_path = commit->daemon.socket_path,
        .name = "bench-commit",
        .block_bytes = BLOCK_BYTES,
        .grants_ahead = 64,
    };
    if (commit->plan.second < 0) {
        return client_open(&commit->settings, &commit->writer) &&
               client_open(&commit->settings, &commit->reader);
    }
    commit->meeting = workers_share(sizeof *commit->meeting);
    if (commit->meeting == NULL || !workers_start(&commit->workers, 1, reader_body, commit)) {
        return false;
    }
    int64_t deadline = clock_now_ns() + WAIT_NS;
    while (atomic_load_explicit(&commit->meeting->ready, memory_order_acquire) == 0) {
        if (clock_now_ns() > deadline) {
            fputs("cistern-bench: the reader did not attach\n", stderr);
            return false;
        }
        clock_sleep_until(clock_now_ns() + CLOCK_NS_PER_MS);
    }
    return client_open(&commit->settings, &commit->writer);
}

static bool run_all(struct commit *commit)
{
    for (uint64_t run = 0; run < commit->options->runs; run++) {
        pin_cpu(commit->plan.client);
        if (!run_commits(commit, POLLING_COUNT, POLLING_GAP_NS, &commit->polling) ||
            !run_commits(commit, SLEEPING_COUNT, SLEEPING_GAP_NS, &commit->sleeping)) {
            return false;
        }
        if (commit->plan.count >= 2 &&
            (!floor_wake_us(&commit->plan, SLEEPING_COUNT, SLEEPING_GAP_NS, &commit->wake_floor) ||
                !floor_ping_us(&commit->plan, POLLING_COUNT, &commit->ping_floor))) {
            fputs("cistern-bench: the floors could not be measured\n", stderr);
            return false;
        }
    }
    return true;
}

static void publish(struct commit *commit, struct report *report)
{
    struct table table;
    double wake = stats_median(&commit->wake_floor);
    double ping = stats_median(&commit->ping_floor);
    const char *how = commit->reader == NULL
                          ? "writer and reader are two processes on cores of their own"
                          : "too few cores for three parties: one process writes with one handle, "
                            "polls with another";
    fprintf(report->people,
        "\ncommit: from the commit until another handle has the block\n  %s\n\n", how);
    table_start(&table, "what", "floor");
    table_measure(&table, "polling server, p50", "≤ 1 µs", "µs",
        stats_percentile(&commit->polling, 50), ping);
    table_measure(&table, "polling server, p99", "≤ 5 µs", "µs",
        stats_percentile(&commit->polling, 99), stats_percentile(&commit->ping_floor, 99));
    table_measure(&table, "polling server, p99.9", "", "µs",
        stats_percentile(&commit->polling, 99.9), stats_percentile(&commit->ping_floor, 99.9));
    table_measure(&table, "sleeping server, p50", "≤ 1.2 floor", "µs",
        stats_percentile(&commit->sleeping, 50), wake);
    table_measure(&table, "sleeping server, p99", "", "µs", stats_percentile(&commit->sleeping, 99),
        stats_percentile(&commit->wake_floor, 99));
    table_print(&table, report->people);
    fputs("\n  floors: half a round trip of two spinning processes; an eventfd wake-up after the "
          "same "
          "gap of 2 ms\n",
        report->people);
    cJSON *root = report->root;
    report_text(root, "how", how);
    report_number(root, "runs", (double)commit->options->runs);
    report_number(root, "polling_us_p50", stats_percentile(&commit->polling, 50));
    report_number(root, "polling_us_p99", stats_percentile(&commit->polling, 99));
    report_number(root, "polling_us_p999", stats_percentile(&commit->polling, 99.9));
    report_number(root, "ping_floor_us_p50", ping);
    report_number(root, "ping_floor_us_p99", stats_percentile(&commit->ping_floor, 99));
    report_number(root, "sleeping_us_p50", stats_percentile(&commit->sleeping, 50));
    report_number(root, "sleeping_us_p99", stats_percentile(&commit->sleeping, 99));
    report_number(root, "wake_floor_us_p50", wake);
    report_number(root, "wake_floor_us_p99", stats_percentile(&commit->wake_floor, 99));
    report_number(root, "two_processes", commit->reader == NULL);
}

bool scenario_commit(const struct options *options, struct report *report)
{
    struct commit commit = {.options = options};
    bool good = prepare(&commit, report) && run_all(&commit);
    if (good) {
        publish(&commit, report);
    }
    if (commit.meeting != NULL) {
        atomic_store_explicit(&commit.meeting->stop, 1, memory_order_release);
        workers_wait(&commit.workers, WAIT_NS, NULL, NULL);
        workers_unshare(commit.meeting, sizeof *commit.meeting);
    }
    cistern_close(&commit.writer);
    cistern_close(&commit.reader);
    daemon_stop(&commit.daemon);
    stats_close(&commit.polling);
    stats_close(&commit.sleeping);
    stats_close(&commit.wake_floor);
    stats_close(&commit.ping_floor);
    return good;
}
