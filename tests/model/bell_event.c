/* bell_event: the third sleeper: a program that polls its socket and then drains the event ring.
 * The server signals only a client that has taken all it was signalled for; the client takes the
 * signal first, then the events, fences, and looks once more. Events left without a signal are
 * lost. */
#include "shm/bell.h"
#include "shm/ring.h"

#include <assert.h>
#include <pthread.h>

#define SENT 2u

static _Atomic uint64_t words[2];
static _Atomic uint32_t tail_word;
static _Atomic uint32_t head_word;
static _Atomic uint32_t signals; /* the socket: bytes ever sent */
static uint32_t signals_read;
static uint32_t taken;

static void *server(void *unused)
{
    struct ring_writer ring = {.words = words,
        .tail_word = &tail_word,
        .head_word = &head_word,
        .count = 2,
        .entry_words = 1};
    uint32_t signalled = 0;
    uint32_t sent = 0;
    for (uint64_t i = 0; i < SENT; i++) {
        ring_fill(&ring, &i);
        ring_publish(&ring);
        uint32_t head = bell_look(&head_word);
        if ((int32_t)(head - signalled) >= 0) {
            signalled = ring.tail;
            shared32_store_release(&signals, ++sent);
        }
    }
    return unused;
}

static void take_signals(void)
{
    signals_read = shared32_load_acquire(&signals);
}

static void take_events(struct ring_reader *ring)
{
    uint64_t entry;
    enum ring_result result = ring_look(ring);
    while (result == RING_ENTRY) {
        ring_copy(ring, &entry);
        ring_return(ring);
        shared_fence_full();
        result = ring_look(ring);
    }
}

static void *client(void *unused)
{
    struct ring_reader ring = {.words = words,
        .tail_word = &tail_word,
        .head_word = &head_word,
        .count = 2,
        .entry_words = 1};
    for (int i = 0; i < 2; i++) {
        take_signals();
        take_events(&ring);
    }
    taken = ring.head;
    return unused;
}

int main(void)
{
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, server, NULL);
    pthread_create(&threads[1], NULL, client, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    assert(taken == SENT || shared32_load_acquire(&signals) > signals_read);
    return 0;
}
