/* floor_disk: see floor_disk.h. */
#include "bench/floor_disk.h"

#include "bench/clock.h"
#include "bench/rng.h"
#include "bench/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MOST 128u

struct mover {
    const struct fio_job *job;
    struct io_uring ring;
    int fd;
    bool fixed; /* memory is registered; a small memlock limit does not allow it */
    char *memory;
    uint64_t stripes; /* of `depth` blocks each, in memory */
    uint64_t *random;
    uint64_t begun;
    uint64_t done;
    uint64_t count;
    int64_t begun_ns[DEPTH_MOST];
    double *latency_us;
};

static void begin(struct mover *mover, uint64_t lane)
{
    const struct fio_job *job = mover->job;
    uint64_t stripe = mover->begun / job->depth % mover->stripes;
    uint64_t places = job->file_bytes / job->block_bytes;
    uint64_t place = job->write ? mover->begun % places : rng_below(mover->random, places);
    int code = job->write ? (mover->fixed ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE)
                          : (mover->fixed ? IORING_OP_READ_FIXED : IORING_OP_READ);
    struct io_uring_sqe *entry = io_uring_get_sqe(&mover->ring);
    io_uring_prep_rw(code, entry, mover->fd,
        mover->memory + (stripe * job->depth + lane) * job->block_bytes, (unsigned)job->block_bytes,
        place * job->block_bytes);
    io_uring_sqe_set_data64(entry, lane);
    mover->begun_ns[lane] = clock_now_ns();
    mover->begun++;
}

/* Returns 0 or -errno. */
static int work(struct mover *mover)
{
    for (uint64_t lane = 0; lane < mover->job->depth && mover->begun < mover->count; lane++) {
        begin(mover, lane);
    }
    while (mover->done < mover->count) {
        int status = io_uring_submit_and_wait(&mover->ring, 1);
        struct io_uring_cqe *answer = NULL;
        while (status >= 0 && io_uring_peek_cqe(&mover->ring, &answer) == 0) {
            uint64_t lane = io_uring_cqe_get_data64(answer);
            int result = answer->res;
            io_uring_cqe_seen(&mover->ring, answer);
            if (result != (int)mover->job->block_bytes) {
                return result < 0 ? result : -ENODATA;
            }
            mover->latency_us[mover->done++] =
                (double)(clock_now_ns() - mover->begun_ns[lane]) / 1e3;
            if (mover->begun < mover->count) {
                begin(mover, lane);
            }
        }
        if (status < 0 && status != -EINTR) {
            return status;
        }
    }
    return 0;
}

/* As the tier's own ring, where the kernel has it. Returns 0 or -errno. */
static int open_ring(struct mover *mover, uint64_t memory_bytes)
{
    struct iovec span = {.iov_base = mover->memory, .iov_len = memory_bytes};
    int status = io_uring_queue_init(
        DEPTH_MOST, &mover->ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    status = status == -EINVAL ? io_uring_queue_init(DEPTH_MOST, &mover->ring, 0) : status;
    mover->fixed = status == 0 && io_uring_register_buffers(&mover->ring, &span, 1) == 0;
    return status;
}

static int measure(struct mover *mover, struct fio_result *out_result)
{
    int64_t cpu_ns = clock_cpu_ns();
    int64_t wall_ns = clock_now_ns();
    int status = work(mover);
    wall_ns = clock_now_ns() - wall_ns;
    cpu_ns = clock_cpu_ns() - cpu_ns;
    double moved = (double)(mover->count * mover->job->block_bytes);
    struct stats latency;
    stats_borrow(&latency, mover->latency_us, mover->done);
    *out_result = (struct fio_result){
        .bytes_per_s = moved / ((double)wall_ns / 1e9),
        .cpu_s_per_gb = (double)cpu_ns / moved,
        .p50_us = stats_percentile(&latency, 50),
        .p99_us = stats_percentile(&latency, 99),
    };
    return status;
}

bool floor_disk_run(const struct fio_job *job, void *memory, uint64_t memory_bytes,
    uint64_t *random, struct fio_result *out_result)
{
    struct mover mover = {
        .job = job,
        .memory = memory,
        .stripes = memory_bytes / (job->depth * job->block_bytes),
        .random = random,
        .count = job->run_bytes / job->block_bytes,
    };
    mover.fd = open(job->file, (job->write ? O_WRONLY : O_RDONLY) | O_DIRECT | O_CLOEXEC);
    mover.latency_us = calloc(mover.count, sizeof *mover.latency_us);
    int status = mover.fd < 0 ? -errno : 0;
    bool room = mover.latency_us != NULL && job->depth <= DEPTH_MOST && mover.stripes > 0;
    status = status == 0 && !room ? -ENOMEM : status;
    status = status == 0 ? open_ring(&mover, memory_bytes) : status;
    if (status == 0) {
        status = measure(&mover, out_result);
        io_uring_queue_exit(&mover.ring);
    }
    free(mover.latency_us);
    if (mover.fd >= 0) {
        (void)close(mover.fd);
    }
    if (status != 0) {
        fprintf(stderr, "cistern-bench: plain transfers of %s: %s\n", job->file, strerror(-status));
    }
    return status == 0;
}
