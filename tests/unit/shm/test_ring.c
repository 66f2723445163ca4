/* test_ring: entries come out as they went in, across every wrap; a wild index is seen. */
#include "shm/ring.h"

#include "tests/check.h"

#include <pthread.h>
#include <string.h>

#define COUNT 8u
#define WORDS 3u

_Static_assert(sizeof(uint64_t) * WORDS == 24, "as large as struct narrow");

struct entry {
    uint64_t word[WORDS];
};

struct ring {
    _Atomic uint64_t words[COUNT * WORDS];
    _Alignas(64) _Atomic uint32_t tail;
    _Alignas(64) _Atomic uint32_t head;
    struct ring_writer writer;
    struct ring_reader reader;
};

/* An empty ring whose indices stand at `start`. */
static void ring_open_at(struct ring *ring, uint32_t start)
{
    memset((void *)ring, 0, sizeof *ring);
    shared32_store_relaxed(&ring->tail, start);
    shared32_store_relaxed(&ring->head, start);
    ring->writer = (struct ring_writer){.words = ring->words,
        .tail_word = &ring->tail,
        .head_word = &ring->head,
        .count = COUNT,
        .entry_words = WORDS,
        .tail = start,
        .head = start};
    ring->reader = (struct ring_reader){.words = ring->words,
        .tail_word = &ring->tail,
        .head_word = &ring->head,
        .count = COUNT,
        .entry_words = WORDS,
        .head = start,
        .tail = start};
}

static struct entry entry_of(uint64_t number)
{
    return (struct entry){{number, ~number, number * 3}};
}

/* Fields narrower than a word, as requests and replies have: read back as what they are. Compilers
 * may take words and narrower fields for different memory; clang did, before entries were copied as
 * bytes.
 */
struct narrow {
    uint32_t type;
    int32_t status;
    uint32_t slot;
    uint32_t flags;
    uint64_t generation;
};

/* Not inlined: the compiler shall not know how long the entries of this ring are. */
__attribute__((noinline)) static void send_narrow(struct ring *ring, uint32_t i)
{
    struct narrow in = {.type = i, .status = -(int32_t)i, .slot = i * 7, .generation = i + 1ul};
    struct narrow out = {0};
    ring_fill(&ring->writer, &in);
    ring_publish(&ring->writer);
    assert_int_equal(ring_look(&ring->reader), RING_ENTRY);
    ring_copy(&ring->reader, &out);
    ring_return(&ring->reader);
    assert_int_equal(out.type, i);
    assert_int_equal(out.status, -(int32_t)i);
    assert_int_equal(out.slot, i * 7);
    assert_int_equal(out.flags, 0);
    assert_int_equal(out.generation, i + 1);
}

static void test_narrow_fields_arrive(void **state)
{
    (void)state;
    struct ring ring;
    ring_open_at(&ring, 5);
    for (uint32_t i = 1; i < 100; i++) {
        assert_true(ring_room(&ring.writer, 1) > 0);
        send_narrow(&ring, i);
    }
}

static void test_wraps_across_two_to_the_32(void **state)
{
    (void)state;
    struct ring ring;
    ring_open_at(&ring, UINT32_MAX - 20);
    uint64_t in = 0;
    uint64_t out = 0;
    uint64_t random = check_seed();
    while (out < 100) {
        uint32_t room = ring_room(&ring.writer, COUNT);
        assert_int_equal(room, COUNT - (in - out));
        uint32_t fill = (uint32_t)(check_random(&random) % (room + 1));
        for (uint32_t i = 0; i < fill; i++) {
            struct entry entry = entry_of(in++);
            ring_fill(&ring.writer, &entry);
        }
        ring_publish(&ring.writer);
        uint32_t take = (uint32_t)(check_random(&random) % (COUNT + 1));
        while (take-- > 0 && ring_look(&ring.reader) == RING_ENTRY) {
            struct entry entry;
            struct entry expected = entry_of(out++);
            ring_copy(&ring.reader, &entry);
            assert_memory_equal(&entry, &expected, sizeof entry);
        }
        ring_return(&ring.reader);
    }
}

static void test_full_and_empty(void **state)
{
    (void)state;
    struct ring ring;
    ring_open_at(&ring, 0);
    assert_int_equal(ring_look(&ring.reader), RING_EMPTY);
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_true(ring_room(&ring.writer, 1) > 0);
        struct entry entry = entry_of(i);
        ring_fill(&ring.writer, &entry);
    }
    assert_int_equal(ring_room(&ring.writer, 1), 0);
    assert_int_equal(ring_look(&ring.reader), RING_EMPTY); /* not published yet */
    ring_publish(&ring.writer);
    struct entry entry;
    assert_int_equal(ring_look(&ring.reader), RING_ENTRY);
    ring_copy(&ring.reader, &entry);
    assert_int_equal(ring_room(&ring.writer, 1), 0); /* copied, not given back yet */
    ring_return(&ring.reader);
    assert_int_equal(ring_room(&ring.writer, 1), 1);
}

static void test_wild_tail_is_seen(void **state)
{
    (void)state;
    const uint32_t starts[] = {0, 5, UINT32_MAX - 3};
    const uint32_t jumps[] = {COUNT + 1, 1000, UINT32_C(1) << 31, UINT32_MAX};
    for (size_t i = 0; i < CHECK_COUNT(starts); i++) {
        for (size_t j = 0; j < CHECK_COUNT(jumps); j++) {
            struct ring ring;
            ring_open_at(&ring, starts[i]);
            shared32_store_release(&ring.tail, starts[i] + jumps[j]);
            assert_int_equal(ring_look(&ring.reader), RING_WILD);
            assert_int_equal(ring_look(&ring.reader), RING_WILD);
            /* A full ring is not wild. */
            shared32_store_release(&ring.tail, starts[i] + COUNT);
            assert_int_equal(ring_look(&ring.reader), RING_ENTRY);
        }
    }
}

static void test_wild_head_counts_as_full(void **state)
{
    (void)state;
    struct ring ring;
    ring_open_at(&ring, 100);
    for (uint64_t i = 0; i < COUNT; i++) {
        struct entry entry = entry_of(i);
        ring_fill(&ring.writer, &entry);
    }
    ring_publish(&ring.writer);
    const uint32_t heads[] = {99, 0, 109, 100 + (UINT32_C(1) << 31), UINT32_MAX};
    for (size_t i = 0; i < CHECK_COUNT(heads); i++) {
        shared32_store_release(&ring.head, heads[i]);
        assert_int_equal(ring_room(&ring.writer, 1), 0);
    }
    shared32_store_release(&ring.head, 103);
    assert_int_equal(ring_room(&ring.writer, 1), 3);
}

#define PASSES 200000u

static void *write_all(void *argument)
{
    struct ring *ring = argument;
    for (uint64_t i = 0; i < PASSES;) {
        uint32_t room = ring_room(&ring->writer, 1);
        if (room == 0) {
            shared_relax();
            continue;
        }
        struct entry entry = entry_of(i++);
        ring_fill(&ring->writer, &entry);
        ring_publish(&ring->writer);
    }
    return NULL;
}

static void test_two_threads_pass_every_entry_in_order(void **state)
{
    (void)state;
    static struct ring ring;
    ring_open_at(&ring, UINT32_MAX - PASSES / 2);
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_all, &ring), 0);
    for (uint64_t out = 0; out < PASSES;) {
        enum ring_result result = ring_look(&ring.reader);
        assert_int_not_equal(result, RING_WILD);
        if (result == RING_EMPTY) {
            shared_relax();
            continue;
        }
        struct entry entry;
        struct entry expected = entry_of(out++);
        ring_copy(&ring.reader, &entry);
        ring_return(&ring.reader);
        assert_memory_equal(&entry, &expected, sizeof entry);
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(ring_look(&ring.reader), RING_EMPTY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_narrow_fields_arrive),
        cmocka_unit_test(test_wraps_across_two_to_the_32),
        cmocka_unit_test(test_full_and_empty),
        cmocka_unit_test(test_wild_tail_is_seen),
        cmocka_unit_test(test_wild_head_counts_as_full),
        cmocka_unit_test(test_two_threads_pass_every_entry_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
