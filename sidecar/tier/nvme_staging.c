/* nvme_staging: one mapping, cut once into what transfers need. See nvme_worker.h. */
#include "sidecar/tier/nvme_worker.h"

#include "shm/status.h"

#include <sys/mman.h>

#define PAGE ((uint64_t)NVME_FORMAT_PAGE)
#define BUFFERS_RAW 8u /* for blocks that move; all else goes to and from the pool itself */
#define BUFFERS_CODED 8u
#define BUFFERS_BYTES_MOST (UINT64_C(512) << 20)

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

static uint32_t count_buffers(const struct nvme_staging *staging)
{
    uint32_t wanted = staging->scratch_offset == 0 ? BUFFERS_RAW : BUFFERS_CODED;
    uint64_t fit = BUFFERS_BYTES_MOST / staging->buffer_bytes;
    return fit >= wanted ? wanted : fit < 2 ? 2 : (uint32_t)fit;
}

int nvme_staging_open(struct nvme_worker *worker)
{
    struct nvme_staging staging = {.memory = NULL};
    const struct record_rules *rules = &worker->options.rules;
    uint64_t block = round_up(worker->options.block_bytes_most);
    uint64_t coded = round_up(record_scratch_bytes(rules, block));
    /* A payload is at most the block, or what its codec's bound says. */
    uint64_t payload = coded > block ? coded : block;
    staging.scratch_offset = coded == 0 ? 0 : payload;
    staging.buffer_bytes = payload + coded;
    uint32_t buffers = count_buffers(&staging);
    uint64_t fixed =
        (NVME_WORKER_GROUPS + NVME_WORKER_PARTS + 1) * PAGE + NVME_WORKER_RECOVER_BYTES;
    staging.bytes = fixed + buffers * staging.buffer_bytes;
    char *memory =
        mmap(NULL, staging.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return STATUS_NO_MEMORY;
    }
    staging.memory = memory;
    staging.group = (struct nvme_format_page *)(void *)memory;
    struct nvme_format_page *part = staging.group + NVME_WORKER_GROUPS;
    for (uint32_t i = 0; i < NVME_WORKER_PARTS; i++, part++) {
        *(void **)part = staging.part_free;
        staging.part_free = part;
    }
    staging.page = part;
    staging.recover = (char *)(part + 1);
    for (uint32_t i = 0; i < buffers; i++) {
        void *buffer = memory + fixed + i * staging.buffer_bytes;
        *(void **)buffer = staging.buffer_free;
        staging.buffer_free = buffer;
    }
    worker->staging = staging;
    return STATUS_OK;
}

void nvme_staging_close(struct nvme_worker *worker)
{
    if (worker->staging.memory != NULL) {
        (void)munmap(worker->staging.memory, worker->staging.bytes);
        worker->staging.memory = NULL;
    }
}

void *nvme_staging_take(struct nvme_worker *worker)
{
    void *buffer = worker->staging.buffer_free;
    if (buffer != NULL) {
        worker->staging.buffer_free = *(void **)buffer;
    }
    return buffer;
}

void nvme_staging_drop(struct nvme_worker *worker, void *buffer)
{
    if (buffer != NULL) {
        *(void **)buffer = worker->staging.buffer_free;
        worker->staging.buffer_free = buffer;
    }
}

void *nvme_staging_scratch(const struct nvme_worker *worker, void *buffer)
{
    return (char *)buffer + worker->staging.scratch_offset;
}
