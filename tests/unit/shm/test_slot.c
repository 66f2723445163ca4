/* test_slot: the moves of a descriptor, its generations, and reading it without a pin. */
#include "shm/slot.h"

#include "tests/check.h"

#include <pthread.h>
#include <string.h>

static struct slot_content content_of(uint64_t number)
{
    return (struct slot_content){.key = {{number, number + 1, number + 2, number + 3}},
        .offset = number * 4096 % SLOT_OFFSET_MAX,
        .checksum = ~number,
        .bytes = (uint32_t)number,
        .space = (uint16_t)number,
        .tier = SLOT_TIER_HOST,
        .flags = SLOT_CHECKSUM,
        .size_class = (uint8_t)number};
}

static void assert_content(const struct slot_content *a, const struct slot_content *b)
{
    assert_memory_equal(&a->key, &b->key, sizeof a->key);
    assert_int_equal(a->offset, b->offset);
    assert_int_equal(a->checksum, b->checksum);
    assert_int_equal(a->bytes, b->bytes);
    assert_int_equal(a->space, b->space);
    assert_int_equal(a->tier, b->tier);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->size_class, b->size_class);
}

static void test_life_of_a_slot(void **state)
{
    (void)state;
    struct slot_line line;
    memset((void *)&line, 0, sizeof line);
    assert_int_equal(slot_state_of(slot_load_state(&line)), SLOT_FREE);
    uint64_t lent = slot_reserve(&line, SLOT_RESERVED);
    assert_int_equal(slot_state_of(slot_load_state(&line)), SLOT_RESERVED);
    assert_int_equal(slot_generation_of(slot_load_state(&line)), lent);
    struct slot_content content = content_of(1000);
    uint64_t published = slot_publish(&line, &content);
    assert_true(published > lent);
    slot_mark(&line);
    assert_int_equal(slot_load_state(&line), slot_word(published, SLOT_EVICTING));
    slot_unmark(&line);
    assert_int_equal(slot_load_state(&line), slot_word(published, SLOT_VALID));
    slot_mark(&line);
    slot_free(&line);
    assert_int_equal(slot_load_state(&line), slot_word(published, SLOT_FREE));
    uint64_t again = slot_reserve(&line, SLOT_LOADING);
    assert_true(again > published);
    assert_int_equal(slot_state_of(slot_load_state(&line)), SLOT_LOADING);
    slot_free(&line); /* the fetch failed */
    assert_true(slot_reserve(&line, SLOT_RESERVED) > again);
}

static void test_generation_never_repeats_and_is_wide(void **state)
{
    (void)state;
    struct slot_line line;
    memset((void *)&line, 0, sizeof line);
    /* Far beyond 32 bits, as after years of use. */
    uint64_t start = UINT64_C(0x0000fffffffffff0);
    shared64_store_relaxed(&line.state, slot_word(start, SLOT_FREE));
    uint64_t last = start;
    for (int i = 0; i < 100; i++) {
        uint64_t generation = slot_reserve(&line, SLOT_RESERVED);
        assert_true(generation > last);
        last = generation;
        if (i % 3 == 0) {
            slot_free(&line);
            continue;
        }
        struct slot_content content = content_of((uint64_t)i);
        generation = slot_publish(&line, &content);
        assert_true(generation > last);
        last = generation;
        slot_mark(&line);
        slot_free(&line);
    }
}

static void test_content_comes_back(void **state)
{
    (void)state;
    struct slot_line line;
    memset((void *)&line, 0, sizeof line);
    struct slot_content content = {.key = {{1, 2, 3, UINT64_MAX}},
        .offset = SLOT_OFFSET_MAX,
        .checksum = UINT64_MAX,
        .bytes = UINT32_MAX,
        .space = UINT16_MAX,
        .tier = 255,
        .flags = 255,
        .size_class = 255};
    slot_reserve(&line, SLOT_RESERVED);
    uint64_t generation = slot_publish(&line, &content);
    struct slot_content got = {.key = content.key};
    slot_load_place(&line, &got);
    assert_content(&got, &content);
    uint64_t seen = 0;
    memset(&got, 0, sizeof got);
    assert_true(slot_snapshot(&line, &got, &seen));
    assert_content(&got, &content);
    assert_int_equal(seen, generation);
}

static void test_holds_compares_every_word_and_the_space(void **state)
{
    (void)state;
    struct slot_line line;
    memset((void *)&line, 0, sizeof line);
    struct slot_content content = content_of(77);
    slot_reserve(&line, SLOT_RESERVED);
    slot_publish(&line, &content);
    assert_true(slot_holds(&line, &content.key, 77));
    assert_false(slot_holds(&line, &content.key, 78));
    for (int word = 0; word < 4; word++) {
        for (int bit = 0; bit < 64; bit++) {
            struct key other = content.key;
            other.word[word] ^= UINT64_C(1) << bit;
            assert_false(slot_holds(&line, &other, 77));
        }
    }
}

static void test_snapshot_refuses_all_but_valid(void **state)
{
    (void)state;
    struct slot_line line;
    memset((void *)&line, 0, sizeof line);
    struct slot_content content = {.bytes = 9};
    uint64_t generation = 5;
    for (int s = 0; s < 256; s++) {
        shared64_store_relaxed(&line.state, slot_word(3, (enum slot_state)s));
        assert_int_equal(slot_snapshot(&line, &content, &generation), s == SLOT_VALID);
        if (s < SLOT_VALID) {
            assert_int_equal(content.bytes, 9);
            assert_int_equal(generation, 5);
        }
    }
}

struct race {
    struct slot_line line;
    _Atomic uint32_t done;
};

static void *change_again_and_again(void *argument)
{
    struct race *race = argument;
    for (uint64_t i = 0; i < 200000; i++) {
        struct slot_content content = content_of(i);
        slot_reserve(&race->line, SLOT_RESERVED);
        slot_publish(&race->line, &content);
        slot_mark(&race->line);
        if (i % 4 == 0) {
            slot_unmark(&race->line);
            slot_mark(&race->line);
        }
        slot_free(&race->line);
    }
    shared32_store_release(&race->done, 1);
    return NULL;
}

static void test_snapshot_is_never_torn(void **state)
{
    (void)state;
    static struct race race;
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, change_again_and_again, &race), 0);
    while (shared32_load_acquire(&race.done) == 0) {
        struct slot_content got;
        uint64_t generation;
        if (slot_snapshot(&race.line, &got, &generation)) {
            struct slot_content expected = content_of(got.key.word[0]);
            assert_content(&got, &expected);
        }
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life_of_a_slot),
        cmocka_unit_test(test_generation_never_repeats_and_is_wide),
        cmocka_unit_test(test_content_comes_back),
        cmocka_unit_test(test_holds_compares_every_word_and_the_space),
        cmocka_unit_test(test_snapshot_refuses_all_but_valid),
        cmocka_unit_test(test_snapshot_is_never_torn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
