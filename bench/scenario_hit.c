/* scenario_hit: find, pin and release; one block and batches of 64; random and hot.
 *
 * The index holds 1 M blocks of 4 KiB unless memory is short. Floors: dependent and independent
 * loads from tables of the index's size. Baselines: a hash table in this process, Redis on a unix
 * socket.
 */
#include "bench/scenario.h"

#include "bench/baseline_redis.h"
#include "bench/baseline_table.h"
#include "bench/chain.h"
#include "bench/client.h"
#include "bench/clock.h"
#include "bench/content.h"
#include "bench/daemon.h"
#include "bench/floor.h"
#include "bench/hit_count.h"
#include "bench/hit_loop.h"
#include "bench/malloc_count.h"
#include "bench/progress.h"
#include "bench/syscall_count.h"
#include "bench/table.h"

#include <stdlib.h>

#define BLOCK_BYTES 4096u
#define ENTRIES_DEFAULT 1000000u
#define HOT_KEYS 4096u
#define RANDOM_HITS (UINT32_C(1) << 18) /* a run */
#define HOT_HITS (UINT32_C(1) << 19)
#define REDIS_KEYS 4096u
#define REDIS_GETS 20000u
#define FILL_STEP 10000u

/* Everything of one run of this scenario. */
struct hit {
    const struct options *options;
    struct pin_cpu_plan plan;
    uint64_t entries;
    struct daemon daemon;
    struct client_settings settings;
    cistern_t *handle;
    struct floor_tables floor;
    struct baseline_table table;
    struct cistern_key *random;
    struct cistern_key *hot;
    uint64_t missed;
    /* Samples: ns a hit or a block. */
    struct stats random_ns, overlap_ns, hot_ns, batch_random_ns, batch_hot_ns;
    struct stats floor_ns, floor_batch_ns, table_random_ns, table_hot_ns, redis_ns;
    bool redis;
    struct hit_count count;
};

/* The pool that `entries` blocks need: slots are lent ahead, and room is made before it is
 * needed. */
static uint64_t pool_for(uint64_t entries)
{
    uint64_t bytes = entries * BLOCK_BYTES;
    return bytes + bytes / 8 + (UINT64_C(64) << 20);
}

static void choose_entries(struct hit *hit)
{
    hit->entries = hit->options->entries == 0 ? ENTRIES_DEFAULT : hit->options->entries;
    /* Beside the pool: tables of the same size, keys, Redis. */
    uint64_t available = daemon_memory_available();
    while (hit->options->socket_path == NULL && available > 0 && hit->entries > HOT_KEYS &&
           pool_for(hit->entries) > available / 10 * 7) {
        hit->entries /= 2;
    }
    uint64_t wanted = hit->options->entries == 0 ? ENTRIES_DEFAULT : hit->options->entries;
    if (hit->entries < wanted) {
        fprintf(stderr, "memory for %llu entries of the %llu wanted\n",
            (unsigned long long)hit->entries, (unsigned long long)wanted);
    }
}

static bool fill(struct hit *hit, FILE *people)
{
    struct progress progress;
    uint64_t seed = hit->options->seed;
    progress_start(&progress, people, "blocks committed", hit->entries);
    for (uint64_t done = 0; done < hit->entries;) {
        uint64_t step = hit->entries - done < FILL_STEP ? hit->entries - done : FILL_STEP;
        if (!client_fill(hit->handle, seed, done, step, BLOCK_BYTES, false)) {
            return false;
        }
        done += step;
        progress_show(&progress, done);
    }
    progress_done(&progress);
    for (uint64_t i = 0; i < hit->entries; i++) {
        struct cistern_key key = content_key(seed, i);
        if (baseline_table_add(&hit->table, &key, i) != i) {
            fputs("cistern-bench: the baseline's table refused a key\n", stderr);
            return false;
        }
    }
    return true;
}

/* Are the first `count` blocks there, byte for byte? Blocks that left the pool are counted. */
static bool verify(struct hit *hit, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct cistern_key key = content_key(hit->options->seed, i);
        struct cistern_view view;
        size_t pinned;
        if (cistern_acquire(hit->handle, &key, 1, &view, &pinned) != CISTERN_OK) {
            hit->missed++;
            continue;
        }
        uint64_t wrong = content_wrong_bytes(&key, view.data, view.bytes);
        cistern_release(hit->handle, &view, 1);
        if (wrong != 0 || view.bytes != BLOCK_BYTES) {
            fprintf(stderr, "cistern-bench: block %llu has %llu wrong bytes\n",
                (unsigned long long)i, (unsigned long long)wrong);
            return false;
        }
    }
    return true;
}

static bool prepare(struct hit *hit, struct report *report)
{
    const struct options *options = hit->options;
    pin_cpu_plan(options, &hit->plan);
    report_cores(report, &hit->plan);
    choose_entries(hit);
    uint64_t pool = options->pool_bytes == 0 ? pool_for(hit->entries) : options->pool_bytes;
    if (!daemon_start(options, pool, BLOCK_BYTES, hit->plan.server, &hit->daemon)) {
        return false;
    }
    hit->settings = (struct client_settings){.socket_path = hit->daemon.socket_path,
        .name = "bench-hit",
        .block_bytes = BLOCK_BYTES,
        .grants_ahead = 64};
    uint64_t picks = options->seed + 1;
    hit->random = hit_loop_draw(options->seed, picks, hit->entries, RANDOM_HITS);
    hit->hot = hit_loop_draw(options->seed, picks, HOT_KEYS, HOT_KEYS);
    struct stats *all[] = {&hit->random_ns, &hit->overlap_ns, &hit->hot_ns, &hit->batch_random_ns,
        &hit->batch_hot_ns, &hit->floor_ns, &hit->floor_batch_ns, &hit->table_random_ns,
        &hit->table_hot_ns, &hit->redis_ns};
    bool good = hit->random != NULL && hit->hot != NULL;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        good = stats_open(all[i], HOT_HITS / HIT_LOOP_GROUP * options->runs) && good;
    }
    if (!good || !baseline_table_open(&hit->table, hit->entries)) {
        fputs("cistern-bench: out of memory\n", stderr);
        return false;
    }
    return client_open(&hit->settings, &hit->handle) && fill(hit, report->people) &&
           verify(hit, hit->entries < FILL_STEP ? hit->entries : FILL_STEP) &&
           floor_tables_open(&hit->floor,
               hit->daemon.pool_bytes > 0 ? hit->daemon.pool_bytes / BLOCK_BYTES : hit->entries);
}

static void time_table(
    const struct hit *hit, const struct cistern_key *keys, size_t count, struct stats *out_samples)
{
    for (size_t at = 0; at + HIT_LOOP_GROUP <= count; at += HIT_LOOP_GROUP) {
        uint64_t found = 0;
        int64_t start = clock_now_ns();
        uint64_t value = 0;
        for (size_t i = 0; i < HIT_LOOP_GROUP; i++) {
            value = baseline_table_find(&hit->table, &keys[at + i + chain_zero(value)]);
            found += value != BASELINE_TABLE_NONE;
        }
        double ns = (double)(clock_now_ns() - start) / HIT_LOOP_GROUP;
        if (found == HIT_LOOP_GROUP) {
            stats_add(out_samples, ns);
        }
    }
}

/* One run: floors and baselines stand between the measurements, so that noise meets all alike. */
static void run_once(struct hit *hit)
{
    hit->missed += hit_loop_single(hit->handle, hit->random, RANDOM_HITS, true, &hit->random_ns);
    hit->missed += hit_loop_single(hit->handle, hit->random, RANDOM_HITS, false, &hit->overlap_ns);
    for (size_t at = 0; at + HIT_LOOP_GROUP <= RANDOM_HITS; at += HIT_LOOP_GROUP) {
        double ns = floor_dependent_ns(&hit->floor, &hit->random[at], HIT_LOOP_GROUP);
        stats_add(&hit->floor_ns, ns / HIT_LOOP_GROUP);
    }
    hit->missed += hit_loop_batch(hit->handle, hit->random, RANDOM_HITS, &hit->batch_random_ns);
    for (size_t at = 0; at + FLOOR_BATCH <= RANDOM_HITS; at += FLOOR_BATCH) {
        double ns = floor_independent_ns(&hit->floor, &hit->random[at]);
        stats_add(&hit->floor_batch_ns, ns / FLOOR_BATCH);
    }
    time_table(hit, hit->random, RANDOM_HITS, &hit->table_random_ns);
    struct stats warm = {0};
    hit->missed += hit_loop_single(hit->handle, hit->hot, HOT_KEYS, true, &warm);
    for (size_t round = 0; round < HOT_HITS / HOT_KEYS; round++) {
        hit->missed += hit_loop_single(hit->handle, hit->hot, HOT_KEYS, true, &hit->hot_ns);
    }
    for (size_t round = 0; round < HOT_HITS / HOT_KEYS; round++) {
        hit->missed += hit_loop_batch(hit->handle, hit->hot, HOT_KEYS, &hit->batch_hot_ns);
    }
    for (size_t round = 0; round < HOT_HITS / HOT_KEYS; round++) {
        time_table(hit, hit->hot, HOT_KEYS, &hit->table_hot_ns);
    }
}

static void print(struct hit *hit, struct report *report)
{
    struct table table;
    FILE *to = report->people;
    double floor = stats_median(&hit->floor_ns);
    double floor_batch = stats_median(&hit->floor_batch_ns);
    fprintf(to, "\nhit: lookup + pin + unpin, %llu entries of %u bytes, %llu runs, seed %llu\n\n",
        (unsigned long long)hit->entries, BLOCK_BYTES, (unsigned long long)hit->options->runs,
        (unsigned long long)hit->options->seed);
    table_start(&table, "what", "floor");
    table_measure(
        &table, "random key, p50", "≤ 1.25 floor", "ns", stats_median(&hit->random_ns), floor);
    table_measure(&table, "random key, p99", "", "ns", stats_percentile(&hit->random_ns, 99),
        stats_percentile(&hit->floor_ns, 99));
    table_measure(&table, "    the same, not waiting for the one before", "", "ns",
        stats_median(&hit->overlap_ns), 0);
    table_measure(&table, "hot set of 4,096, p50", "≤ 50 ns", "ns", stats_median(&hit->hot_ns), 0);
    table_measure(&table, "batch of 64, random, a block", "≤ 40 ns", "ns",
        stats_median(&hit->batch_random_ns), floor_batch);
    table_measure(
        &table, "batch of 64, hot, a block", "≤ 20 ns", "ns", stats_median(&hit->batch_hot_ns), 0);
    table_measure(&table, "baseline: table in process, random", "", "ns",
        stats_median(&hit->table_random_ns), 0);
    table_measure(
        &table, "baseline: table in process, hot", "", "ns", stats_median(&hit->table_hot_ns), 0);
    if (hit->redis) {
        table_measure(
            &table, "baseline: Redis GET of 4 KiB, p50", "", "ns", stats_median(&hit->redis_ns), 0);
    }
    table_print(&table, to);
    fprintf(to, "\n  %llu hits made ", (unsigned long long)hit->count.hits);
    if (hit->count.trapped) {
        fprintf(to, "%llu system calls (%s)", (unsigned long long)hit->count.syscalls,
            SYSCALL_COUNT_HOW);
    } else {
        fputs("system calls that could not be counted here", to);
    }
    fprintf(to, "\n  and %llu allocations (%s)\n", (unsigned long long)hit->count.mallocs,
        MALLOC_COUNT_HOW);
    fputs("  floor: two dependent loads from tables of the index's size; batches: 64 loads in "
          "flight, twice\n",
        to);
    if (hit->missed > 0) {
        fprintf(to, "  %llu lookups missed: blocks left the pool; the figures include them\n",
            (unsigned long long)hit->missed);
    }
}

static void write_json(struct hit *hit, struct report *report)
{
    cJSON *root = report->root;
    report_number(root, "entries", (double)hit->entries);
    report_number(root, "block_bytes", BLOCK_BYTES);
    report_number(root, "runs", (double)hit->options->runs);
    report_number(root, "seed", (double)hit->options->seed);
    report_number(root, "random_ns_p50", stats_median(&hit->random_ns));
    report_number(root, "random_ns_p99", stats_percentile(&hit->random_ns, 99));
    report_number(root, "random_ns_p999", stats_percentile(&hit->random_ns, 99.9));
    report_number(root, "random_overlapped_ns_p50", stats_median(&hit->overlap_ns));
    report_number(root, "floor_random_ns", stats_median(&hit->floor_ns));
    report_number(root, "hot_ns_p50", stats_median(&hit->hot_ns));
    report_number(root, "hot_ns_p99", stats_percentile(&hit->hot_ns, 99));
    report_number(root, "batch64_random_ns", stats_median(&hit->batch_random_ns));
    report_number(root, "batch64_hot_ns", stats_median(&hit->batch_hot_ns));
    report_number(root, "floor_batch64_ns", stats_median(&hit->floor_batch_ns));
    report_number(root, "table_random_ns_p50", stats_median(&hit->table_random_ns));
    report_number(root, "table_hot_ns_p50", stats_median(&hit->table_hot_ns));
    if (hit->count.trapped) {
        report_number(root, "syscalls", (double)hit->count.syscalls);
    } else {
        report_null(root, "syscalls");
    }
    report_number(root, "mallocs", (double)hit->count.mallocs);
    report_number(root, "counted_hits", (double)hit->count.hits);
    report_number(root, "missed", (double)hit->missed);
    if (hit->redis) {
        report_number(root, "redis_ns_p50", stats_median(&hit->redis_ns));
        report_number(root, "redis_ns_p99", stats_percentile(&hit->redis_ns, 99));
    } else {
        report_null(root, "redis_ns_p50");
    }
}

static void finish(struct hit *hit)
{
    struct stats *all[] = {&hit->random_ns, &hit->overlap_ns, &hit->hot_ns, &hit->batch_random_ns,
        &hit->batch_hot_ns, &hit->floor_ns, &hit->floor_batch_ns, &hit->table_random_ns,
        &hit->table_hot_ns, &hit->redis_ns};
    cistern_close(&hit->handle);
    daemon_stop(&hit->daemon);
    floor_tables_close(&hit->floor);
    baseline_table_close(&hit->table);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        stats_close(all[i]);
    }
    free(hit->random);
    free(hit->hot);
}

bool scenario_hit(const struct options *options, struct report *report)
{
    struct hit hit = {.options = options};
    bool good = prepare(&hit, report);
    if (good) {
        pin_cpu(hit.plan.client);
        for (uint64_t run = 0; run < options->runs; run++) {
            run_once(&hit);
        }
        good = hit_count_run(&hit.settings, hit.random, RANDOM_HITS, &hit.count);
        hit.redis = baseline_redis_get_ns(
            &hit.plan, options->seed, REDIS_KEYS, BLOCK_BYTES, REDIS_GETS, &hit.redis_ns);
    }
    if (good) {
        print(&hit, report);
        write_json(&hit, report);
    }
    finish(&hit);
    return good;
}
