/* Entries pass through a ring whole and in order, and so does the plain memory that they speak of,
 * while both ends run at full speed and the ring fills and empties. */
#include "shm/ring.h"

#include "tests/check.h"

#include <pthread.h>
#include <sched.h>

#ifdef CISTERN_TSAN
#define SENT 300000u
#else
#define SENT 2000000u
#endif
#define COUNT 8u
#define ENTRY_WORDS 8u

struct pipe {
    _Alignas(64) _Atomic uint32_t tail;
    _Alignas(64) _Atomic uint32_t head;
    _Alignas(64) _Atomic uint64_t words[COUNT * ENTRY_WORDS];
    uint64_t plain[COUNT][4]; /* what entry n speaks of, at n modulo COUNT */
};

struct writer {
    struct pipe *pipe;
    uint64_t random;
};

static void *write_all(void *context)
{
    struct writer *writer = context;
    struct pipe *pipe = writer->pipe;
    struct ring_writer ring = {.words = pipe->words,
        .tail_word = &pipe->tail,
        .head_word = &pipe->head,
        .count = COUNT,
        .entry_words = ENTRY_WORDS};
    uint64_t sent = 0;
    while (sent < SENT) {
        uint32_t wanted = (uint32_t)(check_random(&writer->random) % COUNT) + 1;
        uint32_t room = ring_room(&ring, wanted);
        if (room == 0) {
            (void)sched_yield();
            continue;
        }
        for (uint32_t i = 0; i < room && i < wanted && sent < SENT; i++, sent++) {
            uint64_t entry[ENTRY_WORDS];
            for (uint32_t word = 0; word < ENTRY_WORDS; word++) {
                entry[word] = sent * ENTRY_WORDS + word;
            }
            for (uint32_t word = 0; word < 4; word++) {
                pipe->plain[sent % COUNT][word] = sent + word;
            }
            ring_fill(&ring, entry);
        }
        ring_publish(&ring);
    }
    return NULL;
}

static void entries_arrive_whole_and_in_order(void **state)
{
    (void)state;
    static struct pipe pipe;
    struct writer writer = {.pipe = &pipe, .random = check_seed()};
    struct ring_reader ring = {.words = pipe.words,
        .tail_word = &pipe.tail,
        .head_word = &pipe.head,
        .count = COUNT,
        .entry_words = ENTRY_WORDS};
    pthread_t thread;
    uint64_t received = 0;
    uint64_t wrong = 0;
    assert_int_equal(pthread_create(&thread, NULL, write_all, &writer), 0);
    while (received < SENT) {
        enum ring_result result = ring_look(&ring);
        assert_int_not_equal(result, RING_WILD);
        if (result == RING_EMPTY) {
            (void)sched_yield();
            continue;
        }
        uint64_t entry[ENTRY_WORDS];
        ring_copy(&ring, entry);
        for (uint32_t word = 0; word < ENTRY_WORDS; word++) {
            wrong += entry[word] != received * ENTRY_WORDS + word;
        }
        for (uint32_t word = 0; word < 4; word++) {
            wrong += pipe.plain[received % COUNT][word] != received + word;
        }
        received++;
        ring_return(&ring);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(wrong, 0);
    assert_int_equal(ring_look(&ring), RING_EMPTY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(entries_arrive_whole_and_in_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
