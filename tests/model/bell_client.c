/* bell_client: the other direction: a thread of a client sleeps on its reply tail, and the server
 * wakes it only if it says that it sleeps. The futex's own look at the tail is left out: the
 * announce and the fences must be enough. */
#include "shm/bell.h"
#include "shm/ring.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>

static _Atomic uint64_t words[1];
static _Atomic uint32_t reply_tail;
static _Atomic uint32_t reply_head;
static _Atomic uint32_t sleeping;
static bool woken;
static bool slept;

static void *server(void *unused)
{
    struct ring_writer ring = {.words = words,
        .tail_word = &reply_tail,
        .head_word = &reply_head,
        .count = 1,
        .entry_words = 1};
    uint64_t entry = 7;
    ring_fill(&ring, &entry);
    ring_publish(&ring);
    woken = bell_look(&sleeping) == 1;
    return unused;
}

static void *client(void *unused)
{
    struct ring_reader ring = {.words = words,
        .tail_word = &reply_tail,
        .head_word = &reply_head,
        .count = 1,
        .entry_words = 1};
    bell_announce(&sleeping, 1);
    if (ring_look(&ring) == RING_EMPTY) {
        slept = true;
        return unused;
    }
    bell_awake(&sleeping, 0);
    uint64_t entry;
    ring_copy(&ring, &entry);
    assert(entry == 7);
    return unused;
}

int main(void)
{
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, server, NULL);
    pthread_create(&threads[1], NULL, client, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    assert(!slept || woken);
    return 0;
}
