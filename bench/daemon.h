/* daemon: the sidecar that a scenario talks to: a private one, or one that runs already. */
#ifndef CISTERN_BENCH_DAEMON_H
#define CISTERN_BENCH_DAEMON_H

#include "bench/options.h"
#include "bench/process.h"

#include <stdbool.h>
#include <stdint.h>

struct daemon {
    struct process process; /* not running where --socket was given */
    const char *socket_path; /* where clients attach */
    uint64_t pool_bytes; /* 0: unknown, the sidecar is not ours */
};

/* Start cisternd with a pool of at least `pool_bytes` cut into slots of `slot_min_bytes` and
 * more, on `core` (-1: anywhere); or take the one at --socket. Returns false after a line on
 * stderr. */
bool daemon_start(const struct options *options, uint64_t pool_bytes, uint64_t slot_min_bytes,
    int core, struct daemon *out_daemon);

/* The same, with a keeper: the process is the keeper, its child the server. Without one it is the
 * server itself, so that its time and memory can be read. */
bool daemon_start_kept(const struct options *options, uint64_t pool_bytes, uint64_t slot_min_bytes,
    int core, struct daemon *out_daemon);

/* The same without a keeper, with blocks that leave the pool going to `cold_bytes` of disk in
 * `cold_folder`, all of them. */
bool daemon_start_cold(const struct options *options, uint64_t pool_bytes, uint64_t slot_min_bytes,
    int core, const char *cold_folder, uint64_t cold_bytes, struct daemon *out_daemon);

/* The same without a keeper, with `device_bytes` of the memory of a GPU, to which nothing is copied
 * by itself. */
bool daemon_start_device(const struct options *options, uint64_t pool_bytes,
    uint64_t slot_min_bytes, const char *device, uint64_t device_bytes, struct daemon *out_daemon);

/* Stop it if it is ours. Accepts one that never started. */
void daemon_stop(struct daemon *daemon);

/* Remove what a stopped one with a cold tier has left in `folder`. */
void daemon_clean_cold(const char *folder);

/* Memory that may be used without swapping, from /proc/meminfo; 0 if unknown. */
uint64_t daemon_memory_available(void);

#endif
