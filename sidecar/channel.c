/* channel: see channel.h for the rules. */
#include "sidecar/channel.h"

#include "shm/bell.h"
#include "shm/status.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LINE 128u

/* The two ends of a ring of `count` entries. */
static void join(struct ring_writer *in, struct ring_reader *out, _Atomic uint64_t *words,
    _Atomic uint32_t *tail, _Atomic uint32_t *head, uint32_t count, uint32_t entry_words)
{
    assert(count > 0 && (count & (count - 1)) == 0);
    *in = (struct ring_writer){.words = words,
        .tail_word = tail,
        .head_word = head,
        .count = count,
        .entry_words = entry_words};
    *out = (struct ring_reader){.words = words,
        .tail_word = tail,
        .head_word = head,
        .count = count,
        .entry_words = entry_words};
}

int channel_open(int event_fd, const struct channel_shape *shape, struct channel **out_channel)
{
    size_t ask_words = (size_t)shape->asks * shape->ask_words;
    size_t answer_words = (size_t)shape->answers * shape->answer_words;
    size_t bytes = sizeof(struct channel) + (ask_words + answer_words) * sizeof(uint64_t);
    bytes = (bytes + LINE - 1) / LINE * LINE;
    struct channel *channel = aligned_alloc(LINE, bytes);
    if (channel == NULL) {
        return STATUS_NO_MEMORY;
    }
    memset(channel, 0, bytes);
    channel->event_fd = event_fd;
    channel->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (channel->wake_fd < 0) {
        free(channel);
        return STATUS_NO_MEMORY;
    }
    join(&channel->ask_in, &channel->ask_out, channel->words, &channel->ask_tail,
        &channel->ask_head, shape->asks, shape->ask_words);
    join(&channel->answer_in, &channel->answer_out, channel->words + ask_words,
        &channel->answer_tail, &channel->answer_head, shape->answers, shape->answer_words);
    *out_channel = channel;
    return STATUS_OK;
}

void channel_close(struct channel *channel)
{
    if (channel != NULL) {
        (void)close(channel->wake_fd);
        free(channel);
    }
}

static void put(struct ring_writer *ring, const void *entry)
{
    uint32_t room = ring_room(ring, 1);
    assert(room > 0);
    (void)room;
    ring_fill(ring, entry);
}

static bool take(struct ring_reader *ring, void *out_entry)
{
    if (ring_look(ring) != RING_ENTRY) {
        return false;
    }
    ring_copy(ring, out_entry);
    ring_return(ring);
    return true;
}

static void ring_bell(int fd)
{
    uint64_t one = 1;
    ssize_t written = write(fd, &one, sizeof one);
    (void)written; /* a counter that is full rings already */
}

void channel_rouse(struct channel *channel)
{
    ring_bell(channel->wake_fd);
}

void channel_alarm(struct channel *channel)
{
    ring_bell(channel->event_fd);
}

void channel_ask(struct channel *channel, const void *entry)
{
    put(&channel->ask_in, entry);
    ring_publish(&channel->ask_in);
    /* Partner: channel_sleep(). One ring a sleep is enough. */
    uint32_t nap = bell_look(&channel->thread_sleeping);
    if ((nap & 1) != 0 && nap != channel->thread_nap_rung) {
        channel->thread_nap_rung = nap;
        ring_bell(channel->wake_fd);
    }
}

bool channel_take(struct channel *channel, void *out_entry)
{
    return take(&channel->answer_out, out_entry);
}

bool channel_front_sleep(struct channel *channel)
{
    /* A number of its own each time, also if it never woke: the thread rings once for each. */
    channel->naps = (channel->naps + 1) | 1;
    bell_announce(&channel->front_sleeping, channel->naps);
    return ring_look(&channel->answer_out) == RING_ENTRY;
}

void channel_front_wake(struct channel *channel)
{
    if ((channel->naps & 1) != 0) {
        bell_awake(&channel->front_sleeping, ++channel->naps);
    }
}

bool channel_next(struct channel *channel, void *out_entry)
{
    return take(&channel->ask_out, out_entry);
}

bool channel_sleep(struct channel *channel)
{
    bell_announce(&channel->thread_sleeping, ++channel->thread_naps);
    return ring_look(&channel->ask_out) == RING_ENTRY;
}

void channel_wake(struct channel *channel)
{
    bell_awake(&channel->thread_sleeping, ++channel->thread_naps);
}

void channel_put(struct channel *channel, const void *entry)
{
    put(&channel->answer_in, entry);
}

void channel_show(struct channel *channel)
{
    ring_publish(&channel->answer_in);
    /* Partner: channel_front_sleep(). */
    uint32_t nap = bell_look(&channel->front_sleeping);
    if ((nap & 1) != 0 && nap != channel->front_nap_rung) {
        channel->front_nap_rung = nap;
        shared64_store_relaxed(&channel->rung, shared64_load_relaxed(&channel->rung) + 1);
        ring_bell(channel->event_fd);
    }
}
