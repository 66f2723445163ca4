/* test_whatif: the sampled stack beside whole LRU caches of each size. */
#include "sidecar/block/whatif.h"

#include "tests/check.h"

#include <math.h>

#define KEYS 200000u
#define USES 600000u
#define NONE UINT32_MAX

/* A whole LRU cache: a list over all keys. */
struct lru {
    uint32_t *newer;
    uint32_t *older;
    uint8_t *in;
    uint32_t newest;
    uint32_t oldest;
    uint32_t count;
    uint32_t most;
    uint32_t hits;
};

static void lru_open(struct lru *lru, uint32_t most)
{
    *lru = (struct lru){.newer = calloc(KEYS, sizeof(uint32_t)),
        .older = calloc(KEYS, sizeof(uint32_t)),
        .in = calloc(KEYS, 1),
        .newest = NONE,
        .oldest = NONE,
        .most = most};
    assert_true(lru->newer != NULL && lru->older != NULL && lru->in != NULL);
}

static void lru_close(struct lru *lru)
{
    free(lru->newer);
    free(lru->older);
    free(lru->in);
}

static void lru_remove(struct lru *lru, uint32_t key)
{
    uint32_t newer = lru->newer[key];
    uint32_t older = lru->older[key];
    *(newer == NONE ? &lru->newest : &lru->older[newer]) = older;
    *(older == NONE ? &lru->oldest : &lru->newer[older]) = newer;
    lru->in[key] = 0;
    lru->count--;
}

static void lru_use(struct lru *lru, uint32_t key)
{
    if (lru->in[key]) {
        lru->hits++;
        lru_remove(lru, key);
    } else if (lru->count == lru->most) {
        lru_remove(lru, lru->oldest);
    }
    lru->newer[key] = NONE;
    lru->older[key] = lru->newest;
    *(lru->newest == NONE ? &lru->oldest : &lru->newer[lru->newest]) = key;
    lru->newest = key;
    lru->in[key] = 1;
    lru->count++;
}

/* Few keys are hot: the cube of a uniform number. */
static uint32_t draw(uint64_t *seed)
{
    double at = (double)(check_random(seed) >> 11) / 9007199254740992.0;
    return (uint32_t)(at * at * at * (KEYS - 1));
}

static void compare(uint32_t blocks, double within)
{
    uint64_t seed = check_seed();
    struct arena arena;
    struct whatif whatif;
    struct lru whole[WHATIF_SIZES];
    assert_int_equal(arena_open(whatif_arena_bytes(), &arena), 0);
    whatif_open(&whatif, blocks, &arena);
    for (uint32_t i = 0; i < WHATIF_SIZES; i++) {
        lru_open(&whole[i], (blocks << i) / 2);
    }
    for (uint32_t use = 0; use < USES; use++) {
        uint32_t key = draw(&seed);
        uint64_t hash = key;
        whatif_use(&whatif, check_random(&hash));
        for (uint32_t i = 0; i < WHATIF_SIZES; i++) {
            lru_use(&whole[i], key);
        }
    }
    struct whatif_rates rates;
    whatif_rates(&whatif, &rates);
    assert_int_equal(rates.uses, USES);
    for (uint32_t i = 0; i < WHATIF_SIZES; i++) {
        double told = (double)rates.hits[i] / (double)rates.uses;
        double true_rate = (double)whole[i].hits / USES;
        print_message("%s of %u: %.4f, whole %.4f\n", whatif_names[i], blocks, told, true_rate);
        assert_true(fabs(told - true_rate) <= within);
        lru_close(&whole[i]);
    }
    arena_close(&arena);
}

static void test_a_small_tier_is_exact(void **state)
{
    (void)state;
    compare(1000, 0);
}

static void test_a_sample_is_near(void **state)
{
    (void)state;
    compare(40000, 0.05);
}

static void test_resized_it_starts_again(void **state)
{
    (void)state;
    struct arena arena;
    struct whatif whatif;
    struct whatif_rates rates;
    assert_int_equal(arena_open(whatif_arena_bytes(), &arena), 0);
    whatif_open(&whatif, 1, &arena);
    for (uint64_t key = 0; key < 8; key++) {
        whatif_use(&whatif, key % 2);
    }
    whatif_rates(&whatif, &rates);
    assert_int_equal(rates.hits[1], 0);
    assert_int_equal(rates.hits[2], 6);
    whatif_resize(&whatif, 2);
    whatif_rates(&whatif, &rates);
    assert_int_equal(rates.uses, 0);
    whatif_use(&whatif, 0);
    whatif_use(&whatif, 1);
    whatif_use(&whatif, 0);
    whatif_rates(&whatif, &rates);
    assert_int_equal(rates.hits[0], 0);
    assert_int_equal(rates.hits[1], 1);
    arena_close(&arena);
}

static void test_keys_of_one_bucket_cost_no_more_than_others(void **state)
{
    (void)state;
    struct arena arena;
    struct whatif whatif;
    struct whatif_rates rates;
    assert_int_equal(arena_open(whatif_arena_bytes(), &arena), 0);
    whatif_open(&whatif, 4096, &arena);
    /* Told no more than a bucket holds, the others are misses. */
    for (uint64_t i = 0; i < 20000; i++) {
        whatif_use(&whatif, i % 1000 * WHATIF_ENTRIES);
    }
    whatif_rates(&whatif, &rates);
    assert_int_equal(rates.uses, 20000);
    assert_in_range(rates.hits[3], 1, 1000);
    arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_small_tier_is_exact),
        cmocka_unit_test(test_a_sample_is_near),
        cmocka_unit_test(test_resized_it_starts_again),
        cmocka_unit_test(test_keys_of_one_bucket_cost_no_more_than_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
