/* gpu_run: see gpu_run.h. */
#include "bench/gpu_run.h"

#include "bench/clock.h"
#include "shm/hello.h"
#include "shm/status.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLAB_BYTES (UINT64_C(64) << 20)
#define SLABS (uint32_t)(GPU_RUN_BYTES / SLAB_BYTES)
#define WORK_BYTES 4096u
#define LEAST_BLOCK (UINT64_C(64) << 10)

/* What goes to the process that opens the pool, and what comes back. */
struct offer {
    struct driver_uuid uuid;
    uint64_t slab_bytes;
};

struct answer {
    int32_t status;
    uint32_t zero;
    double ms;
};

/* The other process: maps what it is offered, and says how long that took. */
static struct answer open_offer(
    const struct driver *driver, const struct offer *offer, const int *fds, uint32_t count)
{
    struct gpu gpu;
    struct driver_context *former;
    struct slab_pool shared = {.count = count, .slab_bytes = offer->slab_bytes};
    struct slab_pool pool;
    struct answer answer = {.ms = 0};
    char why[256];
    for (uint32_t i = 0; i < count; i++) {
        shared.slab[i].fd = fds[i];
    }
    int status = gpu_find(driver, &offer->uuid, &gpu);
    status = status == 0 ? gpu_open(&gpu, why, sizeof why) : status;
    status = status == 0 ? gpu_enter(&gpu, &former) : status;
    int64_t begun_ns = clock_now_ns();
    status = status == 0 ? slab_import(&gpu, &shared, false, &pool, why, sizeof why) : status;
    answer.ms = (double)(clock_now_ns() - begun_ns) / 1e6;
    answer.status = status;
    if (status == STATUS_OK) {
        slab_close(&pool);
    }
    return answer;
}

static void read_offers(int socket)
{
    struct driver driver;
    struct offer offer;
    int fds[SLABS];
    uint32_t count = 0;
    char why[256];
    bool open = false;
    while (hello_receive(socket, &offer, sizeof offer, fds, SLABS, &count) == STATUS_OK) {
        struct answer answer = {.status = STATUS_OK};
        if (!open) {
            answer.status = driver_open(&driver, why, sizeof why);
            open = answer.status == STATUS_OK;
        }
        if (open) {
            answer = open_offer(&driver, &offer, fds, count);
        }
        for (uint32_t i = 0; i < count; i++) {
            (void)close(fds[i]);
        }
        (void)hello_send(socket, &answer, sizeof answer, NULL, 0);
    }
}

/* Before the driver is loaded here: it does not survive fork(). */
static int start_reader(struct gpu_run *run)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return STATUS_IO;
    }
    run->reader_pid = fork();
    if (run->reader_pid == 0) {
        (void)close(ends[0]);
        read_offers(ends[1]);
        _exit(0);
    }
    (void)close(ends[1]);
    run->reader = ends[0];
    return run->reader_pid > 0 ? STATUS_OK : STATUS_IO;
}

static int open_memory(struct gpu_run *run)
{
    const struct gpu *gpu = &run->gpu;
    run->host =
        mmap(NULL, GPU_RUN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    run->page =
        mmap(NULL, MARK_WORD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    run->pieces = calloc(GPU_RUN_BYTES / LEAST_BLOCK * GPU_RUN_LAYERS, sizeof *run->pieces);
    if (run->host == MAP_FAILED || run->page == MAP_FAILED || run->pieces == NULL) {
        (void)snprintf(run->why, sizeof run->why, "no memory");
        return STATUS_NO_MEMORY;
    }
    int status = slab_make(gpu, SLAB_VMM, SLABS, SLAB_BYTES, &run->pool, run->why, sizeof run->why);
    status = status == 0 ? slab_make(gpu, SLAB_VMM, 1, GPU_RUN_BYTES, &run->engine, run->why,
                               sizeof run->why)
                         : status;
    status = status == 0 ? copy_open(gpu, &run->stream) : status;
    status = status == 0 ? pagelock_open(
                               gpu, run->host, GPU_RUN_BYTES, &run->lock, run->why, sizeof run->why)
                         : status;
    status = status == 0
                 ? mark_open(gpu, MARK_AUTO, run->page, &run->marks, run->why, sizeof run->why)
                 : status;
    return status;
}

int gpu_run_open(struct gpu_run *out_run, const char *which)
{
    struct gpu_run *run = out_run;
    *run = (struct gpu_run){.reader = -1, .host = MAP_FAILED, .page = MAP_FAILED};
    int status = start_reader(run);
    status = status == 0 ? driver_open(&run->driver, run->why, sizeof run->why) : status;
    if (status == STATUS_OK) {
        run->is_double = dlsym(run->driver.library, "cuda_double_violations") != NULL;
        status = gpu_choose(&run->driver, which, &run->gpu, run->why, sizeof run->why);
        status = status == 0 ? gpu_open(&run->gpu, run->why, sizeof run->why) : status;
        status = status == 0 ? gpu_enter(&run->gpu, &run->former) : status;
        status = status == 0 ? open_memory(run) : status;
    }
    if (status != STATUS_OK) {
        gpu_run_close(run);
    }
    return status;
}

void gpu_run_close(struct gpu_run *run)
{
    mark_close(&run->marks);
    pagelock_close(&run->lock);
    copy_close(&run->stream);
    slab_close(&run->engine);
    slab_close(&run->pool);
    if (run->gpu.context != NULL) {
        gpu_leave(&run->gpu, run->former);
        gpu_close(&run->gpu);
    }
    driver_close(&run->driver);
    if (run->host != MAP_FAILED) {
        (void)munmap(run->host, GPU_RUN_BYTES);
    }
    if (run->page != MAP_FAILED) {
        (void)munmap(run->page, MARK_WORD_BYTES);
    }
    free(run->pieces);
    run->pieces = NULL;
    if (run->reader >= 0) {
        (void)close(run->reader);
        (void)waitpid(run->reader_pid, NULL, 0); /* it ends with the socket */
        run->reader = -1;
    }
}

/* Wait for the stream; the rate since then, or 0. */
static double finish(struct gpu_run *run, int status, int64_t begun_ns)
{
    if (status == STATUS_OK) {
        status = driver_status(run->driver.cuStreamSynchronize(run->stream.stream));
    }
    int64_t wall_ns = clock_now_ns() - begun_ns;
    if (status != STATUS_OK) {
        (void)snprintf(run->why, sizeof run->why, "a copy failed (%d)", status);
        return 0;
    }
    return (double)GPU_RUN_BYTES / ((double)wall_ns / 1e9);
}

/* A tensor a layer: piece p of block b lies at layer p, place b. */
static void lay_out(struct gpu_run *run, uint64_t block_bytes, uint32_t pieces)
{
    uint64_t blocks = GPU_RUN_BYTES / block_bytes;
    uint64_t piece_bytes = block_bytes / pieces;
    for (uint64_t block = 0; block < blocks; block++) {
        for (uint64_t piece = 0; piece < pieces; piece++) {
            run->pieces[block * pieces + piece] = (struct copy_piece){
                .address = slab_address(&run->engine, (piece * blocks + block) * piece_bytes),
                .bytes = piece_bytes};
        }
    }
}

double gpu_run_blocks(
    struct gpu_run *run, enum gpu_run_way way, uint64_t block_bytes, uint32_t pieces)
{
    const struct gpu *gpu = &run->gpu;
    struct driver_stream *stream = run->stream.stream;
    uint64_t blocks = GPU_RUN_BYTES / block_bytes;
    int status = STATUS_OK;
    lay_out(run, block_bytes, pieces);
    int64_t begun_ns = clock_now_ns();
    for (uint64_t i = 0; i < blocks && status == STATUS_OK; i++) {
        /* Another order than the addresses': blocks of a prefix lie anywhere in the pool. */
        uint64_t place = i * 7919 % blocks;
        uint64_t block = slab_address(&run->pool, place * block_bytes);
        uint64_t host = (uint64_t)(uintptr_t)run->host + i * block_bytes;
        const struct copy_piece *list = run->pieces + i * pieces;
        struct copy down = {.to = block, .from = host, .bytes = block_bytes};
        struct copy up = {.to = host, .from = block, .bytes = block_bytes};
        switch (way) {
        case GPU_RUN_GATHER:
            status = copy_gather(gpu, stream, block, list, pieces);
            break;
        case GPU_RUN_SCATTER:
            status = copy_scatter(gpu, stream, block, list, pieces);
            break;
        case GPU_RUN_DOWN:
            status = copy_start(gpu, stream, &down, 1);
            break;
        case GPU_RUN_UP:
        case GPU_RUN_WAYS:
            status = copy_start(gpu, stream, &up, 1);
            break;
        }
    }
    return finish(run, status, begun_ns);
}

double gpu_run_plain(struct gpu_run *run, enum gpu_run_way way)
{
    uint64_t pool = slab_address(&run->pool, 0);
    uint64_t engine = slab_address(&run->engine, 0);
    uint64_t host = (uint64_t)(uintptr_t)run->host;
    const struct copy copies[GPU_RUN_WAYS] = {
        [GPU_RUN_GATHER] = {.to = pool, .from = engine, .bytes = GPU_RUN_BYTES},
        [GPU_RUN_SCATTER] = {.to = engine, .from = pool, .bytes = GPU_RUN_BYTES},
        [GPU_RUN_DOWN] = {.to = pool, .from = host, .bytes = GPU_RUN_BYTES},
        [GPU_RUN_UP] = {.to = host, .from = pool, .bytes = GPU_RUN_BYTES},
    };
    int64_t begun_ns = clock_now_ns();
    int status = copy_start(&run->gpu, run->stream.stream, &copies[way], 1);
    return finish(run, status, begun_ns);
}

bool gpu_run_marks(struct gpu_run *run, struct stats *out_marks_us, struct stats *out_waits_us)
{
    const struct driver *driver = &run->driver;
    struct driver_stream *stream = run->stream.stream;
    uint64_t at = slab_address(&run->pool, 0);
    for (uint32_t i = 0; i < GPU_RUN_MARKS; i++) {
        struct mark mark;
        int64_t begun_ns = clock_now_ns();
        (void)driver->cuMemsetD8Async(at, (unsigned char)i, WORK_BYTES, stream);
        int status = mark_take(&run->marks, stream, &mark);
        int passed = status;
        while (
            status == STATUS_OK && (passed = mark_passed(&run->marks, &mark)) == STATUS_PENDING) {
        }
        stats_add(out_marks_us, (double)(clock_now_ns() - begun_ns) / 1e3);
        if (passed != STATUS_OK) {
            return false;
        }
        mark_drop(&run->marks, &mark);
        begun_ns = clock_now_ns();
        (void)driver->cuMemsetD8Async(at, (unsigned char)i, WORK_BYTES, stream);
        (void)driver->cuStreamSynchronize(stream);
        stats_add(out_waits_us, (double)(clock_now_ns() - begun_ns) / 1e3);
    }
    return true;
}

double gpu_run_open_ms(struct gpu_run *run, const struct slab_pool *pool)
{
    struct offer offer = {.uuid = run->gpu.uuid, .slab_bytes = pool->slab_bytes};
    struct answer answer;
    int fds[SLABS];
    uint32_t count = 0;
    for (uint32_t i = 0; i < pool->count; i++) {
        fds[i] = pool->slab[i].fd;
    }
    if (hello_send(run->reader, &offer, sizeof offer, fds, pool->count) != STATUS_OK ||
        hello_receive(run->reader, &answer, sizeof answer, NULL, 0, &count) != STATUS_OK ||
        answer.status != STATUS_OK) {
        (void)snprintf(run->why, sizeof run->why, "another process could not open the pool");
        return -1;
    }
    return answer.ms;
}
