/* test_private_cache: LRU, leaf first, as the published tables of the traces define it; against a
 * slow cache that does the same by the book. */
#include "bench/private_cache.h"

#include "bench/rng.h"
#include "tests/check.h"

#include <stdlib.h>

static void a_prefix_hits_up_to_its_first_absent_block(void **state)
{
    (void)state;
    struct private_cache cache;
    assert_true(private_cache_open(&cache, 10, 10));
    const uint32_t first[] = {0, 1, 2};
    const uint32_t longer[] = {0, 1, 2, 3};
    const uint32_t branch[] = {0, 5, 2}; /* 2 is there, but behind a block that is not */
    assert_int_equal(private_cache_request(&cache, first, 3), 0);
    assert_int_equal(private_cache_request(&cache, longer, 4), 3);
    assert_int_equal(private_cache_request(&cache, branch, 3), 1);
    private_cache_close(&cache);
}

static void leaves_go_first(void **state)
{
    (void)state;
    struct private_cache cache;
    assert_true(private_cache_open(&cache, 10, 3));
    const uint32_t chain[] = {0, 1, 2};
    const uint32_t other[] = {7};
    private_cache_request(&cache, chain, 3);
    private_cache_request(&cache, other, 1);
    assert_int_equal(private_cache_request(&cache, chain, 3), 2); /* 2 left, 0 and 1 stayed */
    private_cache_close(&cache);
}

static void a_cache_of_nothing_never_hits(void **state)
{
    (void)state;
    struct private_cache cache;
    assert_true(private_cache_open(&cache, 3, 0));
    const uint32_t chain[] = {0, 1};
    assert_int_equal(private_cache_request(&cache, chain, 2), 0);
    assert_int_equal(private_cache_request(&cache, chain, 2), 0);
    private_cache_close(&cache);
}

#define BLOCKS 40u

/* By the book: an age for each block, the oldest goes. */
struct plain {
    uint64_t used[BLOCKS]; /* 0: not resident */
    uint64_t now;
    uint64_t resident;
    uint64_t capacity;
};

static uint32_t plain_request(struct plain *plain, const uint32_t *blocks, uint32_t count)
{
    uint32_t hits = 0;
    while (hits < count && plain->used[blocks[hits]] != 0) {
        hits++;
    }
    for (uint32_t i = count; i-- > 0;) {
        if (plain->used[blocks[i]] == 0 && plain->resident++ == plain->capacity) {
            uint32_t oldest = BLOCKS;
            for (uint32_t block = 0; block < BLOCKS; block++) {
                if (plain->used[block] != 0 &&
                    (oldest == BLOCKS || plain->used[block] < plain->used[oldest])) {
                    oldest = block;
                }
            }
            plain->used[oldest] = 0;
            plain->resident--;
        }
        plain->used[blocks[i]] = ++plain->now;
    }
    return hits;
}

static void it_agrees_with_a_plain_cache(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    for (uint64_t capacity = 1; capacity < BLOCKS; capacity += 6) {
        struct private_cache cache;
        struct plain plain = {.capacity = capacity};
        assert_true(private_cache_open(&cache, BLOCKS, capacity));
        for (int turn = 0; turn < 500; turn++) {
            uint32_t blocks[8];
            uint32_t count = (uint32_t)rng_below(&seed, 8) + 1;
            uint32_t first = (uint32_t)rng_below(&seed, BLOCKS - 8);
            for (uint32_t i = 0; i < count; i++) {
                blocks[i] = first + i;
            }
            assert_int_equal(
                private_cache_request(&cache, blocks, count), plain_request(&plain, blocks, count));
            assert_int_equal(cache.resident, plain.resident);
        }
        private_cache_close(&cache);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prefix_hits_up_to_its_first_absent_block),
        cmocka_unit_test(leaves_go_first),
        cmocka_unit_test(a_cache_of_nothing_never_hits),
        cmocka_unit_test(it_agrees_with_a_plain_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
