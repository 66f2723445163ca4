/* gpu_pool: what a worker with a device gets of a sidecar that has memory of it: hits in place,
 * commits behind a stream, and how long its handle takes to open.
 *
 * Called by scenario_gpu, behind gpu_run, whose device it uses. The sidecar is a private one.
 */
#ifndef CISTERN_BENCH_GPU_POOL_H
#define CISTERN_BENCH_GPU_POOL_H

#include "bench/client.h"
#include "bench/daemon.h"
#include "bench/gpu_run.h"
#include "bench/options.h"

#include <cistern_device.h>

#define GPU_POOL_BLOCK (UINT64_C(64) << 10)
#define GPU_POOL_HOT 256u /* blocks, of each memory */
#define GPU_POOL_HITS 65536u /* one measurement, of each memory */
#define GPU_POOL_COMMITS 500u

struct gpu_pool {
    const struct gpu_run *run; /* borrowed */
    const struct options *options; /* borrowed */
    struct daemon daemon;
    char device[GPU_UUID_TEXT];
    struct client_settings settings; /* with the device */
    cistern_t *writer;
    cistern_t *reader;
    cistern_device_t *of_writer;
    uint64_t number; /* of the next block that is committed */
};

/* Nanoseconds of a hit. */
struct gpu_pool_hits {
    struct stats device; /* one block of the device, at a time */
    struct stats host; /* one of host memory, by the same handle */
};

/* Microseconds since the stream got there. */
struct gpu_pool_commits {
    struct stats seen; /* until another handle has the block */
    struct stats floor; /* until a thread that polls a word has seen that */
};

/* Start the sidecar, attach, and fill both memories. Returns false after a line on stderr; close it
 * all the same. */
bool gpu_pool_open(
    const struct options *options, const struct gpu_run *run, struct gpu_pool *out_pool);
void gpu_pool_close(struct gpu_pool *pool);

/* Each returns false after a line on stderr. */
bool gpu_pool_hits(struct gpu_pool *pool, struct gpu_pool_hits *out_hits);
bool gpu_pool_commits(struct gpu_pool *pool, struct gpu_pool_commits *out_commits);

/* Milliseconds until a handle can read the device in place, or without it until it is attached;
 * negative on failure. */
double gpu_pool_open_ms(const struct gpu_pool *pool, bool with_device);

#endif
