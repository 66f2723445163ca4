/* bell_server: "is the other side asleep?": a client shows two requests and rings at most once per
 * sleep; the server sleeps twice. The first sleep may end by itself, as the safety timeout ends
 * it. If the second begins while a request waits, and no ring of the bell is for it, the wake-up
 * is lost. */
#include "shm/bell.h"
#include "shm/ring.h"

#include <assert.h>
#include <pthread.h>

#define SENT 2u

static _Atomic uint64_t words[2];
static _Atomic uint32_t tail_word;
static _Atomic uint32_t head_word;
static _Atomic uint32_t server_sleeping;
static uint32_t rung[SENT]; /* the sleep for which the client rang after request i, or 0 */
static uint32_t slept; /* the server's last sleep, if it found the ring empty, or 0 */
static uint32_t seen; /* how many requests it had read by then */

static void *client(void *unused)
{
    struct ring_writer ring = {.words = words,
        .tail_word = &tail_word,
        .head_word = &head_word,
        .count = 2,
        .entry_words = 1};
    uint32_t last = 0;
    for (uint64_t i = 0; i < SENT; i++) {
        ring_fill(&ring, &i);
        ring_publish(&ring);
        uint32_t sleep = bell_look(&server_sleeping);
        if (sleep % 2 == 1 && sleep != last) {
            last = sleep;
            rung[i] = sleep;
        }
    }
    return unused;
}

static void *server(void *unused)
{
    struct ring_reader ring = {.words = words,
        .tail_word = &tail_word,
        .head_word = &head_word,
        .count = 2,
        .entry_words = 1};
    uint64_t entry;
    bell_announce(&server_sleeping, 1);
    (void)ring_look(&ring);
    bell_awake(&server_sleeping, 2);
    while (ring_look(&ring) == RING_ENTRY) {
        ring_copy(&ring, &entry);
    }
    bell_announce(&server_sleeping, 3);
    if (ring_look(&ring) == RING_EMPTY) {
        slept = 3;
        seen = ring.head;
    }
    return unused;
}

int main(void)
{
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, client, NULL);
    pthread_create(&threads[1], NULL, server, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    assert(slept == 0 || seen == SENT || rung[0] == slept || rung[1] == slept);
    return 0;
}
