/* generate: some sessions live at a time; the one whose time has come asks, and grows or dies. */
#include "bench/policy/generate.h"

#include "bench/rng.h"

#include <stdlib.h>
#include <string.h>

#define ACTIVE_MAX 64u
#define CHAIN_MAX 512u
#define PROMPTS_MAX 128u
#define PROMPT_BLOCKS_MAX 32u
#define PHASES_MAX 4u
#define BLOCK_TOKENS 512u

struct range {
    uint32_t least;
    uint32_t most;
};

/* What a load is like for a while. */
struct phase {
    uint32_t requests;
    uint32_t active; /* sessions at a time */
    uint32_t turns; /* of a session, on average; each turn is the last with equal chance */
    struct range first; /* blocks of the first turn, behind the prompt */
    struct range growth; /* blocks of each other turn */
    uint32_t think_ms; /* between two turns, on average */
    /* From half to one and a half of that; else from next to nothing to eight times. */
    bool steady;
    uint32_t prompts; /* shared ones to choose from, the n-th by 1 / n; 0: none */
    uint32_t scan_every; /* so many requests for one prompt that is asked once; 0: none */
};

struct session {
    uint32_t chain[CHAIN_MAX];
    uint32_t count;
    uint64_t next_ms;
};

/* Owned by generate_open() for its duration. */
struct generator {
    struct trace trace;
    size_t request_room;
    size_t block_room;
    uint64_t random;
    uint64_t now_ms;
    struct session sessions[ACTIVE_MAX];
    uint32_t prompts[PROMPTS_MAX][PROMPT_BLOCKS_MAX];
    uint32_t prompt_blocks[PROMPTS_MAX];
};

const char *const generate_names[GENERATE_COUNT] = {
    [GENERATE_SESSIONS] = "sessions",
    [GENERATE_ZIPF] = "zipf",
    [GENERATE_SCAN] = "scan",
    [GENERATE_BURSTS] = "bursts",
    [GENERATE_MIX] = "mix",
};

static const struct phase phases[GENERATE_COUNT][PHASES_MAX] = {
    [GENERATE_SESSIONS] = {{8000, 32, 40, {8, 40}, {1, 5}, 20000, true, 0, 0}},
    [GENERATE_ZIPF] = {{12000, 48, 3, {1, 8}, {1, 4}, 60000, false, 100, 0}},
    [GENERATE_SCAN] = {{8000, 24, 12, {4, 16}, {1, 5}, 30000, false, 0, 6}},
    [GENERATE_BURSTS] = {{8000, 24, 60, {8, 30}, {1, 4}, 20000, false, 4, 0}},
    [GENERATE_MIX] = {{4000, 48, 3, {1, 8}, {1, 4}, 60000, false, 100, 0},
        {4000, 32, 40, {8, 40}, {1, 5}, 20000, true, 0, 0},
        {3000, 24, 12, {4, 16}, {1, 5}, 30000, false, 0, 6},
        {4000, 48, 4, {1, 8}, {1, 4}, 60000, false, 60, 0}},
};

static uint32_t draw(struct generator *generator, struct range range)
{
    return range.least + (uint32_t)rng_below(&generator->random, range.most - range.least + 1);
}

static uint64_t think(struct generator *generator, const struct phase *phase)
{
    uint64_t spread = rng_below(&generator->random, 1000) + 1;
    if (phase->steady) {
        return phase->think_ms / 2 + phase->think_ms * spread / 1000;
    }
    /* Three draws multiplied: most pauses are short, a few are long; the mean of one is a half. */
    spread = spread * (rng_below(&generator->random, 1000) + 1) / 1000;
    spread = spread * (rng_below(&generator->random, 1000) + 1) / 1000;
    return phase->think_ms * spread * 8 / 1000 + 1;
}

/* Add a request for the chain. Returns false if there is no memory. */
static bool add_request(struct generator *generator, const uint32_t *chain, uint32_t count)
{
    struct trace *trace = &generator->trace;
    if (trace->request_count == generator->request_room) {
        size_t room = generator->request_room * 2 + 1024;
        void *grown = reallocarray(trace->requests, room, sizeof trace->requests[0]);
        if (grown == NULL) {
            return false;
        }
        trace->requests = grown;
        generator->request_room = room;
    }
    if (trace->block_references + count > generator->block_room) {
        size_t room = generator->block_room * 2 + (1u << 16);
        void *grown = reallocarray(trace->blocks, room, sizeof trace->blocks[0]);
        if (grown == NULL) {
            return false;
        }
        trace->blocks = grown;
        generator->block_room = room;
    }
    trace->requests[trace->request_count++] = (struct trace_request){
        .arrival_us = (int64_t)generator->now_ms * 1000,
        .input_tokens = (uint64_t)count * BLOCK_TOKENS,
        .first_block = trace->block_references,
        .block_count = count,
        .run = TRACE_NONE,
        .previous = TRACE_NONE,
    };
    memcpy(trace->blocks + trace->block_references, chain, count * sizeof chain[0]);
    trace->block_references += count;
    trace->input_tokens += (uint64_t)count * BLOCK_TOKENS;
    trace->longest_blocks = count > trace->longest_blocks ? count : trace->longest_blocks;
    return true;
}

static void grow_session(struct generator *generator, struct session *session, uint32_t blocks)
{
    for (uint32_t i = 0; i < blocks && session->count < CHAIN_MAX; i++) {
        session->chain[session->count++] = (uint32_t)generator->trace.unique++;
    }
}

static void make_prompts(struct generator *generator, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        generator->prompt_blocks[i] = draw(generator, (struct range){2, PROMPT_BLOCKS_MAX});
        for (uint32_t j = 0; j < generator->prompt_blocks[i]; j++) {
            generator->prompts[i][j] = (uint32_t)generator->trace.unique++;
        }
    }
}

/* One of `count` by Zipf's law: the n-th with a chance that falls as 1 / n. */
static uint32_t choose_prompt(struct generator *generator, uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = 1; i <= count; i++) {
        sum += 1000000 / i;
    }
    uint64_t at = rng_below(&generator->random, sum);
    for (uint32_t i = 1; i < count; i++) {
        if (at < 1000000 / i) {
            return i - 1;
        }
        at -= 1000000 / i;
    }
    return count - 1;
}

static void start_session(
    struct generator *generator, struct session *session, const struct phase *phase)
{
    session->count = 0;
    if (phase->prompts > 0) {
        uint32_t prompt = choose_prompt(generator, phase->prompts);
        session->count = generator->prompt_blocks[prompt];
        memcpy(
            session->chain, generator->prompts[prompt], session->count * sizeof session->chain[0]);
    }
    grow_session(generator, session, draw(generator, phase->first));
    session->next_ms = generator->now_ms + think(generator, phase);
}

static struct session *next_session(struct generator *generator, const struct phase *phase)
{
    struct session *next = &generator->sessions[0];
    for (uint32_t i = 1; i < phase->active; i++) {
        if (generator->sessions[i].next_ms < next->next_ms) {
            next = &generator->sessions[i];
        }
    }
    return next;
}

/* A prompt of 64 to 200 blocks, once. */
static bool scan(struct generator *generator)
{
    struct session once = {0};
    grow_session(generator, &once, draw(generator, (struct range){64, 200}));
    return add_request(generator, once.chain, once.count);
}

static bool run_phase(struct generator *generator, const struct phase *phase)
{
    make_prompts(generator, phase->prompts);
    for (uint32_t i = 0; i < phase->active; i++) {
        start_session(generator, &generator->sessions[i], phase);
    }
    for (uint32_t i = 1; i <= phase->requests; i++) {
        if (phase->scan_every > 0 && i % phase->scan_every == 0) {
            if (!scan(generator)) {
                return false;
            }
            continue;
        }
        struct session *session = next_session(generator, phase);
        generator->now_ms = session->next_ms;
        if (!add_request(generator, session->chain, session->count)) {
            return false;
        }
        session->next_ms += think(generator, phase);
        if (rng_below(&generator->random, phase->turns) == 0 || session->count == CHAIN_MAX) {
            start_session(generator, session, phase);
        } else {
            grow_session(generator, session, draw(generator, phase->growth));
        }
    }
    return true;
}

bool generate_open(enum generate_kind kind, uint64_t seed, struct trace *out_trace)
{
    struct generator *generator = calloc(1, sizeof *generator);
    if (generator == NULL) {
        return false;
    }
    generator->random = seed;
    generator->trace.format = TRACE_HASHES;
    generator->trace.block_tokens = BLOCK_TOKENS;
    bool good = true;
    for (uint32_t i = 0; i < PHASES_MAX && phases[kind][i].requests > 0 && good; i++) {
        good = run_phase(generator, &phases[kind][i]);
    }
    if (good) {
        *out_trace = generator->trace;
    } else {
        trace_close(&generator->trace);
    }
    free(generator);
    return good;
}
