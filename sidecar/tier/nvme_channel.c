/* nvme_channel: see nvme_channel.h for the rules. */
#include "sidecar/tier/nvme_channel.h"

#include "shm/bell.h"
#include "shm/status.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PART UINT64_C(1) /* ops are aligned: the lowest bit of their address is free */

int nvme_channel_open(int event_fd, struct nvme_channel **out_channel)
{
    size_t bytes = (sizeof(struct nvme_channel) + 127) / 128 * 128;
    struct nvme_channel *channel = aligned_alloc(128, bytes);
    if (channel == NULL) {
        return STATUS_NO_MEMORY;
    }
    memset(channel, 0, sizeof *channel);
    channel->event_fd = event_fd;
    channel->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (channel->wake_fd < 0) {
        free(channel);
        return STATUS_NO_MEMORY;
    }
    channel->ask_in = (struct ring_writer){.words = channel->ask_words,
        .tail_word = &channel->ask_tail,
        .head_word = &channel->ask_head,
        .count = NVME_CHANNEL_OPS,
        .entry_words = 1};
    channel->ask_out = (struct ring_reader){.words = channel->ask_words,
        .tail_word = &channel->ask_tail,
        .head_word = &channel->ask_head,
        .count = NVME_CHANNEL_OPS,
        .entry_words = 1};
    channel->answer_in = (struct ring_writer){.words = channel->answer_words,
        .tail_word = &channel->answer_tail,
        .head_word = &channel->answer_head,
        .count = 2 * NVME_CHANNEL_OPS,
        .entry_words = 1};
    channel->answer_out = (struct ring_reader){.words = channel->answer_words,
        .tail_word = &channel->answer_tail,
        .head_word = &channel->answer_head,
        .count = 2 * NVME_CHANNEL_OPS,
        .entry_words = 1};
    *out_channel = channel;
    return STATUS_OK;
}

void nvme_channel_close(struct nvme_channel *channel)
{
    if (channel != NULL) {
        (void)close(channel->wake_fd);
        free(channel);
    }
}

static void put(struct ring_writer *ring, struct nvme_op *op, uint64_t mark)
{
    uint32_t room = ring_room(ring, 1);
    uint64_t word = (uint64_t)(uintptr_t)op | mark;
    assert(room > 0);
    (void)room;
    ring_fill(ring, &word);
}

static struct nvme_op *take(struct ring_reader *ring, bool *out_part)
{
    uint64_t word;
    if (ring_look(ring) != RING_ENTRY) {
        return NULL;
    }
    ring_copy(ring, &word);
    ring_return(ring);
    *out_part = (word & PART) != 0;
    return (struct nvme_op *)(uintptr_t)(word & ~PART);
}

static void ring_bell(int fd)
{
    uint64_t one = 1;
    ssize_t written = write(fd, &one, sizeof one);
    (void)written; /* a counter that is full rings already */
}

void nvme_channel_ask(struct nvme_channel *channel, struct nvme_op *op)
{
    put(&channel->ask_in, op, 0);
    ring_publish(&channel->ask_in);
    /* Partner: nvme_channel_sleep(). One ring a sleep is enough. */
    uint32_t nap = bell_look(&channel->thread_sleeping);
    if ((nap & 1) != 0 && nap != channel->thread_nap_rung) {
        channel->thread_nap_rung = nap;
        ring_bell(channel->wake_fd);
    }
}

struct nvme_op *nvme_channel_take(struct nvme_channel *channel, bool *out_part)
{
    return take(&channel->answer_out, out_part);
}

bool nvme_channel_front_sleep(struct nvme_channel *channel)
{
    /* A number of its own each time, also if it never woke: the thread rings once for each. */
    channel->naps = (channel->naps + 1) | 1;
    bell_announce(&channel->front_sleeping, channel->naps);
    return ring_look(&channel->answer_out) == RING_ENTRY;
}

void nvme_channel_front_wake(struct nvme_channel *channel)
{
    if ((channel->naps & 1) != 0) {
        bell_awake(&channel->front_sleeping, ++channel->naps);
    }
}

struct nvme_op *nvme_channel_next(struct nvme_channel *channel)
{
    bool part;
    return take(&channel->ask_out, &part);
}

bool nvme_channel_sleep(struct nvme_channel *channel)
{
    bell_announce(&channel->thread_sleeping, ++channel->thread_naps);
    return ring_look(&channel->ask_out) == RING_ENTRY;
}

void nvme_channel_wake(struct nvme_channel *channel)
{
    bell_awake(&channel->thread_sleeping, ++channel->thread_naps);
}

void nvme_channel_put(struct nvme_channel *channel, struct nvme_op *op, bool part)
{
    put(&channel->answer_in, op, part ? PART : 0);
}

void nvme_channel_show(struct nvme_channel *channel)
{
    ring_publish(&channel->answer_in);
    /* Partner: nvme_channel_front_sleep(). */
    uint32_t nap = bell_look(&channel->front_sleeping);
    if ((nap & 1) != 0 && nap != channel->front_nap_rung) {
        channel->front_nap_rung = nap;
        nvme_channel_add(&channel->rung, 1);
        ring_bell(channel->event_fd);
    }
}
