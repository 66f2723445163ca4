/* nvme_run: see nvme_run.h. */
#include "bench/nvme_run.h"

#include "bench/clock.h"
#include "bench/rng.h"
#include "bench/stats.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define POOL_BYTES (UINT64_C(256) << 20)
#define HUGE_BYTES (UINT64_C(2) << 20)
#define REGION_BYTES (UINT64_C(64) << 20)
#define PENDING 2 /* STATUS_PENDING, CISTERN_PENDING */
#define POLL_NS INT64_C(50000) /* as long as cisternd looks before it sleeps */
#define EVENTS 64u
#define WAIT_MS 10000

/* One pass over so many blocks. */
struct pass {
    struct nvme_run *run;
    uint64_t *begun_ns; /* by buffer */
    bool store;
    uint64_t begun;
    uint64_t done;
    uint64_t good;
    uint64_t count;
    uint32_t width; /* blocks begun and not done, at most */
};

static struct tier_id id_of(uint64_t number)
{
    struct tier_id id;
    uint64_t state = number;
    memset(&id, 0, sizeof id);
    for (int i = 0; i < 4; i++) {
        id.key.word[i] = rng_next(&state);
    }
    id.space[0] = 1;
    return id;
}

static int begin(struct pass *pass, uint64_t buffer)
{
    struct nvme_run *run = pass->run;
    /* All of the pool in turn, as slots are: what nobody looked at lately is in no cache. */
    uint64_t stripe =
        pass->begun / pass->width % (run->pool_bytes / run->block_bytes / pass->width);
    uint8_t *data = run->pool + (stripe * pass->width + buffer) * run->block_bytes;
    pass->begun_ns[buffer] = (uint64_t)clock_now_ns();
    if (pass->store) {
        struct tier_block block = {.id = id_of(run->next), .data = data, .bytes = run->block_bytes};
        int status = tier_store(run->tier, &block, buffer);
        run->next += status == PENDING;
        return status;
    }
    uint64_t number = run->first + rng_below(&run->random, run->next - run->first);
    struct tier_wish wish = {.id = id_of(number),
        .out_data = data,
        .room = run->block_bytes,
        .deadline_ns = UINT64_MAX,
        .urgency = TIER_URGENT};
    return tier_load(run->tier, &wish, buffer);
}

static void take(struct pass *pass, const struct tier_done *done, uint64_t *ready, uint32_t *count)
{
    struct nvme_run *run = pass->run;
    if (done->event == TIER_LOST) {
        run->first++; /* they go oldest first, but for the few that moved */
    } else if (done->event == TIER_STORED || done->event == TIER_LOADED) {
        double us = (double)((uint64_t)clock_now_ns() - pass->begun_ns[done->cookie]) / 1e3;
        if (pass->done < run->latency_room) {
            run->latency_us[pass->done] = us;
        }
        pass->done++;
        pass->good += done->status == 0;
        ready[(*count)++] = done->cookie;
    }
}

/* Keep `width` under way until all are done. Returns false if one hung. */
static bool work(struct pass *pass)
{
    struct nvme_run *run = pass->run;
    struct tier_done done[EVENTS];
    uint64_t ready[EVENTS + 256];
    uint32_t free = 0;
    for (uint32_t i = 0; i < pass->width; i++) {
        ready[free++] = i;
    }
    while (pass->done < pass->count) {
        while (free > 0 && pass->begun < pass->count) {
            if (begin(pass, ready[free - 1]) != PENDING) {
                break; /* busy, or given up meanwhile: after the next events */
            }
            free--;
            pass->begun++;
        }
        uint32_t count = tier_poll(run->tier, (uint64_t)clock_now_ns(), done, EVENTS);
        for (int64_t until = clock_now_ns() + POLL_NS; count == 0 && clock_now_ns() < until;) {
            count = tier_poll(run->tier, (uint64_t)clock_now_ns(), done, EVENTS);
        }
        for (uint32_t i = 0; i < count; i++) {
            take(pass, &done[i], ready, &free);
        }
        struct pollfd watch = {.fd = tier_fd(run->tier), .events = POLLIN};
        if (count == 0 && pass->begun > pass->done && poll(&watch, 1, WAIT_MS) == 0) {
            fprintf(stderr, "cistern-bench: nothing came from the disk in %d ms\n", WAIT_MS);
            return false;
        }
    }
    return true;
}

static bool move(
    struct nvme_run *run, bool store, uint32_t width, uint64_t bytes, struct fio_result *out_result)
{
    uint64_t begun_ns[256];
    struct pass pass = {.run = run,
        .begun_ns = begun_ns,
        .store = store,
        .count = bytes / run->block_bytes,
        .width = width};
    int64_t cpu_ns = clock_cpu_ns();
    int64_t wall_ns = clock_now_ns();
    if (!work(&pass)) {
        return false;
    }
    wall_ns = clock_now_ns() - wall_ns;
    cpu_ns = clock_cpu_ns() - cpu_ns;
    if (pass.good < pass.count) {
        fprintf(stderr, "cistern-bench: %llu of %llu blocks were not %s\n",
            (unsigned long long)(pass.count - pass.good), (unsigned long long)pass.count,
            store ? "stored" : "loaded");
        return false;
    }
    struct stats latency;
    uint64_t seen = pass.done < run->latency_room ? pass.done : run->latency_room;
    stats_borrow(&latency, run->latency_us, seen);
    double moved = (double)(pass.count * run->block_bytes);
    *out_result = (struct fio_result){
        .bytes_per_s = moved / ((double)wall_ns / 1e9),
        .cpu_s_per_gb = (double)cpu_ns / moved, /* ns a byte is seconds a GB */
        .p50_us = stats_percentile(&latency, 50),
        .p99_us = stats_percentile(&latency, 99),
    };
    return true;
}

bool nvme_run_spill(struct nvme_run *run, uint64_t bytes, struct fio_result *out_result)
{
    return move(run, true, 2 * run->depth, bytes, out_result);
}

bool nvme_run_fetch(struct nvme_run *run, uint64_t bytes, struct fio_result *out_result)
{
    return move(run, false, run->depth, bytes, out_result);
}

bool nvme_run_prefix(struct nvme_run *run, uint64_t bytes, struct fio_result *out_result)
{
    return move(run, false, 2 * run->depth, bytes, out_result);
}

/* In huge pages as the daemon's pool, here transparent ones, which need no set-up: of scattered
 * pages of 4 KiB a transfer has hundreds of segments, and the disk gives half (nvme.md, 16). */
static bool open_pool(struct nvme_run *run)
{
    uint64_t bytes = run->pool_bytes + HUGE_BYTES;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("cistern-bench: pool");
        return false;
    }
    run->memory = memory;
    uint64_t skip = (HUGE_BYTES - (uintptr_t)memory % HUGE_BYTES) % HUGE_BYTES;
    run->pool = (uint8_t *)memory + skip;
    (void)madvise(run->pool, run->pool_bytes, MADV_HUGEPAGE);
    (void)madvise(run->pool, run->pool_bytes, MADV_DONTFORK);
    for (uint64_t at = 0; at < run->pool_bytes; at += sizeof run->random) {
        uint64_t word = rng_next(&run->random);
        memcpy(run->pool + at, &word, sizeof word);
    }
    return true;
}

bool nvme_run_open(struct nvme_run *out_run, const char *directory, uint64_t file_bytes,
    uint64_t block_bytes, uint32_t depth, uint64_t seed)
{
    struct nvme_run *run = out_run;
    *run = (struct nvme_run){.pool_bytes = POOL_BYTES,
        .block_bytes = block_bytes,
        .depth = depth,
        .random = seed,
        .latency_room = file_bytes / block_bytes};
    run->latency_us = calloc(run->latency_room, sizeof *run->latency_us);
    log_init(&run->log, STDERR_FILENO, LOG_WARN);
    if (run->latency_us == NULL || depth > 128 || !open_pool(run)) {
        nvme_run_close(run);
        return false;
    }
    struct tier_nvme_options options = {.directories = {directory},
        .directory_count = 1,
        .bytes = file_bytes,
        .region_bytes = REGION_BYTES,
        .block_bytes_most = block_bytes,
        .depth = depth,
        .pool = run->pool,
        .pool_bytes = run->pool_bytes,
        .log = &run->log};
    struct fio_result ignored;
    if (tier_nvme_open(&options, &run->tier, run->why, sizeof run->why) != 0) {
        fprintf(stderr, "cistern-bench: %s\n", run->why);
        nvme_run_close(run);
        return false;
    }
    /* Once and a quarter: every region was written, and giving them up has begun. */
    return nvme_run_spill(run, file_bytes / 4 * 5, &ignored);
}

void nvme_run_close(struct nvme_run *run)
{
    if (run->tier != NULL) {
        tier_close(run->tier, UINT64_C(10000000000));
        run->tier = NULL;
    }
    if (run->memory != NULL) {
        (void)munmap(run->memory, run->pool_bytes + HUGE_BYTES);
        run->memory = NULL;
    }
    free(run->latency_us);
    run->latency_us = NULL;
}
