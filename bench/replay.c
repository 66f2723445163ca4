/* replay: one worker's loop over its requests. */
#include "bench/replay.h"

#include "bench/client.h"
#include "bench/clock.h"
#include "bench/content.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK_BLOCKS 32u /* claimed, computed and committed together, like a chunk of prefill */
#define HOT_RETRIES_MAX 8u
#define RESERVE_WAIT_NS (200 * CLOCK_NS_PER_MS)
#define CLAIM_WAIT_NS (30 * CLOCK_NS_PER_S)
#define FLUSH_WAIT_NS (10 * CLOCK_NS_PER_S)
#define TURN_WAIT_NS (300 * CLOCK_NS_PER_S)
#define TURN_LOOK_NS (200 * CLOCK_NS_PER_US)

struct worker {
    struct replay *replay;
    struct replay_result *result;
    cistern_t *handle;
    int number;
    struct cistern_key *keys; /* room for the longest request, as the next one */
    struct cistern_view *views;
};

/* Bytes of shared memory in front of the results, rounded to cache lines. */
static size_t flags_bytes(const struct trace *trace)
{
    size_t bytes = 4 * 128 + trace->request_count + (size_t)trace->unique;
    return (bytes + 127) / 128 * 128;
}

bool replay_share(struct replay *replay)
{
    const struct trace *trace = replay->trace;
    size_t flags = flags_bytes(trace);
    size_t bytes = flags + (size_t)replay->workers * sizeof replay->results[0];
    char *memory = workers_share(bytes);
    if (memory == NULL) {
        fputs("cistern-bench: out of memory for the workers' results\n", stderr);
        return false;
    }
    replay->shared_bytes = bytes;
    replay->ready = (void *)memory;
    replay->start_ns = (void *)(memory + 128);
    replay->answered_count = (void *)(memory + 256);
    replay->answered = (void *)(memory + 384);
    replay->writer = replay->answered + trace->request_count;
    replay->results = (void *)(memory + flags);
    return true;
}

void replay_unshare(struct replay *replay)
{
    workers_unshare(replay->ready, replay->shared_bytes);
    replay->ready = NULL;
}

static void add_sample(struct worker *worker, enum replay_sample kind, int64_t ns)
{
    struct replay_result *result = worker->result;
    if (result->sample_count[kind] == REPLAY_SAMPLES_MAX) {
        result->sample_dropped[kind]++;
        return;
    }
    result->samples[kind][result->sample_count[kind]++] = (double)ns / 1e3;
}

/* Tokens of `count` blocks from block `first` on; the last block of a request may be a partial
 * one. */
static uint64_t tokens_of(
    const struct trace *trace, const struct trace_request *request, uint64_t first, uint64_t count)
{
    uint64_t start = first * trace->block_tokens;
    uint64_t end = (first + count) * trace->block_tokens;
    end = end < request->input_tokens ? end : request->input_tokens;
    return end > start ? end - start : 0;
}

/* The modelled prefill of `tokens` tokens. */
static void compute(struct worker *worker, uint64_t tokens)
{
    const struct replay *replay = worker->replay;
    double ns = (double)tokens * 1e9 / replay->prefill_tokens_per_s / replay->speedup;
    clock_sleep_until(clock_now_ns() + (int64_t)ns);
    worker->result->computed_tokens += tokens;
}

/* Compare the `count` pinned blocks from block `first` on with what their keys say. */
static void verify(
    struct worker *worker, const struct trace_request *request, size_t first, size_t count)
{
    struct replay *replay = worker->replay;
    struct replay_result *result = worker->result;
    const uint32_t *blocks = replay->trace->blocks + request->first_block + first;
    int64_t start = clock_now_ns();
    for (size_t i = 0; i < count; i++) {
        const struct cistern_view *view = &worker->views[i];
        result->wrong_bytes +=
            view->bytes != replay->block_bytes
                ? replay->block_bytes
                : content_wrong_bytes(&worker->keys[first + i], view->data, view->bytes);
        result->reused_bytes += view->bytes;
        uint8_t writer = atomic_load_explicit(&replay->writer[blocks[i]], memory_order_relaxed);
        result->foreign_blocks += writer != worker->number + 1;
    }
    result->verify_ns += clock_now_ns() - start;
}

/* Pin what is hot from block `first` on, verify it, let it go. Returns the number of blocks. A
 * prompt that needs more pins than the sidecar lends is read in pieces. */
static size_t reuse(struct worker *worker, const struct trace_request *request, size_t first)
{
    size_t done = 0;
    struct cistern_match match = {.size = sizeof match};
    int64_t start = clock_now_ns();
    size_t left = request->block_count - first;
    if (cistern_match(worker->handle, worker->keys + first, left, &match) != CISTERN_OK) {
        match.hot = 0;
    }
    int64_t lookup_ns = clock_now_ns() - start;
    while (done < match.hot) {
        size_t count = 0;
        start = clock_now_ns();
        int status = cistern_acquire(
            worker->handle, worker->keys + first + done, match.hot - done, worker->views, &count);
        lookup_ns += clock_now_ns() - start;
        if (status != CISTERN_OK) {
            break;
        }
        verify(worker, request, first + done, count);
        cistern_release(worker->handle, worker->views, count);
        done += count;
    }
    if (first == 0) {
        add_sample(worker, REPLAY_LOOKUP, lookup_ns);
    }
    worker->result->reused_tokens += tokens_of(worker->replay->trace, request, first, done);
    return done;
}

/* Fill and commit the computed blocks `first` to `first + count - 1`. */
static void store(
    struct worker *worker, const struct trace_request *request, size_t first, size_t count)
{
    struct replay *replay = worker->replay;
    struct replay_result *result = worker->result;
    struct cistern_slot slots[CHUNK_BLOCKS];
    const uint32_t *blocks = replay->trace->blocks + request->first_block;
    size_t stored = 0;
    while (stored < count) {
        size_t taken = 0;
        if (cistern_reserve(worker->handle, count - stored, RESERVE_WAIT_NS, slots, &taken) !=
            CISTERN_OK) {
            break;
        }
        const struct cistern_key *keys = worker->keys + first + stored;
        int64_t start = clock_now_ns();
        for (size_t i = 0; i < taken; i++) {
            content_fill(&keys[i], slots[i].data, replay->block_bytes);
        }
        int64_t filled = clock_now_ns();
        result->fill_ns += filled - start;
        for (size_t i = 0; i < taken; i++) {
            size_t at = first + stored + i;
            const struct cistern_key *parent = at == 0 ? NULL : &worker->keys[at - 1];
            atomic_store_explicit(
                &replay->writer[blocks[at]], (uint8_t)(worker->number + 1), memory_order_relaxed);
            filled = clock_now_ns();
            if (cistern_commit(worker->handle, &slots[i], &keys[i], parent, replay->block_bytes) !=
                CISTERN_OK) {
                result->unstored_blocks++;
            }
        }
        if (cistern_flush(worker->handle, FLUSH_WAIT_NS) == CISTERN_OK) {
            add_sample(worker, REPLAY_COMMIT, clock_now_ns() - filled);
        }
        stored += taken;
    }
    for (size_t i = stored; i < count; i++) {
        cistern_unclaim(worker->handle, &worker->keys[first + i]);
        result->unstored_blocks++;
    }
}

/* Claim blocks from `first` on, as a chunk of prefill. Returns how many are ours; `out_status` is
 * the answer to the claim that ended it. */
static size_t claim(
    struct worker *worker, const struct trace_request *request, size_t first, int *out_status)
{
    size_t left = request->block_count - first;
    size_t most = left < CHUNK_BLOCKS ? left : CHUNK_BLOCKS;
    *out_status = CISTERN_MINE;
    for (size_t mine = 0; mine < most; mine++) {
        int64_t start = clock_now_ns();
        int status = cistern_claim(worker->handle, &worker->keys[first + mine]);
        add_sample(worker, REPLAY_CLAIM, clock_now_ns() - start);
        if (status != CISTERN_MINE) {
            *out_status = status;
            return mine;
        }
    }
    return most;
}

/* One prompt, from its first block to its last. */
static void serve(struct worker *worker, const struct trace_request *request)
{
    const struct trace *trace = worker->replay->trace;
    struct replay_result *result = worker->result;
    size_t at = 0;
    bool arriving = true;
    unsigned hot_retries = 0;
    while (at < request->block_count) {
        size_t found = reuse(worker, request, at);
        *(arriving ? &result->reused_blocks : &result->waited_blocks) += found;
        arriving = false;
        hot_retries = found > 0 ? 0 : hot_retries;
        at += found;
        if (at == request->block_count) {
            break;
        }
        int status;
        size_t mine = claim(worker, request, at, &status);
        if (mine == 0 && status == CISTERN_OTHER) {
            result->duplicate_claims++;
            status = cistern_wait(worker->handle, &worker->keys[at], CLAIM_WAIT_NS);
        }
        if (mine == 0 && status == CISTERN_OK && hot_retries++ < HOT_RETRIES_MAX) {
            continue; /* it became hot meanwhile */
        }
        /* Ours now, or nobody can say: an engine computes. */
        mine = mine == 0 ? 1 : mine;
        compute(worker, tokens_of(trace, request, at, mine));
        store(worker, request, at, mine);
        result->computed_blocks += mine;
        at += mine;
    }
    /* What lies behind the last full block has no key, and is always computed. */
    compute(worker, request->input_tokens - tokens_of(trace, request, 0, request->block_count));
}

static bool make_keys(struct worker *worker, const struct trace_request *request)
{
    const struct trace *trace = worker->replay->trace;
    size_t count = request->block_count;
    int64_t start = clock_now_ns();
    int status = trace->format == TRACE_TEXT
                     ? cistern_keys(worker->handle, NULL, trace->tokens + request->first,
                           (size_t)request->input_tokens, worker->keys, &count)
                     : cistern_keys_from_hashes(worker->handle, trace->hashes + request->first,
                           sizeof trace->hashes[0], count, 0, worker->keys);
    worker->result->hash_ns += clock_now_ns() - start;
    assert(status != CISTERN_OK || count == request->block_count);
    return status == CISTERN_OK || client_failed("keys", status);
}

/* Wait until the request is due and the turn before it was answered. */
static bool wait_turn(struct worker *worker, const struct trace_request *request)
{
    struct replay *replay = worker->replay;
    int64_t start = atomic_load_explicit(replay->start_ns, memory_order_acquire);
    int64_t due = start + (int64_t)((double)request->arrival_us * 1e3 / replay->speedup);
    clock_sleep_until(due);
    int64_t deadline = clock_now_ns() + TURN_WAIT_NS;
    int64_t possible = due;
    while (request->previous != TRACE_NONE &&
           atomic_load_explicit(&replay->answered[request->previous], memory_order_acquire) == 0) {
        possible = clock_now_ns();
        if (possible > deadline) {
            fputs("cistern-bench: the turn before was not answered\n", stderr);
            return false;
        }
        clock_sleep_until(possible + TURN_LOOK_NS);
    }
    int64_t drift = clock_now_ns() - possible;
    if (drift > worker->result->drift_max_ns) {
        worker->result->drift_max_ns = drift;
    }
    return true;
}

static bool work(struct worker *worker)
{
    struct replay *replay = worker->replay;
    const struct trace *trace = replay->trace;
    size_t step = (size_t)replay->workers;
    for (size_t i = (size_t)worker->number; i < trace->request_count; i += step) {
        const struct trace_request *request = &trace->requests[i];
        if (!wait_turn(worker, request)) {
            return false;
        }
        if (request->block_count > 0 && !make_keys(worker, request)) {
            return false;
        }
        serve(worker, request);
        worker->result->requests++;
        atomic_store_explicit(&replay->answered[i], 1, memory_order_release);
        atomic_fetch_add_explicit(replay->answered_count, 1, memory_order_relaxed);
    }
    return true;
}

static bool prepare(struct worker *worker)
{
    const struct replay *replay = worker->replay;
    const struct trace *trace = replay->trace;
    uint32_t longest = trace->longest_blocks;
    struct client_settings settings = {.socket_path = replay->socket_path,
        .name = "bench-reuse",
        .block_tokens = trace->block_tokens,
        .block_bytes = replay->block_bytes,
        .pins_per_thread = longest,
        .grants_ahead = CHUNK_BLOCKS};
    worker->keys = malloc(longest * sizeof worker->keys[0]);
    worker->views = malloc(longest * sizeof worker->views[0]);
    if (worker->keys == NULL || worker->views == NULL) {
        fputs("cistern-bench: out of memory\n", stderr);
        return false;
    }
    return client_open(&settings, &worker->handle);
}

int replay_body(int number, void *context)
{
    struct replay *replay = context;
    struct worker worker = {.replay = replay, .result = &replay->results[number], .number = number};
    bool good = prepare(&worker);
    if (good) {
        atomic_fetch_add_explicit(replay->ready, 1, memory_order_acq_rel);
        int64_t deadline = clock_now_ns() + TURN_WAIT_NS;
        while (atomic_load_explicit(replay->start_ns, memory_order_acquire) == 0) {
            if (clock_now_ns() > deadline) {
                return 1;
            }
            clock_sleep_until(clock_now_ns() + TURN_LOOK_NS);
        }
        int64_t cpu = clock_cpu_ns();
        good = work(&worker);
        worker.result->cpu_ns = clock_cpu_ns() - cpu;
        struct cistern_stats stats = {.size = sizeof stats};
        if (cistern_stats(worker.handle, &stats) == CISTERN_OK) {
            worker.result->violations = stats.violations;
        }
    }
    cistern_close(&worker.handle);
    free(worker.keys);
    free(worker.views);
    return good ? 0 : 1;
}
