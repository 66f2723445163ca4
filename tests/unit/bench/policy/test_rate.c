/* test_rate: each policy on traces short enough to follow by hand. */
#include "bench/policy/rate.h"

#include "tests/check.h"

#include <math.h>

#define REQUESTS_MAX 16u

/* A trace of requests written as texts: a letter is a block. */
struct story {
    struct trace trace;
    struct trace_request requests[REQUESTS_MAX];
    uint32_t blocks[256];
};

static void tell(struct story *story, const char *const texts[], uint32_t count)
{
    *story = (struct story){.trace = {.block_tokens = 10, .unique = 26, .request_count = count}};
    struct trace *trace = &story->trace;
    trace->requests = story->requests;
    trace->blocks = story->blocks;
    for (uint32_t i = 0; i < count; i++) {
        struct trace_request *request = &story->requests[i];
        request->first_block = trace->block_references;
        for (const char *at = texts[i]; *at != '\0'; at++) {
            story->blocks[trace->block_references++] = (uint32_t)(*at - 'a');
            request->block_count++;
        }
        /* The last block is half full. */
        request->input_tokens = request->block_count * 10 - 5;
        trace->input_tokens += request->input_tokens;
    }
}

static double prefix_hits(const struct sim_ops *ops, const struct story *story, uint32_t capacity)
{
    struct rate rate;
    assert_true(rate_replay(ops, &story->trace, capacity, &rate));
    return round(rate.prefix * (double)story->trace.block_references * 1e6) / 1e6;
}

static const struct sim_ops *const all[] = {
    &sim_lru, &sim_arc, &sim_s3fifo, &sim_sieve, &sim_lrfu, &sim_optimum, &sim_adaptive};

static void the_optimum_is_what_it_is_by_hand(void **state)
{
    (void)state;
    struct story story;
    /* Room for 2. After "ab" both are kept; "cd" is never used again and not kept; "ab" hits 2.
     * Then e comes back before a and b: e and a are kept, the leaf b goes; "ea": no prefix of it
     * but e; "ab": a. */
    static const char *const texts[] = {"ab", "cd", "ab", "e", "e", "ab"};
    tell(&story, texts, 6);
    assert_true(fabs(prefix_hits(&sim_optimum, &story, 2) - 4) < 0.1);
    assert_true(fabs(prefix_hits(&sim_optimum, &story, 3) - 5) < 0.1);
    /* LRU: "cd" pushes "ab" out; e pushes b out, and hits; a is the other one. */
    assert_true(fabs(prefix_hits(&sim_lru, &story, 2) - 2) < 0.1);
}

static void a_hit_behind_a_miss_is_plain_only(void **state)
{
    (void)state;
    struct story story;
    struct rate rate;
    /* Root first out, as SIEVE does it: deepest came first, so b goes before a. */
    static const char *const texts[] = {"ab", "b", "c", "ab"};
    tell(&story, texts, 4);
    assert_true(rate_replay(&sim_sieve, &story.trace, 2, &rate));
    assert_true(fabs(rate.plain * 6 - 2) < 1e-9);
    assert_true(fabs(rate.prefix * 6 - 1) < 1e-9);
}

static void everybody_hits_all_with_room_for_all(void **state)
{
    (void)state;
    struct story story;
    static const char *const texts[] = {"abc", "abcd", "xyz", "abcd", "ab", "xy"};
    tell(&story, texts, 6);
    struct rate ceiling;
    assert_true(rate_ceiling(&story.trace, &ceiling));
    assert_true(fabs(ceiling.prefix * 18 - 11) < 1e-9);
    /* Tokens of whole runs, but not more than the prompt has: 30, 35, 15, 15 of 150. */
    assert_true(fabs(ceiling.token_prefix * 150 - 95) < 1e-9);
    for (size_t i = 0; i < CHECK_COUNT(all); i++) {
        struct rate rate;
        assert_true(rate_replay(all[i], &story.trace, 26, &rate));
        assert_true(fabs(rate.prefix - ceiling.prefix) < 1e-9);
        assert_true(fabs(rate.plain - ceiling.plain) < 1e-9);
        assert_true(fabs(rate.token_prefix - ceiling.token_prefix) < 1e-9);
    }
}

static void nobody_beats_the_optimum(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    for (int round = 0; round < 200; round++) {
        char text[REQUESTS_MAX][8];
        const char *texts[REQUESTS_MAX];
        struct story story;
        for (uint32_t i = 0; i < REQUESTS_MAX; i++) {
            /* Chains: block n of a prompt is one of two letters that follow n. */
            uint32_t length = (uint32_t)(check_random(&seed) % 4) + 1;
            uint32_t family = (uint32_t)(check_random(&seed) % 5);
            for (uint32_t j = 0; j < length; j++) {
                text[i][j] = (char)('a' + family * 5 + j);
            }
            text[i][length] = '\0';
            texts[i] = text[i];
        }
        tell(&story, texts, REQUESTS_MAX);
        uint32_t capacity = (uint32_t)(check_random(&seed) % 8) + 1;
        double most = prefix_hits(&sim_optimum, &story, capacity);
        for (size_t i = 0; i < CHECK_COUNT(all); i++) {
            assert_true(prefix_hits(all[i], &story, capacity) <= most + 0.1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_optimum_is_what_it_is_by_hand),
        cmocka_unit_test(a_hit_behind_a_miss_is_plain_only),
        cmocka_unit_test(everybody_hits_all_with_room_for_all),
        cmocka_unit_test(nobody_beats_the_optimum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
