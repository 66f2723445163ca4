/* stats: what a handle did, summed over the seats that its threads ever had. */
#include "libclient/core.h"
#include "libclient/why.h"
#include "shm/status.h"

static uint64_t sum(const struct cistern *handle, enum core_count what)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < handle->hello.seats; i++) {
        total += shared64_load_relaxed(&handle->arena->seats[i].counts[what]);
    }
    return total;
}

int cistern_stats(cistern_t *handle, struct cistern_stats *out_stats)
{
    if (handle == NULL || out_stats == NULL || out_stats->size < sizeof *out_stats) {
        return why_failed(STATUS_INVALID, "cistern_stats: NULL, or out_stats->size is too small");
    }
    if (core_is_forked(handle)) {
        return why_failed(STATUS_FORKED, "the handle was opened by the parent process");
    }
    out_stats->attached = shared32_load_relaxed(&handle->era) & 1;
    out_stats->hits = sum(handle, CORE_HITS);
    out_stats->misses = sum(handle, CORE_MISSES);
    out_stats->retries = sum(handle, CORE_RETRIES);
    out_stats->violations = sum(handle, CORE_VIOLATIONS);
    out_stats->checksum_failures = sum(handle, CORE_CHECKSUM_FAILURES);
    out_stats->commits = sum(handle, CORE_COMMITS);
    out_stats->aborts = sum(handle, CORE_ABORTS);
    out_stats->grant_waits = sum(handle, CORE_GRANT_WAITS);
    out_stats->bells = sum(handle, CORE_BELLS);
    out_stats->reattaches = shared64_load_relaxed(&handle->reattaches);
    (void)pthread_mutex_lock(&handle->lock);
    const struct attach *attach = handle->current;
    out_stats->pins_per_thread = attach == NULL ? 0 : attach->shape.pins;
    out_stats->device = attach != NULL && attach->slabs != NULL;
    (void)pthread_mutex_unlock(&handle->lock);
    return STATUS_OK;
}
