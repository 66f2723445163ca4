/* scenario_server: commits and evictions a second with 64 lanes attached, and what hits feel of it.
 *
 * One client process floods the sidecar through 64 handles in turn; the pool is small and full,
 * so each commit of a new key needs a slot that only an eviction gives. The sidecar runs on one
 * core, the client on another. Between two rounds, while the sidecar still works on what it was
 * sent, a reader handle times hits on a hot set; the same hits are timed while nothing else
 * happens.
 */
#include "bench/scenario.h"

#include "bench/client.h"
#include "bench/clock.h"
#include "bench/content.h"
#include "bench/daemon.h"
#include "bench/footprint.h"
#include "bench/hit_loop.h"
#include "bench/table.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LANES 64u
#define BLOCK_BYTES 4096u
#define POOL_BYTES (UINT64_C(256) << 20)
#define BURST 16u /* slots taken at once */
#define WINDOW_NS CLOCK_NS_PER_S /* of a run */
#define HOT_KEYS 64u
#define WAIT_NS (10 * CLOCK_NS_PER_S)
#define HANDLE_THREADS 4u /* of a handle that asks for nothing else */
#define IDLE_S 5u /* how long nothing is asked, to see what an idle sidecar costs */

struct server {
    const struct options *options;
    struct pin_cpu_plan plan;
    struct daemon daemon;
    cistern_t *lanes[LANES];
    cistern_t *reader;
    struct cistern_key *hot;
    uint64_t number; /* of the next block */
    uint64_t pool_blocks;
    uint64_t missed;
    struct stats commits_per_s, cpu_share; /* a run */
    struct stats alone_ns, flood_ns; /* a hit */
    double handle_kib; /* a handle's shared memory, without its pin records */
    double idle_share; /* of a core, while all lanes are attached and silent */
};

/* Commit up to a burst of new blocks on one lane, without waiting for slots. */
static bool burst(struct server *server, cistern_t *lane, uint64_t *commits)
{
    struct cistern_slot slots[BURST];
    size_t count = 0;
    int status = cistern_reserve(lane, BURST, 0, slots, &count);
    if (status == CISTERN_BUSY || status == CISTERN_LIMIT) {
        return true;
    }
    if (status != CISTERN_OK) {
        return client_failed("reserve", status);
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t number = server->number++;
        struct cistern_key key = content_key(server->options->seed, number);
        memcpy(slots[i].data, &number, sizeof number);
        status = cistern_commit(lane, &slots[i], &key, NULL, sizeof number);
        if (status != CISTERN_OK) {
            return client_failed("commit", status);
        }
    }
    *commits += count;
    return true;
}

static bool flush_all(struct server *server)
{
    for (size_t i = 0; i < LANES; i++) {
        int status = cistern_flush(server->lanes[i], WAIT_NS);
        if (status != CISTERN_OK) {
            return client_failed("flush", status);
        }
    }
    return true;
}

/* Flood until `until_ns` or until `most` commits; every one of them was handled when it returns. */
static bool flood(
    struct server *server, int64_t until_ns, uint64_t most, bool measure, uint64_t *out_commits)
{
    uint64_t commits = 0;
    int64_t stuck = clock_now_ns() + WAIT_NS;
    uint64_t last = 0;
    while (clock_now_ns() < until_ns && commits < most) {
        for (size_t i = 0; i < LANES; i++) {
            if (!burst(server, server->lanes[i], &commits)) {
                return false;
            }
        }
        if (measure) {
            server->missed +=
                hit_loop_single(server->reader, server->hot, HOT_KEYS, true, &server->flood_ns);
        }
        if (commits > last) {
            last = commits;
            stuck = clock_now_ns() + WAIT_NS;
        } else if (clock_now_ns() > stuck) {
            fputs("cistern-bench: no lane got a slot for 10 s\n", stderr);
            return false;
        }
    }
    *out_commits = commits;
    return flush_all(server);
}

static bool prepare(struct server *server, struct report *report)
{
    const struct options *options = server->options;
    size_t runs = (size_t)options->runs;
    pin_cpu_plan(options, &server->plan);
    report_cores(report, &server->plan);
    server->hot = hit_loop_draw(options->seed + 1, options->seed, HOT_KEYS, HOT_KEYS);
    if (server->hot == NULL || !stats_open(&server->commits_per_s, runs) ||
        !stats_open(&server->cpu_share, runs) || !stats_open(&server->alone_ns, runs * 100000) ||
        !stats_open(&server->flood_ns, runs * 100000)) {
        fputs("cistern-bench: out of memory\n", stderr);
        return false;
    }
    uint64_t pool = options->pool_bytes == 0 ? POOL_BYTES : options->pool_bytes;
    if (!daemon_start(options, pool, BLOCK_BYTES, server->plan.server, &server->daemon)) {
        return false;
    }
    server->pool_blocks = server->daemon.pool_bytes / BLOCK_BYTES;
    struct client_settings settings = {.socket_path = server->daemon.socket_path,
        .name = "bench-server",
        .block_bytes = BLOCK_BYTES,
        .grants_ahead = 64};
    for (size_t i = 0; i < LANES; i++) {
        if (!client_open(&settings, &server->lanes[i])) {
            return false;
        }
    }
    uint64_t commits;
    if (!client_open(&settings, &server->reader) ||
        !client_fill(server->reader, options->seed + 1, 0, HOT_KEYS, BLOCK_BYTES, false)) {
        return false;
    }
    pin_cpu(server->plan.client);
    /* Fill the pool, and a quarter more: from here on each commit costs an eviction. */
    return flood(server, clock_now_ns() + 60 * CLOCK_NS_PER_S,
        server->pool_blocks + server->pool_blocks / 4, true, &commits);
}

static bool run_once(struct server *server)
{
    for (int i = 0; i < 2000; i++) {
        server->missed +=
            hit_loop_single(server->reader, server->hot, HOT_KEYS, true, &server->alone_ns);
    }
    uint64_t commits;
    double cpu = process_cpu_seconds(&server->daemon.process);
    int64_t start = clock_now_ns();
    if (!flood(server, start + WINDOW_NS, UINT64_MAX, true, &commits)) {
        return false;
    }
    double seconds = (double)(clock_now_ns() - start) / 1e9;
    cpu = process_cpu_seconds(&server->daemon.process) - cpu;
    stats_add(&server->commits_per_s, (double)commits / seconds);
    stats_add(&server->cpu_share, cpu / seconds);
    return true;
}

/* One more handle, as cistern_open() makes it if nothing is asked: what did it map? */
static bool weigh_handle(struct server *server)
{
    struct client_settings settings = {.socket_path = server->daemon.socket_path,
        .name = "bench-server",
        .block_bytes = BLOCK_BYTES,
        .threads_max = HANDLE_THREADS};
    uint64_t before = footprint_lane_bytes();
    cistern_t *handle = NULL;
    struct cistern_stats stats = {.size = sizeof stats};
    if (!client_open(&settings, &handle) || cistern_stats(handle, &stats) != CISTERN_OK) {
        return false;
    }
    uint64_t pins = (uint64_t)HANDLE_THREADS * stats.pins_per_thread * sizeof(uint32_t);
    server->handle_kib = (double)(footprint_lane_bytes() - before - pins) / 1024;
    cistern_close(&handle);
    return true;
}

/* All lanes stay attached; nobody asks for anything. */
static void idle(struct server *server)
{
    sleep(1); /* until it sleeps */
    uint64_t before = footprint_cpu_ns(server->daemon.process.pid);
    sleep(IDLE_S);
    uint64_t used = footprint_cpu_ns(server->daemon.process.pid) - before;
    server->idle_share = (double)used / (IDLE_S * 1e9);
}

static void publish(struct server *server, struct report *report)
{
    struct table table;
    double rate = stats_median(&server->commits_per_s);
    fprintf(report->people,
        "\nserver: %u lanes, full pool of %llu blocks, every commit evicts; %llu runs\n\n", LANES,
        (unsigned long long)server->pool_blocks, (unsigned long long)server->options->runs);
    table_start(&table, "what", "alone");
    table_row(&table);
    table_cell(&table, 0, "commits (and evictions) a second");
    table_cell(&table, 1, "≥ 500,000");
    table_cell(&table, 2, "%.0f", rate);
    table_measure(&table, "hit of a reader meanwhile, p50", "unharmed", "ns",
        stats_median(&server->flood_ns), stats_median(&server->alone_ns));
    table_measure(&table, "hit of a reader meanwhile, p99", "", "ns",
        stats_percentile(&server->flood_ns, 99), stats_percentile(&server->alone_ns, 99));
    table_row(&table);
    table_cell(&table, 0, "idle sidecar, 65 lanes, of a core");
    table_cell(&table, 1, "≈ 0");
    table_cell(&table, 2, "%.3f %%", server->idle_share * 100);
    table_row(&table);
    table_cell(&table, 0, "a client handle of 4 threads");
    table_cell(&table, 1, "< 1 MiB + pins");
    table_cell(&table, 2, "%.0f KiB", server->handle_kib);
    table_print(&table, report->people);
    fprintf(report->people,
        "\n  the sidecar used %.0f %% of one core; %llu reader hits missed\n"
        "  evictions are derived: the pool is full, so each slot for a new key was an eviction\n",
        stats_median(&server->cpu_share) * 100, (unsigned long long)server->missed);
    cJSON *root = report->root;
    report_number(root, "lanes", LANES);
    report_number(root, "pool_blocks", (double)server->pool_blocks);
    report_number(root, "commits_per_s", rate);
    report_number(root, "evictions_per_s", rate);
    report_text(
        root, "evictions_how", "derived: the pool was full, each commit took an evicted slot");
    report_runs(root, "commits_per_s_runs", &server->commits_per_s);
    report_number(root, "sidecar_cpu_share", stats_median(&server->cpu_share));
    report_number(root, "hit_alone_ns_p50", stats_median(&server->alone_ns));
    report_number(root, "hit_alone_ns_p99", stats_percentile(&server->alone_ns, 99));
    report_number(root, "hit_flood_ns_p50", stats_median(&server->flood_ns));
    report_number(root, "hit_flood_ns_p99", stats_percentile(&server->flood_ns, 99));
    report_number(root, "idle_cpu_share", server->idle_share);
    report_number(root, "handle_kib", server->handle_kib);
    report_number(root, "hits_missed", (double)server->missed);
}

bool scenario_server(const struct options *options, struct report *report)
{
    struct server server = {.options = options};
    bool good = prepare(&server, report);
    server.flood_ns.count = 0; /* filling is not measured */
    server.missed = 0;
    for (uint64_t run = 0; good && run < options->runs; run++) {
        good = run_once(&server);
    }
    good = good && weigh_handle(&server);
    if (good) {
        idle(&server);
        publish(&server, report);
    }
    for (size_t i = 0; i < LANES; i++) {
        cistern_close(&server.lanes[i]);
    }
    cistern_close(&server.reader);
    daemon_stop(&server.daemon);
    free(server.hot);
    stats_close(&server.commits_per_s);
    stats_close(&server.cpu_share);
    stats_close(&server.alone_ns);
    stats_close(&server.flood_ns);
    return good;
}
