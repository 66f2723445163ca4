/* test_generate: same seed, same load; each block has one parent; each kind is what it says. */
#include "bench/policy/generate.h"

#include "bench/policy/rate.h"

#include "tests/check.h"

#include <string.h>

static void same_seed_makes_the_same_load(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    for (int kind = 0; kind < GENERATE_COUNT; kind++) {
        struct trace one;
        struct trace two;
        struct trace other;
        assert_true(generate_open((enum generate_kind)kind, seed, &one));
        assert_true(generate_open((enum generate_kind)kind, seed, &two));
        assert_true(generate_open((enum generate_kind)kind, seed + 1, &other));
        assert_int_equal(one.request_count, two.request_count);
        assert_int_equal(one.block_references, two.block_references);
        assert_memory_equal(one.blocks, two.blocks, one.block_references * sizeof one.blocks[0]);
        assert_int_not_equal(one.block_references, other.block_references);
        trace_close(&one);
        trace_close(&two);
        trace_close(&other);
    }
}

static void blocks_have_one_parent_and_requests_are_in_order(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    for (int kind = 0; kind < GENERATE_COUNT; kind++) {
        struct trace trace;
        assert_true(generate_open((enum generate_kind)kind, seed, &trace));
        uint32_t *parents = malloc(trace.unique * sizeof parents[0]);
        assert_non_null(parents);
        memset(parents, 0xff, trace.unique * sizeof parents[0]);
        uint64_t references = 0;
        for (size_t i = 0; i < trace.request_count; i++) {
            const struct trace_request *request = &trace.requests[i];
            assert_true(i == 0 || request->arrival_us >= trace.requests[i - 1].arrival_us);
            assert_int_equal(request->first_block, references);
            references += request->block_count;
            uint32_t before = UINT32_MAX - 1;
            for (uint32_t j = 0; j < request->block_count; j++) {
                uint32_t block = trace.blocks[request->first_block + j];
                assert_true(block < trace.unique);
                assert_true(parents[block] == UINT32_MAX || parents[block] == before);
                parents[block] = before;
                before = block;
            }
        }
        assert_int_equal(references, trace.block_references);
        free(parents);
        trace_close(&trace);
    }
}

static void scans_are_used_once(void **state)
{
    (void)state;
    struct trace sessions;
    struct trace scan;
    struct rate most;
    struct rate less;
    assert_true(generate_open(GENERATE_SESSIONS, 42, &sessions));
    assert_true(generate_open(GENERATE_SCAN, 42, &scan));
    assert_true(rate_ceiling(&sessions, &most) && rate_ceiling(&scan, &less));
    assert_true(most.prefix > 0.9 && less.prefix < 0.7);
    trace_close(&sessions);
    trace_close(&scan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_makes_the_same_load),
        cmocka_unit_test(blocks_have_one_parent_and_requests_are_in_order),
        cmocka_unit_test(scans_are_used_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
