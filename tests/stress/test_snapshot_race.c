/* A descriptor read without a pin is one block's line or nothing, while the server puts one block
 * after another there. */
#include "shm/pin.h"
#include "shm/slot.h"

#include "tests/check.h"

#include <pthread.h>
#include <sched.h>

#ifdef CISTERN_TSAN
#define LOOKS 200000u
#else
#define LOOKS 2000000u
#endif

struct stage {
    struct slot_line line;
    _Alignas(64) _Atomic uint32_t done;
    uint64_t seed; /* of the server: how long it leaves a block alone */
};

static void publish(struct slot_line *line, uint64_t number)
{
    struct slot_content content = {.key = {.word = {number, ~number, number * 3, number * 5}},
        .offset = number & SLOT_OFFSET_MAX,
        .checksum = number * 7,
        .bytes = (uint32_t)number,
        .space = (uint16_t)number,
        .flags = SLOT_CHECKSUM,
        .size_class = (uint8_t)number};
    (void)slot_reserve(line, SLOT_LOADING);
    (void)slot_publish(line, &content);
}

static void *publish_on(void *context)
{
    struct stage *stage = context;
    uint64_t number = 1;
    uint64_t random = stage->seed;
    while (shared32_load_acquire(&stage->done) == 0) {
        slot_mark(&stage->line);
        pin_fence();
        slot_free(&stage->line);
        publish(&stage->line, ++number);
        for (uint64_t i = check_random(&random) % 64; i > 0; i--) {
            shared_relax();
        }
    }
    return NULL;
}

static bool is_one_block(const struct slot_content *content, uint64_t generation)
{
    uint64_t number = content->key.word[0];
    return content->key.word[1] == ~number && content->key.word[2] == number * 3 &&
           content->key.word[3] == number * 5 && content->offset == (number & SLOT_OFFSET_MAX) &&
           content->checksum == number * 7 && content->bytes == (uint32_t)number &&
           content->space == (uint16_t)number && content->size_class == (uint8_t)number &&
           content->flags == SLOT_CHECKSUM && generation == 2 * number;
}

static void a_snapshot_is_one_block_or_nothing(void **state)
{
    (void)state;
    static struct stage stage;
    uint64_t random = check_seed();
    pthread_t thread;
    uint64_t whole = 0;
    uint64_t torn = 0;
    uint64_t older = 0;
    uint64_t last = 0;
    stage.seed = random + 1;
    publish(&stage.line, 1);
    assert_int_equal(pthread_create(&thread, NULL, publish_on, &stage), 0);
    for (uint32_t look = 0; look < LOOKS; look++) {
        struct slot_content content;
        uint64_t generation;
        if (slot_snapshot(&stage.line, &content, &generation)) {
            whole++;
            torn += !is_one_block(&content, generation);
            older += generation < last;
            last = generation;
        }
        if (check_random(&random) % 256 == 0) {
            (void)sched_yield();
        }
    }
    shared32_store_release(&stage.done, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    printf("%llu whole of %u\n", (unsigned long long)whole, LOOKS);
    assert_int_equal(torn, 0);
    assert_int_equal(older, 0);
    assert_true(whole > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_snapshot_is_one_block_or_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
