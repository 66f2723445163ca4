/* hit_count: what a million hits cost in system calls and allocations, counted in a client of its
 * own. Called by scenario_hit. */
#ifndef CISTERN_BENCH_HIT_COUNT_H
#define CISTERN_BENCH_HIT_COUNT_H

#include "bench/client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Written by the counting client, in shared memory. */
struct hit_count {
    uint64_t hits;
    uint64_t missed;
    uint64_t syscalls;
    uint64_t mallocs;
    uint64_t trapped; /* 0 if that could not be counted: then `syscalls` means nothing */
};

/* Fork a client that makes `count` single hits and as many in batches. False after a line on
 * stderr. */
bool hit_count_run(const struct client_settings *settings, const struct cistern_key *keys,
    size_t count, struct hit_count *out_count);

#endif
