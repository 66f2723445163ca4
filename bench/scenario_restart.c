/* scenario_restart: kill -9 of the server, and how long until another client hits again.
 *
 * The pool is filled with small blocks; a worker pins some of them and holds them over every kill.
 * The keeper starts another server, which takes the memory over; a client that was attached before
 * attaches again by itself. Measured from the kill to its first hit through the new server. Until
 * the new server raises the epoch, hits on the old mapping go on: the gap is the longest time
 * without any. At the end every block is looked for and compared byte by byte, and new blocks are
 * committed until old ones must go: the pinned ones must not.
 */
#include "bench/scenario.h"

#include "bench/client.h"
#include "bench/clock.h"
#include "bench/content.h"
#include "bench/daemon.h"
#include "bench/table.h"
#include "bench/workers.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#define BLOCK_BYTES 4096u
#define BLOCKS UINT64_C(1000000)
#define PINS 256u
#define WAIT_NS (60 * CLOCK_NS_PER_S)
/* A server that lived so long is replaced at once; see keeper.c. */
#define CALM_NS (1500 * CLOCK_NS_PER_MS)
#define SLACK_PART 16u /* of the blocks: room so that none leaves before the end */

/* What the worker and the bench share. */
struct pledge {
    _Alignas(128) _Atomic uint64_t asked; /* by the bench: look at your pins */
    _Alignas(128) _Atomic uint64_t answered; /* by the worker */
    uint64_t wrong_bytes; /* by the worker, before `answered` */
    uint64_t lost; /* pinned blocks that are not to be found any more */
};

struct restart {
    const struct options *options;
    struct daemon daemon;
    struct client_settings settings;
    uint64_t blocks;
    cistern_t *client;
    struct pledge *pledge;
    struct workers workers;
    struct stats ready_ms, gap_ms, exit_ms;
    uint64_t found;
    uint64_t wrong_bytes;
    uint64_t pins_lost;
};

/* Compare what is pinned, and look whether each block is still found by its key. */
static void look_at_pins(
    cistern_t *handle, uint64_t seed, struct pledge *pledge, const struct cistern_view *views)
{
    uint64_t wrong = 0;
    uint64_t lost = 0;
    for (uint64_t i = 0; i < PINS; i++) {
        struct cistern_key key = content_key(seed, i);
        struct cistern_view view;
        size_t count;
        wrong += content_wrong_bytes(&key, views[i].data, BLOCK_BYTES);
        int64_t deadline = clock_now_ns() + WAIT_NS;
        int status;
        do {
            status = cistern_acquire(handle, &key, 1, &view, &count);
        } while (status == CISTERN_NO_SERVER && clock_now_ns() < deadline);
        if (status == CISTERN_OK) {
            cistern_release(handle, &view, 1);
        } else {
            lost++;
        }
    }
    pledge->wrong_bytes = wrong;
    pledge->lost = lost;
}

static int hold_pins(int number, void *context)
{
    (void)number;
    struct restart *restart = context;
    struct pledge *pledge = restart->pledge;
    uint64_t seed = restart->options->seed;
    static struct cistern_view views[PINS];
    struct cistern_key keys[PINS];
    cistern_t *handle = NULL;
    size_t count = 0;
    if (!client_open(&restart->settings, &handle)) {
        return 1;
    }
    for (uint64_t i = 0; i < PINS; i++) {
        keys[i] = content_key(seed, i);
    }
    int status = cistern_acquire(handle, keys, PINS, views, &count);
    if (status != CISTERN_OK || count != PINS) {
        client_failed("the worker's pins", status);
        return 1;
    }
    for (uint64_t seen = 0;;) {
        uint64_t asked = atomic_load_explicit(&pledge->asked, memory_order_acquire);
        if (asked == UINT64_MAX) {
            break;
        }
        if (asked != seen) {
            look_at_pins(handle, seed, pledge, views);
            seen = asked;
            atomic_store_explicit(&pledge->answered, seen, memory_order_release);
        }
        clock_sleep_until(clock_now_ns() + CLOCK_NS_PER_MS);
    }
    cistern_release(handle, views, PINS);
    cistern_close(&handle);
    return 0;
}

/* Have the worker look at its pins. */
static bool ask_worker(struct restart *restart)
{
    struct pledge *pledge = restart->pledge;
    uint64_t number = atomic_load_explicit(&pledge->asked, memory_order_relaxed) + 1;
    atomic_store_explicit(&pledge->asked, number, memory_order_release);
    int64_t deadline = clock_now_ns() + WAIT_NS;
    while (atomic_load_explicit(&pledge->answered, memory_order_acquire) != number) {
        if (clock_now_ns() > deadline) {
            fputs("cistern-bench: the worker that holds pins does not answer\n", stderr);
            return false;
        }
        clock_sleep_until(clock_now_ns() + CLOCK_NS_PER_MS);
    }
    restart->wrong_bytes += pledge->wrong_bytes;
    restart->pins_lost += pledge->lost;
    return true;
}

/* How often the client attached again. */
static bool count_attaches(cistern_t *handle, uint64_t *out_count)
{
    struct cistern_stats stats = {.size = sizeof stats};
    int status = cistern_stats(handle, &stats);
    if (status != CISTERN_OK) {
        return client_failed("stats", status);
    }
    *out_count = stats.reattaches;
    return true;
}

/* Hit one block after the other until one comes from the new server. */
static bool wait_until_it_hits(struct restart *restart, pid_t old, int64_t killed)
{
    uint64_t before = 0;
    bool attached_anew = false;
    int64_t last_hit = killed;
    int64_t gap = 0;
    int64_t gone = 0;
    if (!count_attaches(restart->client, &before)) {
        return false;
    }
    for (uint64_t i = 0; !attached_anew; i++) {
        struct cistern_key key = content_key(restart->options->seed, i * 977 % restart->blocks);
        struct cistern_view view;
        size_t count;
        int status = cistern_acquire(restart->client, &key, 1, &view, &count);
        int64_t now = clock_now_ns();
        if (gone == 0 && kill(old, 0) != 0 && errno == ESRCH) {
            gone = now;
        }
        if (now - killed > WAIT_NS) {
            fputs("cistern-bench: no hit for a minute after the kill\n", stderr);
            return false;
        }
        if (status == CISTERN_OK) {
            gap = now - last_hit > gap ? now - last_hit : gap;
            last_hit = now;
            cistern_release(restart->client, &view, 1);
            uint64_t attaches = 0;
            if (!count_attaches(restart->client, &attaches)) {
                return false;
            }
            attached_anew = attaches != before;
        }
    }
    stats_add(&restart->ready_ms, (double)(last_hit - killed) / 1e6);
    stats_add(&restart->gap_ms, (double)gap / 1e6);
    stats_add(&restart->exit_ms, (double)((gone == 0 ? last_hit : gone) - killed) / 1e6);
    return true;
}

static bool kill_once(struct restart *restart)
{
    clock_sleep_until(clock_now_ns() + CALM_NS);
    pid_t server = process_child(&restart->daemon.process);
    if (server <= 0) {
        fputs("cistern-bench: the keeper has no server\n", stderr);
        return false;
    }
    int64_t killed = clock_now_ns();
    if (kill(server, SIGKILL) != 0) {
        fprintf(stderr, "cistern-bench: kill %d: %s\n", (int)server, strerror(errno));
        return false;
    }
    return wait_until_it_hits(restart, server, killed) && ask_worker(restart);
}

/* Find every block, and compare it. */
static bool find_all(struct restart *restart)
{
    restart->found = 0;
    for (uint64_t i = 0; i < restart->blocks; i++) {
        struct cistern_key key = content_key(restart->options->seed, i);
        struct cistern_view view;
        size_t count;
        int status = cistern_acquire(restart->client, &key, 1, &view, &count);
        if (status == CISTERN_OK) {
            restart->found++;
            restart->wrong_bytes += content_wrong_bytes(&key, view.data, BLOCK_BYTES);
            cistern_release(restart->client, &view, 1);
        } else if (status != CISTERN_MISS) {
            return client_failed("acquire", status);
        }
    }
    return true;
}

static bool prepare(struct restart *restart)
{
    const struct options *options = restart->options;
    size_t runs = (size_t)options->runs;
    uint64_t pool = restart->blocks * BLOCK_BYTES / SLACK_PART * (SLACK_PART + 1);
    if (!stats_open(&restart->ready_ms, runs) || !stats_open(&restart->gap_ms, runs) ||
        !stats_open(&restart->exit_ms, runs)) {
        fputs("cistern-bench: out of memory\n", stderr);
        return false;
    }
    if (!daemon_start_kept(options, pool, BLOCK_BYTES, -1, &restart->daemon)) {
        return false;
    }
    restart->settings = (struct client_settings){.socket_path = restart->daemon.socket_path,
        .name = "bench-restart",
        .block_bytes = BLOCK_BYTES,
        .pins_per_thread = 2 * PINS,
        .grants_ahead = 64};
    if (!client_open(&restart->settings, &restart->client) ||
        !client_fill(restart->client, options->seed, 0, restart->blocks, BLOCK_BYTES, false)) {
        return false;
    }
    restart->pledge = workers_share(sizeof *restart->pledge);
    return restart->pledge != NULL && workers_start(&restart->workers, 1, hold_pins, restart) &&
           ask_worker(restart);
}

static bool run_all(struct restart *restart)
{
    for (uint64_t i = 0; i < restart->options->runs; i++) {
        if (!kill_once(restart)) {
            return false;
        }
    }
    /* Then so many new blocks that old ones must go, and the pins once more. */
    return find_all(restart) &&
           client_fill(restart->client, restart->options->seed + 1, 0, restart->blocks / 8,
               BLOCK_BYTES, false) &&
           ask_worker(restart);
}

static void publish(struct restart *restart, struct report *report)
{
    struct table table;
    fprintf(report->people,
        "\nrestart: kill -9 of the server, %llu blocks, %llu times; %u pins held over all of "
        "them\n\n",
        (unsigned long long)restart->blocks, (unsigned long long)restart->options->runs, PINS);
    table_start(&table, "what", "");
    table_measure(&table, "first hit after the kill, median", "≤ 500 ms", "ms",
        stats_median(&restart->ready_ms), 0);
    table_measure(&table, "  of them until the killed process was gone", "", "ms",
        stats_median(&restart->exit_ms), 0);
    table_measure(&table, "first hit, slowest", "", "ms", stats_max(&restart->ready_ms), 0);
    table_measure(
        &table, "longest time without a hit, median", "", "ms", stats_median(&restart->gap_ms), 0);
    table_measure(&table, "blocks found", "", "", (double)restart->found, 0);
    table_measure(&table, "pins lost", "0", "", (double)restart->pins_lost, 0);
    table_measure(&table, "wrong bytes", "0", "", (double)restart->wrong_bytes, 0);
    table_print(&table, report->people);
    cJSON *root = report->root;
    report_number(root, "runs", (double)restart->options->runs);
    report_number(root, "blocks", (double)restart->blocks);
    report_number(root, "ready_ms", stats_median(&restart->ready_ms));
    report_number(root, "pins_lost", (double)restart->pins_lost);
    report_number(root, "wrong_bytes", (double)restart->wrong_bytes);
    report_number(root, "blocks_found", (double)restart->found);
    cJSON *phases = report_object(root, "phases");
    report_runs(phases, "ready_ms", &restart->ready_ms);
    report_runs(phases, "exit_ms", &restart->exit_ms);
    report_runs(phases, "gap_ms", &restart->gap_ms);
}

bool scenario_restart(const struct options *options, struct report *report)
{
    struct restart restart = {
        .options = options, .blocks = options->blocks == 0 ? BLOCKS : options->blocks};
    bool good = prepare(&restart) && run_all(&restart);
    if (good) {
        publish(&restart, report);
    }
    if (restart.pledge != NULL) {
        atomic_store_explicit(&restart.pledge->asked, UINT64_MAX, memory_order_release);
        workers_wait(&restart.workers, WAIT_NS, NULL, NULL);
        workers_unshare(restart.pledge, sizeof *restart.pledge);
    }
    cistern_close(&restart.client);
    daemon_stop(&restart.daemon);
    stats_close(&restart.ready_ms);
    stats_close(&restart.gap_ms);
    stats_close(&restart.exit_ms);
    return good;
}
