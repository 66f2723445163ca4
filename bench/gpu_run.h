/* gpu_run: the rates of one device: copies between pool, engine and host, marks, opening a pool.
 *
 * Called by scenario_gpu. Uses cuda/ itself, without a sidecar: what stands between a worker and
 * the device is that code alone. Figures are of a real device or there are none (gpu_run_open()).
 */
#ifndef CISTERN_BENCH_GPU_RUN_H
#define CISTERN_BENCH_GPU_RUN_H

#include "bench/stats.h"
#include "cuda/copy.h"
#include "cuda/mark.h"
#include "cuda/pagelock.h"
#include "cuda/slab.h"

#include <sys/types.h>

#define GPU_RUN_BYTES (UINT64_C(256) << 20) /* that one measurement moves */
#define GPU_RUN_LAYERS 32u /* pieces of a block, where a tensor a layer holds them */
#define GPU_RUN_MARKS 200u

enum gpu_run_way { GPU_RUN_GATHER, GPU_RUN_SCATTER, GPU_RUN_DOWN, GPU_RUN_UP, GPU_RUN_WAYS };

struct gpu_run {
    struct driver driver;
    struct gpu gpu;
    struct driver_context *former;
    struct slab_pool pool;
    struct slab_pool engine; /* stands for the tensors of an engine; in one piece */
    struct copy_stream stream;
    void *host; /* GPU_RUN_BYTES, owned */
    struct pagelock lock;
    struct mark_page *page; /* owned */
    struct marks marks;
    struct copy_piece *pieces; /* room for all of one measurement; owned */
    int reader; /* socket of the process that opens our pool */
    pid_t reader_pid;
    bool is_double; /* the driver is the tests' double: no figure means anything */
    char why[512];
};

/* Returns 0; STATUS_UNSUPPORTED or STATUS_BUSY: no device, `why` says why; or another status. */
int gpu_run_open(struct gpu_run *out_run, const char *which);
void gpu_run_close(struct gpu_run *run);

/* Bytes a second of moving GPU_RUN_BYTES in blocks: between pool and engine, in so many pieces a
 * block, or between host and pool. And of the driver's own copy of all in one piece. Returns 0 on
 * failure, and `why` says more. */
double gpu_run_blocks(
    struct gpu_run *run, enum gpu_run_way way, uint64_t block_bytes, uint32_t pieces);
double gpu_run_plain(struct gpu_run *run, enum gpu_run_way way);

/* Microseconds from a mark behind a small piece of work until the host has seen it, and of waiting
 * for the stream instead. Returns false on failure. */
bool gpu_run_marks(struct gpu_run *run, struct stats *out_marks_us, struct stats *out_waits_us);

/* Milliseconds that another process takes to map our pool, or as much memory in one piece, which is
 * the least that it can take. Negative on failure. */
double gpu_run_open_ms(struct gpu_run *run, const struct slab_pool *pool);

#endif
