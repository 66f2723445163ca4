/* nvme_channel: see nvme_channel.h for the rules. */
#include "sidecar/tier/nvme_channel.h"

#include "shm/status.h"

#include <stdlib.h>
#include <string.h>

#define PART UINT64_C(1) /* ops are aligned: the lowest bit of their address is free */

int nvme_channel_open(int event_fd, struct nvme_channel **out_channel)
{
    const struct channel_shape shape = {.asks = NVME_CHANNEL_OPS,
        .ask_words = 1,
        .answers = 2 * NVME_CHANNEL_OPS,
        .answer_words = 1};
    struct nvme_channel *channel = aligned_alloc(128, sizeof *channel);
    if (channel == NULL) {
        return STATUS_NO_MEMORY;
    }
    memset(channel, 0, sizeof *channel);
    int status = channel_open(event_fd, &shape, &channel->queue);
    if (status != STATUS_OK) {
        free(channel);
        return status;
    }
    *out_channel = channel;
    return STATUS_OK;
}

void nvme_channel_close(struct nvme_channel *channel)
{
    if (channel != NULL) {
        channel_close(channel->queue);
        free(channel);
    }
}

void nvme_channel_ask(struct nvme_channel *channel, struct nvme_op *op)
{
    uint64_t word = (uint64_t)(uintptr_t)op;
    channel_ask(channel->queue, &word);
}

struct nvme_op *nvme_channel_take(struct nvme_channel *channel, bool *out_part)
{
    uint64_t word;
    if (!channel_take(channel->queue, &word)) {
        return NULL;
    }
    *out_part = (word & PART) != 0;
    return (struct nvme_op *)(uintptr_t)(word & ~PART);
}

struct nvme_op *nvme_channel_next(struct nvme_channel *channel)
{
    uint64_t word;
    return channel_next(channel->queue, &word) ? (struct nvme_op *)(uintptr_t)word : NULL;
}

void nvme_channel_put(struct nvme_channel *channel, struct nvme_op *op, bool part)
{
    uint64_t word = (uint64_t)(uintptr_t)op | (part ? PART : 0);
    channel_put(channel->queue, &word);
}
