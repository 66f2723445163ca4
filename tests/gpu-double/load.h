/* load: workers that write and read blocks by kernels, on several streams at once, as fast as the
 * device goes: what is out of order shows as words that are not the block's.
 *
 *   producer  spin, fill one half, spin, fill the other ─▶ slots, committed ─┐   a lane: a stream
 *   consumer  check all of it ◀─ tensors ◀─ spin ◀─ blocks, pinned ◀─────────┘   and its tensors
 *
 * In place, there are no tensors between: kernels fill the slots and check the blocks themselves.
 * The pool is small: each slot is written again dozens of times. Consumers look for blocks from the
 * moment on when they were put into a stream. A way to write, or to read, may be wrong on purpose,
 * which proves that wrong ones are seen.
 */
#ifndef CISTERN_TESTS_GPU_DOUBLE_LOAD_H
#define CISTERN_TESTS_GPU_DOUBLE_LOAD_H

#include "tests/e2e/worker.h"
#include "tests/gpu-double/desk.h"
#include "tests/gpu-double/kernels.h"

#define LOAD_WORKERS 4u /* of either kind, at most */
#define LOAD_LANES 4u
#define LOAD_BATCH 4u /* blocks of one round */

/* A stream, and where an engine has the blocks that go through it. */
struct load_lane {
    struct copy_stream stream;
    uint64_t tensors; /* room for a batch */
    uint64_t errors; /* the word in which kernels count */
};

/* In a child: a worker of this load. */
struct load_worker {
    const struct load *load;
    struct desk desk;
    struct kernels kernels;
    struct load_lane lane[LOAD_LANES];
    uint64_t random;
    uint64_t host_errors; /* blocks that were wrong where they lie in host memory */
    uint64_t in_place; /* blocks read where they lie on the device */
};

/* Blocks `number`, `number` + 1, … : bring them from the lane into slots, unless they are made in
 * these, and commit them; or check them (load_check()), where they lie or in the lane, and release
 * the views. On success the slots, or views, are the device's. */
struct load_way {
    int (*write)(struct load_worker *worker, struct load_lane *lane, struct cistern_slot *slots,
        uint64_t number, size_t count);
    int (*read)(struct load_worker *worker, struct load_lane *lane, struct cistern_view *views,
        uint64_t number, size_t count);
    bool in_place;
    bool is_wrong; /* on purpose */
};

struct load {
    const struct daemon *daemon;
    const struct load_way *way;
    uint64_t seed;
    uint32_t producers; /* 1 to LOAD_WORKERS, and so are consumers */
    uint32_t consumers;
    uint32_t rounds; /* of each producer */
    uint64_t most_ns; /* for all of them */
    /* What is done to the sidecar meanwhile, or NULL; workers then go on without one. Returns
     * false on failure. */
    bool (*disturb)(struct load *load);
    struct child producer[LOAD_WORKERS];
    struct child consumer[LOAD_WORKERS];
};

struct load_result {
    uint64_t written; /* blocks */
    uint64_t read;
    uint64_t host_errors; /* blocks */
    uint64_t device_errors; /* words */
    uint64_t in_place; /* blocks, of those read */
};

/* Where the block `i` of a lane's batch is. */
static inline uint64_t load_tensor(const struct load_lane *lane, size_t i)
{
    return lane->tensors + i * WORKER_BLOCK_BYTES;
}

/* Put a check of the block at that address of the device into the lane's stream. */
void load_check(const struct load_worker *worker, const struct load_lane *lane, uint64_t address,
    uint64_t number);

/* All that producers have put into streams so far, in blocks. */
uint64_t load_made(const struct load *load);

/* Run it to its end. Returns false if a worker failed; what it said is on stderr. */
bool load_run(struct load *load, struct load_result *out_result);

#endif
