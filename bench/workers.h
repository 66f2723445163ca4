/* workers: client processes of a run, made by fork, and memory that they share with the bench.
 *
 * Called by the scenarios. Always: a worker opens handles of its own after the fork, reports
 * through shared memory only, and does not outlive the bench.
 */
#ifndef CISTERN_BENCH_WORKERS_H
#define CISTERN_BENCH_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WORKERS_MAX 64

/* A worker's work. Returns its exit status: 0 if all went well. */
typedef int (*workers_body)(int number, void *context);

/* Called by workers_wait() about ten times a second. */
typedef void (*workers_tick)(void *context);

struct workers {
    pid_t pids[WORKERS_MAX];
    int count;
    int failed; /* workers that ended with another status than 0 */
};

/* Zeroed memory that children share after fork; NULL if there is none. */
void *workers_share(size_t bytes);
void workers_unshare(void *memory, size_t bytes);

/* Fork `count` workers; each runs `body` and exits. Returns false if not all could be made; those
 * that were are ended. */
bool workers_start(struct workers *out_workers, int count, workers_body body, void *context);

/* Wait for all. At `timeout_ns`, or as soon as one failed, the others are killed, by pid.
 * Returns true if all ended with status 0. */
bool workers_wait(
    struct workers *workers, int64_t timeout_ns, workers_tick tick, void *tick_context);

#endif
