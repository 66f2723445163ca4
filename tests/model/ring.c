/* ring: ordering 1 as a ring's tail, and the same argument backwards for its head: three entries
 * pass through a ring of two, so an entry and the plain memory that it speaks of are used again. */
#include "shm/ring.h"

#include <assert.h>
#include <pthread.h>

#define COUNT 2u
#define SENT 3u

static _Atomic uint64_t words[COUNT * 2];
static _Atomic uint32_t tail_word;
static _Atomic uint32_t head_word;
static int plain[COUNT];

static void *writer(void *unused)
{
    struct ring_writer ring = {.words = words,
        .tail_word = &tail_word,
        .head_word = &head_word,
        .count = COUNT,
        .entry_words = 2};
    for (uint32_t i = 0; i < SENT; i++) {
        uint64_t entry[2] = {i + 1, (i + 1) * 10};
        if (ring_room(&ring, 1) == 0) {
            break;
        }
        plain[i % COUNT] = (int)i + 1;
        ring_fill(&ring, entry);
        ring_publish(&ring);
    }
    return unused;
}

static void *reader(void *unused)
{
    struct ring_reader ring = {.words = words,
        .tail_word = &tail_word,
        .head_word = &head_word,
        .count = COUNT,
        .entry_words = 2};
    for (uint32_t i = 0; i < SENT; i++) {
        enum ring_result result = ring_look(&ring);
        assert(result != RING_WILD);
        if (result == RING_EMPTY) {
            break;
        }
        uint64_t entry[2];
        ring_copy(&ring, entry);
        assert(entry[0] == i + 1 && entry[1] == (i + 1) * 10);
        int value = plain[i % COUNT];
        assert(value == (int)i + 1);
        ring_return(&ring);
    }
    return unused;
}

int main(void)
{
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, writer, NULL);
    pthread_create(&threads[1], NULL, reader, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}
