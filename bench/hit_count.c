/* hit_count: a forked client under the kernel's trap and the allocation counter. */
#include "bench/hit_count.h"

#include "bench/clock.h"
#include "bench/hit_loop.h"
#include "bench/malloc_count.h"
#include "bench/syscall_count.h"
#include "bench/workers.h"

#include <stdio.h>

#define TIMEOUT_NS (60 * CLOCK_NS_PER_S)

struct work {
    const struct client_settings *settings;
    const struct cistern_key *keys;
    size_t count;
    struct hit_count *shared;
};

static int count_body(int number, void *context)
{
    (void)number;
    const struct work *work = context;
    struct hit_count *result = work->shared;
    cistern_t *handle = NULL;
    /* A room of nothing: samples are dropped, so that measuring cannot be what is counted. */
    struct stats nothing = {0};
    if (!client_open(work->settings, &handle)) {
        return 1;
    }
    /* Once around before counting: page faults and first touches belong to attaching. */
    hit_loop_single(handle, work->keys, work->count, true, &nothing);
    result->trapped = syscall_count_start();
    uint64_t mallocs = malloc_count();
    result->missed = hit_loop_single(handle, work->keys, work->count, true, &nothing);
    result->missed += hit_loop_batch(handle, work->keys, work->count, &nothing);
    result->mallocs = malloc_count() - mallocs;
    result->syscalls = syscall_count();
    result->hits = 2 * work->count - result->missed;
    /* No close: it would make system calls, and the filter cannot be taken off. */
    return 0;
}

bool hit_count_run(const struct client_settings *settings, const struct cistern_key *keys,
    size_t count, struct hit_count *out_count)
{
    struct work work = {settings, keys, count / HIT_LOOP_BATCH * HIT_LOOP_BATCH,
        workers_share(sizeof *work.shared)};
    struct workers workers;
    bool good = work.shared != NULL && workers_start(&workers, 1, count_body, &work) &&
                workers_wait(&workers, TIMEOUT_NS, NULL, NULL);
    if (good) {
        *out_count = *work.shared;
    } else {
        fputs("cistern-bench: system calls and allocations could not be counted\n", stderr);
    }
    workers_unshare(work.shared, sizeof *work.shared);
    return good;
}
