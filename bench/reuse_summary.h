/* reuse_summary: what scenario_reuse found out, summed over workers, beside the simulated
 * set-ups; as one table and as JSON. */
#ifndef CISTERN_BENCH_REUSE_SUMMARY_H
#define CISTERN_BENCH_REUSE_SUMMARY_H

#include "bench/replay.h"
#include "bench/report.h"
#include "bench/trace.h"

#include <stdbool.h>
#include <stdint.h>

/* What a set-up reuses of a trace. */
struct reuse_share {
    uint64_t blocks;
    uint64_t tokens;
};

struct reuse_summary {
    const struct replay *replay;
    const char *trace_name;
    uint64_t pool_bytes; /* 0: unknown, the sidecar was not ours */
    uint64_t pool_blocks;
    double wall_s;
    double sidecar_cpu_s;
    struct reuse_share shared; /* measured: Cistern */
    struct
        reuse_share private; /* simulated: one LRU cache a process, the pool divided among them */
    struct reuse_share one; /* simulated: one LRU cache as large as the pool */
    struct reuse_share ceiling; /* simulated: an endless cache */
    struct replay_result sum; /* counts only; its samples are not used */
    struct stats samples[REPLAY_SAMPLE_KINDS]; /* of all workers; owned */
};

/* Sum up the workers, and simulate the other set-ups. Returns false if there is no memory. */
bool reuse_summary_open(struct reuse_summary *summary);
void reuse_summary_close(struct reuse_summary *summary);

void reuse_summary_print(struct reuse_summary *summary, FILE *to);
void reuse_summary_write(struct reuse_summary *summary, cJSON *root);

#endif
