/* rate: see rate.h. */
#include "bench/policy/rate.h"

#include <stdlib.h>

struct tally {
    uint64_t plain;
    uint64_t prefix;
    uint64_t tokens;
};

/* Count a request that found `run` blocks in one piece from its start. */
static void count_prefix(struct tally *tally, const struct trace *trace,
    const struct trace_request *request, uint32_t run)
{
    uint64_t tokens = (uint64_t)run * trace->block_tokens;
    tally->prefix += run;
    tally->tokens += tokens < request->input_tokens ? tokens : request->input_tokens;
}

static struct rate rate_of(const struct tally *tally, const struct trace *trace)
{
    double references = (double)trace->block_references;
    return (struct rate){
        .plain = (double)tally->plain / references,
        .prefix = (double)tally->prefix / references,
        .token_prefix = (double)tally->tokens / (double)trace->input_tokens,
    };
}

bool rate_replay(
    const struct sim_ops *ops, const struct trace *trace, uint32_t capacity, struct rate *out_rate)
{
    void *sim = ops->open(trace, capacity);
    if (sim == NULL) {
        return false;
    }
    struct tally tally = {0};
    for (size_t i = 0; i < trace->request_count; i++) {
        const struct trace_request *request = &trace->requests[i];
        const uint32_t *blocks = trace->blocks + request->first_block;
        uint32_t run = 0;
        for (uint32_t j = 0; j < request->block_count; j++) {
            if (ops->has(sim, blocks[j])) {
                tally.plain++;
                run += run == j;
            }
        }
        count_prefix(&tally, trace, request, run);
        ops->request(sim, blocks, request->block_count);
    }
    ops->close(sim);
    *out_rate = rate_of(&tally, trace);
    return true;
}

bool rate_ceiling(const struct trace *trace, struct rate *out_rate)
{
    bool *seen = calloc((size_t)trace->unique + 1, sizeof seen[0]);
    if (seen == NULL) {
        return false;
    }
    struct tally tally = {0};
    for (size_t i = 0; i < trace->request_count; i++) {
        const struct trace_request *request = &trace->requests[i];
        const uint32_t *blocks = trace->blocks + request->first_block;
        uint32_t run = 0;
        for (uint32_t j = 0; j < request->block_count; j++) {
            tally.plain += seen[blocks[j]];
            run += run == j && seen[blocks[j]];
            seen[blocks[j]] = true;
        }
        count_prefix(&tally, trace, request, run);
    }
    free(seen);
    *out_rate = rate_of(&tally, trace);
    return true;
}
