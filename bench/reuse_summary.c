/* reuse_summary: sums, simulations, table, JSON. */
#include "bench/reuse_summary.h"

#include "bench/private_cache.h"
#include "bench/table.h"
#include "bench/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static uint64_t tokens_of(
    const struct trace *trace, const struct trace_request *request, uint64_t blocks)
{
    uint64_t tokens = blocks * trace->block_tokens;
    return tokens < request->input_tokens ? tokens : request->input_tokens;
}

/* Replay the trace through `caches` caches of `capacity` blocks each, requests dealt out in turn.
 * */
static bool simulate(
    const struct trace *trace, int caches, uint64_t capacity, struct reuse_share *out_share)
{
    struct private_cache *all = calloc((size_t)caches, sizeof all[0]);
    struct reuse_share share = {0};
    bool good = all != NULL;
    for (int i = 0; good && i < caches; i++) {
        good = private_cache_open(&all[i], (uint32_t)trace->unique, capacity);
    }
    for (size_t i = 0; good && i < trace->request_count; i++) {
        const struct trace_request *request = &trace->requests[i];
        uint32_t hits = private_cache_request(
            &all[i % (size_t)caches], trace->blocks + request->first_block, request->block_count);
        share.blocks += hits;
        share.tokens += tokens_of(trace, request, hits);
    }
    for (int i = 0; all != NULL && i < caches; i++) {
        private_cache_close(&all[i]);
    }
    free(all);
    if (good) {
        *out_share = share;
    }
    return good;
}

static void add_up(struct reuse_summary *summary)
{
    struct replay_result *sum = &summary->sum;
    for (int i = 0; i < summary->replay->workers; i++) {
        const struct replay_result *result = &summary->replay->results[i];
        sum->requests += result->requests;
        sum->reused_blocks += result->reused_blocks;
        sum->waited_blocks += result->waited_blocks;
        sum->reused_tokens += result->reused_tokens;
        sum->foreign_blocks += result->foreign_blocks;
        sum->reused_bytes += result->reused_bytes;
        sum->wrong_bytes += result->wrong_bytes;
        sum->computed_tokens += result->computed_tokens;
        sum->computed_blocks += result->computed_blocks;
        sum->unstored_blocks += result->unstored_blocks;
        sum->duplicate_claims += result->duplicate_claims;
        sum->hash_ns += result->hash_ns;
        sum->verify_ns += result->verify_ns;
        sum->fill_ns += result->fill_ns;
        sum->cpu_ns += result->cpu_ns;
        sum->violations += result->violations;
        if (result->drift_max_ns > sum->drift_max_ns) {
            sum->drift_max_ns = result->drift_max_ns;
        }
    }
    summary->shared.blocks = sum->reused_blocks + sum->waited_blocks;
    summary->shared.tokens = sum->reused_tokens;
}

static bool gather_samples(struct reuse_summary *summary)
{
    const struct replay *replay = summary->replay;
    for (int kind = 0; kind < REPLAY_SAMPLE_KINDS; kind++) {
        size_t room = 0;
        for (int i = 0; i < replay->workers; i++) {
            room += replay->results[i].sample_count[kind];
        }
        if (!stats_open(&summary->samples[kind], room)) {
            return false;
        }
        for (int i = 0; i < replay->workers; i++) {
            for (size_t n = 0; n < replay->results[i].sample_count[kind]; n++) {
                stats_add(&summary->samples[kind], replay->results[i].samples[kind][n]);
            }
        }
    }
    return true;
}

bool reuse_summary_open(struct reuse_summary *summary)
{
    const struct trace *trace = summary->replay->trace;
    int workers = summary->replay->workers;
    add_up(summary);
    uint64_t each = summary->pool_blocks / (uint64_t)workers;
    bool good = gather_samples(summary) && simulate(trace, 1, trace->unique, &summary->ceiling);
    if (good && summary->pool_blocks > 0) {
        good = simulate(trace, workers, each, &summary->private) &&
               simulate(trace, 1, summary->pool_blocks, &summary->one);
    }
    if (!good) {
        fputs("cistern-bench: out of memory for the summary\n", stderr);
    }
    return good;
}

void reuse_summary_close(struct reuse_summary *summary)
{
    for (int kind = 0; kind < REPLAY_SAMPLE_KINDS; kind++) {
        stats_close(&summary->samples[kind]);
    }
}

static double part(uint64_t some, uint64_t all)
{
    return all == 0 ? 0 : (double)some / (double)all;
}

/* GPU seconds that the model needs for what `share` leaves to be computed. */
static double prefill_s(const struct reuse_summary *summary, const struct reuse_share *share)
{
    return (double)(summary->replay->trace->input_tokens - share->tokens) /
           summary->replay->prefill_tokens_per_s;
}

/* A row for all four set-ups; `unknown` where the pool's size is not known. */
static void row(struct reuse_summary *summary, struct table *table, const char *what,
    double (*value)(const struct reuse_summary *, const struct reuse_share *), const char *format)
{
    static const struct reuse_share none = {0};
    const struct reuse_share *shares[] = {
        &summary->shared, &summary->private, &none, &summary->ceiling};
    table_row(table);
    table_cell(table, 0, "%s", what);
    for (int i = 0; i < 4; i++) {
        char text[TABLE_CELL_BYTES];
        double number = value(summary, shares[i]);
        if (strcmp(format, "%") == 0) {
            snprintf(text, sizeof text, "%.1f %%", number * 100);
        } else if (strcmp(format, "s") == 0) {
            snprintf(text, sizeof text, number < 10 ? "%.2f s" : "%.1f s", number);
        } else {
            snprintf(text, sizeof text, "%.0f", number);
        }
        bool unknown = i == 1 && summary->pool_blocks == 0;
        table_cell(table, i + 1, "%s", unknown ? "unknown" : text);
    }
}

static double token_rate(const struct reuse_summary *summary, const struct reuse_share *share)
{
    return part(share->tokens, summary->replay->trace->input_tokens);
}

static double block_rate(const struct reuse_summary *summary, const struct reuse_share *share)
{
    return part(share->blocks, summary->replay->trace->block_references);
}

static double token_count(const struct reuse_summary *summary, const struct reuse_share *share)
{
    (void)summary;
    return (double)share->tokens;
}

static void times_row(
    struct reuse_summary *summary, struct table *table, const char *what, enum replay_sample kind)
{
    table_row(table);
    table_cell(table, 0, "%s", what);
    table_cell(table, 1, "%.1f / %.1f µs", stats_percentile(&summary->samples[kind], 50),
        stats_percentile(&summary->samples[kind], 99));
}

void reuse_summary_print(struct reuse_summary *summary, FILE *to)
{
    const struct replay *replay = summary->replay;
    const struct trace *trace = replay->trace;
    struct table table;
    const char *columns[TABLE_COLUMNS] = {
        "", "Cistern", "a cache per process*", "no cache", "endless cache*"};
    fprintf(to,
        "\nreuse: %s\n  %zu requests, %llu tokens (%s), %llu references to %llu blocks of %u "
        "tokens and %llu KiB\n",
        summary->trace_name, trace->request_count, (unsigned long long)trace->input_tokens,
        trace->format == TRACE_TEXT ? TOKENIZER_NAME : "as the trace says",
        (unsigned long long)trace->block_references, (unsigned long long)trace->unique,
        trace->block_tokens, (unsigned long long)(replay->block_bytes >> 10));
    fprintf(to, "  %d worker processes, %.1f s, schedule ×%.3g, ", replay->workers, summary->wall_s,
        replay->speedup);
    if (summary->pool_blocks > 0) {
        fprintf(to, "pool of %.2f GiB = %llu blocks\n\n", (double)summary->pool_bytes / (1 << 30),
            (unsigned long long)summary->pool_blocks);
    } else {
        fputs("a sidecar that ran already\n\n", to);
    }
    table_start_columns(&table, columns);
    table_row(&table);
    table_cell(&table, 0, "requests answered");
    table_cell(&table, 1, "%llu", (unsigned long long)summary->sum.requests);
    row(summary, &table, "hit rate, tokens", token_rate, "%");
    row(summary, &table, "hit rate, blocks (prefix)", block_rate, "%");
    row(summary, &table, "tokens not recomputed", token_count, "n");
    row(summary, &table, "prefill, modelled†", prefill_s, "s");
    table_row(&table);
    table_cell(&table, 0, "bytes shared, read in place");
    table_cell(&table, 1, "%.1f MB", (double)summary->sum.reused_bytes / 1e6);
    table_row(&table);
    table_cell(&table, 0, "    computed by another process");
    table_cell(
        &table, 1, "%.1f %%", part(summary->sum.foreign_blocks, summary->shared.blocks) * 100);
    times_row(summary, &table, "lookup of a prompt, p50 / p99", REPLAY_LOOKUP);
    times_row(summary, &table, "commit until visible, p50 / p99", REPLAY_COMMIT);
    table_row(&table);
    table_cell(&table, 0, "wrong bytes");
    table_cell(&table, 1, "%llu", (unsigned long long)summary->sum.wrong_bytes);
    table_print(&table, to);
    fprintf(to,
        "\n  * simulated, exact for hit rates: LRU, leaf first; per process: the pool divided by "
        "%d\n"
        "  † a model, not a measurement: %.0f tokens a second and worker; times are GPU "
        "seconds of all workers\n"
        "  lookup: match and acquire of all blocks of a prompt; commit: until the sidecar has "
        "handled it\n",
        replay->workers, replay->prefill_tokens_per_s);
    fprintf(to,
        "  CPU: sidecar %.2f s; workers %.2f s, of it verifying %.2f s, filling %.2f s, hashing "
        "%.2f s\n",
        summary->sidecar_cpu_s, (double)summary->sum.cpu_ns / 1e9,
        (double)summary->sum.verify_ns / 1e9, (double)summary->sum.fill_ns / 1e9,
        (double)summary->sum.hash_ns / 1e9);
    if (summary->sum.unstored_blocks > 0) {
        fprintf(to, "  %llu computed blocks found no slot in time\n",
            (unsigned long long)summary->sum.unstored_blocks);
    }
}

static void write_share(cJSON *root, const char *name, const struct reuse_summary *summary,
    const struct reuse_share *share, const char *basis)
{
    cJSON *object = report_object(root, name);
    report_text(object, "basis", basis);
    report_number(object, "hit_rate", block_rate(summary, share));
    report_number(object, "token_hit_rate", token_rate(summary, share));
    report_number(object, "tokens_not_recomputed", (double)share->tokens);
    report_number(object, "modelled_prefill_s", prefill_s(summary, share));
}

static void write_sample(cJSON *root, const char *name, struct stats *samples)
{
    char key[64];
    static const struct {
        const char *suffix;
        double percent;
    } ranks[] = {{"p50", 50}, {"p99", 99}, {"p999", 99.9}};
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++) {
        snprintf(key, sizeof key, "%s_us_%s", name, ranks[i].suffix);
        report_number(root, key, stats_percentile(samples, ranks[i].percent));
    }
}

void reuse_summary_write(struct reuse_summary *summary, cJSON *root)
{
    const struct replay *replay = summary->replay;
    const struct trace *trace = replay->trace;
    const struct replay_result *sum = &summary->sum;
    report_text(root, "trace", summary->trace_name);
    report_text(root, "tokenizer", trace->format == TRACE_TEXT ? TOKENIZER_NAME : "none");
    report_number(root, "workers", replay->workers);
    report_number(root, "block_tokens", trace->block_tokens);
    report_number(root, "block_bytes", (double)replay->block_bytes);
    report_number(root, "pool_bytes", (double)summary->pool_bytes);
    report_number(root, "pool_blocks", (double)summary->pool_blocks);
    report_number(root, "unique_blocks", (double)trace->unique);
    report_number(root, "prefill_tokens_per_s", replay->prefill_tokens_per_s);
    report_text(root, "prefill_basis", "modelled");
    report_number(root, "speedup", replay->speedup);
    report_number(root, "requests", (double)sum->requests);
    report_number(root, "input_tokens", (double)trace->input_tokens);
    report_number(root, "blocks", (double)trace->block_references);
    report_number(root, "hit_rate", block_rate(summary, &summary->shared));
    report_number(root, "token_hit_rate", token_rate(summary, &summary->shared));
    report_number(root, "arrival_hit_rate", part(sum->reused_blocks, trace->block_references));
    report_number(root, "wrong_bytes", (double)sum->wrong_bytes);
    report_number(root, "wall_s", summary->wall_s);
    report_number(root, "tokens_not_recomputed", (double)sum->reused_tokens);
    report_number(root, "computed_tokens", (double)sum->computed_tokens);
    report_number(root, "computed_blocks", (double)sum->computed_blocks);
    report_number(root, "waited_blocks", (double)sum->waited_blocks);
    report_number(root, "claims_of_others", (double)sum->duplicate_claims);
    report_number(root, "unstored_blocks", (double)sum->unstored_blocks);
    report_number(root, "bytes_shared", (double)sum->reused_bytes);
    report_number(root, "foreign_share", part(sum->foreign_blocks, summary->shared.blocks));
    report_number(root, "violations", (double)sum->violations);
    report_number(root, "modelled_prefill_s", prefill_s(summary, &summary->shared));
    write_sample(root, "lookup", &summary->samples[REPLAY_LOOKUP]);
    write_sample(root, "commit", &summary->samples[REPLAY_COMMIT]);
    write_sample(root, "claim", &summary->samples[REPLAY_CLAIM]);
    report_number(root, "drift_max_ms", (double)sum->drift_max_ns / 1e6);
    report_number(root, "sidecar_cpu_s", summary->sidecar_cpu_s);
    report_number(root, "workers_cpu_s", (double)sum->cpu_ns / 1e9);
    report_number(root, "verify_s", (double)sum->verify_ns / 1e9);
    report_number(root, "fill_s", (double)sum->fill_ns / 1e9);
    report_number(root, "hash_s", (double)sum->hash_ns / 1e9);
    static const struct reuse_share none = {0};
    if (summary->pool_blocks > 0) {
        write_share(root, "per_process", summary, &summary->private, "simulated");
        write_share(root, "one_lru", summary, &summary->one, "simulated");
    }
    write_share(root, "endless", summary, &summary->ceiling, "simulated");
    write_share(root, "no_cache", summary, &none, "arithmetic");
}
