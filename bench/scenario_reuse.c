/* scenario_reuse: worker processes replay a trace through one sidecar and share its blocks.
 *
 * Requests are dealt to the workers in turn, as a load balancer does, so the turns of one run meet
 * blocks that other processes computed. See bench/replay for what a worker does, and
 * bench/reuse_summary for what is compared.
 */
#include "bench/scenario.h"

#include "bench/clock.h"
#include "bench/daemon.h"
#include "bench/progress.h"
#include "bench/replay.h"
#include "bench/reuse_summary.h"
#include "bench/trace.h"
#include "bench/trace_choice.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS_DEFAULT 4u
#define BLOCK_BYTES_DEFAULT (UINT64_C(64) << 10)
#define BLOCK_BYTES_MAX (UINT64_C(256) << 20)
#define PREFILL_DEFAULT 50000.0
#define POOL_MAX_BYTES (UINT64_C(2) << 30)
#define POOL_STEP_BYTES (UINT64_C(64) << 20)
#define AIM_S 25.0 /* how long a run should take when nobody says otherwise */
#define ATTACH_TIMEOUT_NS (60 * CLOCK_NS_PER_S)
#define RUN_TIMEOUT_NS (3600 * CLOCK_NS_PER_S)

static uint64_t round_up(uint64_t value, uint64_t step)
{
    return (value + step - 1) / step * step;
}

/* Room for all blocks of the trace and some to spare, and for every worker to pin its longest
 * prompt while others do; within what the machine has. */
static uint64_t choose_pool(const struct trace *trace, uint64_t workers, uint64_t block_bytes)
{
    uint64_t wanted = trace->unique * block_bytes;
    uint64_t pins = workers * trace->longest_blocks * block_bytes;
    wanted += wanted / 4 + POOL_STEP_BYTES;
    wanted = wanted < pins * 3 ? pins * 3 : wanted;
    uint64_t most = POOL_MAX_BYTES;
    uint64_t available = daemon_memory_available();
    if (available > 0 && available / 2 < most) {
        most = available / 2;
    }
    wanted = wanted < most ? wanted : most;
    uint64_t pool = round_up(wanted, POOL_STEP_BYTES);
    /* The largest block is a sixteenth of the pool, unless the sidecar is told otherwise. */
    return pool < block_bytes * 16 ? block_bytes * 16 : pool;
}

/* A whole number that lets schedule and modelled prefill of an endless cache take AIM_S at most. */
static double choose_speedup(const struct trace *trace, const struct replay *replay)
{
    double span = (double)trace->requests[trace->request_count - 1].arrival_us / 1e6;
    double fresh = (double)trace->unique * trace->block_tokens;
    double prefill = fresh / replay->prefill_tokens_per_s / replay->workers;
    double longest = span > prefill ? span : prefill;
    return longest > AIM_S ? ceil(longest / AIM_S) : 1;
}

static bool check(const struct options *options, const struct trace *trace)
{
    if (options->workers > WORKERS_MAX) {
        fprintf(stderr, "cistern-bench: --workers: %u at most\n", WORKERS_MAX);
        return false;
    }
    if (options->block_bytes > BLOCK_BYTES_MAX) {
        fputs("cistern-bench: --block-bytes: 256MiB at most\n", stderr);
        return false;
    }
    if (trace->block_references == 0) {
        fprintf(stderr,
            "cistern-bench: no prompt fills a block of %u tokens; give --block-tokens\n",
            trace->block_tokens);
        return false;
    }
    return true;
}

struct ticker {
    struct progress progress;
    struct replay *replay;
};

static void tick(void *context)
{
    struct ticker *ticker = context;
    progress_show(&ticker->progress,
        atomic_load_explicit(ticker->replay->answered_count, memory_order_relaxed));
}

static bool run_workers(struct replay *replay, FILE *people, double *out_wall_s)
{
    struct workers workers;
    if (!workers_start(&workers, replay->workers, replay_body, replay)) {
        return false;
    }
    int64_t deadline = clock_now_ns() + ATTACH_TIMEOUT_NS;
    while (atomic_load_explicit(replay->ready, memory_order_acquire) < (uint32_t)replay->workers &&
           clock_now_ns() < deadline) {
        clock_sleep_until(clock_now_ns() + CLOCK_NS_PER_MS);
        if (clock_now_ns() >= deadline) {
            fputs("cistern-bench: not all workers attached\n", stderr);
        }
    }
    struct ticker ticker = {.replay = replay};
    progress_start(&ticker.progress, people, "requests", replay->trace->request_count);
    int64_t start = clock_now_ns();
    atomic_store_explicit(replay->start_ns, start, memory_order_release);
    bool good = workers_wait(&workers, RUN_TIMEOUT_NS, tick, &ticker);
    *out_wall_s = (double)(clock_now_ns() - start) / 1e9;
    progress_done(&ticker.progress);
    return good;
}

static bool run(const struct options *options, struct report *report, const struct trace *trace,
    const char *trace_name)
{
    struct replay replay = {
        .trace = trace,
        .block_bytes = options->block_bytes == 0 ? BLOCK_BYTES_DEFAULT : options->block_bytes,
        .workers = (int)(options->workers == 0 ? WORKERS_DEFAULT : options->workers),
        .prefill_tokens_per_s =
            options->prefill_tokens_per_s > 0 ? options->prefill_tokens_per_s : PREFILL_DEFAULT,
    };
    replay.speedup = options->speedup > 0 ? options->speedup : choose_speedup(trace, &replay);
    struct daemon daemon = {0};
    struct reuse_summary *summary = calloc(1, sizeof *summary);
    uint64_t pool = options->pool_bytes;
    if (pool == 0) {
        pool = choose_pool(trace, (uint64_t)replay.workers, replay.block_bytes);
    }
    uint64_t slot_min = 4096;
    while (slot_min < replay.block_bytes) {
        slot_min *= 2;
    }
    bool good = summary != NULL && replay_share(&replay) &&
                daemon_start(options, pool, slot_min, -1, &daemon);
    if (good) {
        replay.socket_path = daemon.socket_path;
        summary->replay = &replay;
        summary->trace_name = trace_name;
        summary->pool_bytes = daemon.pool_bytes;
        summary->pool_blocks = daemon.pool_bytes / slot_min;
        good = run_workers(&replay, report->people, &summary->wall_s);
        summary->sidecar_cpu_s = process_cpu_seconds(&daemon.process);
    }
    daemon_stop(&daemon);
    good = good && reuse_summary_open(summary);
    if (good) {
        reuse_summary_print(summary, report->people);
        reuse_summary_write(summary, report->root);
    }
    if (good && (summary->sum.wrong_bytes > 0 || summary->sum.violations > 0)) {
        fputs("cistern-bench: reused blocks held wrong bytes: this is a bug; please report it\n",
            stderr);
        good = false;
    }
    if (summary != NULL) {
        reuse_summary_close(summary);
    }
    replay_unshare(&replay);
    free(summary);
    return good;
}

bool scenario_reuse(const struct options *options, struct report *report)
{
    const char *path = trace_choice(options->trace_path);
    struct trace trace = {0};
    if (options->block_tokens > 65536) {
        fputs("cistern-bench: --block-tokens: 65536 at most\n", stderr);
        return false;
    }
    if (!trace_open(path, (uint32_t)options->block_tokens, &trace)) {
        return false;
    }
    /* People know a trace by its name; the folders above it are this machine's business. */
    const char *slash = strrchr(path, '/');
    bool good = check(options, &trace) &&
                run(options, report, &trace, slash != NULL && slash[1] != '\0' ? slash + 1 : path);
    trace_close(&trace);
    return good;
}
