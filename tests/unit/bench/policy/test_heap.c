/* test_heap: the lowest is on top, whatever was set, changed and removed before. */
#include "bench/policy/heap.h"

#include "tests/check.h"

#define BLOCKS 200u

static void random_calls_keep_the_lowest_on_top(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    struct heap heap;
    bool in[BLOCKS] = {false};
    struct heap_priority priorities[BLOCKS] = {{0}};
    assert_true(heap_open(&heap, BLOCKS));
    for (uint32_t step = 0; step < 20000; step++) {
        uint32_t block = (uint32_t)(check_random(&seed) % BLOCKS);
        if (check_random(&seed) % 3 == 0) {
            heap_remove(&heap, block);
            in[block] = false;
        } else {
            priorities[block] = (struct heap_priority){
                .value = (double)(check_random(&seed) % 20), .tie = check_random(&seed)};
            heap_set(&heap, block, priorities[block]);
            in[block] = true;
        }
        uint32_t count = 0;
        uint32_t lowest = HEAP_NONE;
        for (uint32_t i = 0; i < BLOCKS; i++) {
            assert_int_equal(heap_has(&heap, i), in[i]);
            count += in[i];
            bool lower =
                in[i] && (lowest == HEAP_NONE || priorities[i].value < priorities[lowest].value ||
                             (priorities[i].value <= priorities[lowest].value &&
                                 priorities[i].tie < priorities[lowest].tie));
            lowest = lower ? i : lowest;
        }
        assert_int_equal(heap.count, count);
        if (count > 0) {
            assert_int_equal(heap_top(&heap), lowest);
        }
    }
    heap_close(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_calls_keep_the_lowest_on_top)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
