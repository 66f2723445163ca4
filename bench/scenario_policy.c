/* scenario_policy: replays traces through caches of several sizes under each eviction policy, and
 * through the optimum. No daemon, no clock: the same trace gives the same figures everywhere.
 *
 * See bench/policy/README.md for the policies and for what is counted.
 */
#include "bench/scenario.h"

#include "bench/policy/generate.h"
#include "bench/policy/rate.h"
#include "bench/policy/sizes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SIZES_DEFAULT "1%,5%,10%,25%,50%"

/* The others, then the bound, then ours. */
static const struct sim_ops *const policies[] = {
    &sim_lru, &sim_s3fifo, &sim_sieve, &sim_arc, &sim_lrfu, &sim_optimum, &sim_adaptive};
#define POLICIES (sizeof policies / sizeof policies[0])
#define OPTIMUM (POLICIES - 2)
#define OURS (POLICIES - 1)

/* One line of the table: all policies at one size. */
struct line {
    struct rate rates[POLICIES];
    size_t best; /* of the others */
    double margin; /* ours minus best, prefix hits */
    double gap; /* optimum minus best */
};

static bool replay_all(const struct trace *trace, uint32_t blocks, struct line *out_line)
{
    struct line line = {0};
    for (size_t i = 0; i < POLICIES; i++) {
        if (!rate_replay(policies[i], trace, blocks, &line.rates[i])) {
            fputs("cistern-bench: out of memory for the replay\n", stderr);
            return false;
        }
        if (i < OPTIMUM && line.rates[i].prefix > line.rates[line.best].prefix) {
            line.best = i;
        }
    }
    line.margin = line.rates[OURS].prefix - line.rates[line.best].prefix;
    line.gap = line.rates[OPTIMUM].prefix - line.rates[line.best].prefix;
    *out_line = line;
    return true;
}

static void print_heading(
    FILE *to, const char *name, const struct trace *trace, const struct rate *ceiling)
{
    fprintf(to,
        "\n%s: %zu requests, %llu references, %llu blocks of %u tokens; endless cache %.4f "
        "(tokens %.4f)\n\n",
        name, trace->request_count, (unsigned long long)trace->block_references,
        (unsigned long long)trace->unique, trace->block_tokens, ceiling->prefix,
        ceiling->token_prefix);
    fprintf(to, "%8s %8s", "size", "blocks");
    for (size_t i = 0; i < POLICIES; i++) {
        fprintf(to, " %9s", policies[i]->name);
    }
    fprintf(to, " %9s %6s %9s %9s\n", "margin", "gap", "tokens", "plain");
}

static void print_line(FILE *to, const struct size *size, uint32_t blocks, const struct line *line)
{
    fprintf(to, "%8s %8u", size->text, blocks);
    for (size_t i = 0; i < POLICIES; i++) {
        fprintf(to, " %8.4f%s", line->rates[i].prefix, i == line->best ? "*" : " ");
    }
    fprintf(to, " %+8.4f ", line->margin);
    if (line->gap > 0) {
        fprintf(to, " %5.0f%%", line->margin / line->gap * 100);
    } else {
        fprintf(to, " %6s", "-");
    }
    fprintf(to, " %9.4f %9.4f\n", line->rates[OURS].token_prefix, line->rates[OURS].plain);
}

static void write_line(cJSON *to, const struct size *size, uint32_t blocks, const struct line *line)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToArray(to, object);
    report_text(object, "size", size->text);
    report_number(object, "blocks", blocks);
    cJSON *prefix = report_object(object, "prefix_hit");
    cJSON *token = report_object(object, "token_hit");
    cJSON *plain = report_object(object, "plain_hit");
    for (size_t i = 0; i < POLICIES; i++) {
        report_number(prefix, policies[i]->name, line->rates[i].prefix);
        report_number(token, policies[i]->name, line->rates[i].token_prefix);
        report_number(plain, policies[i]->name, line->rates[i].plain);
    }
    report_text(object, "best_other", policies[line->best]->name);
    report_number(object, "margin", line->margin);
    if (line->gap > 0) {
        report_number(object, "gap_closed", line->margin / line->gap);
    } else {
        report_null(object, "gap_closed");
    }
}

/* One trace: a table, and an object under `traces`. `*worst` is the least margin so far. */
static bool replay_trace(const char *name, const struct trace *trace, const struct sizes *sizes,
    const struct report *report, cJSON *traces, double *worst)
{
    struct rate ceiling;
    if (trace->block_references == 0 || trace->unique >= UINT32_MAX ||
        !rate_ceiling(trace, &ceiling)) {
        fprintf(stderr, "cistern-bench: %s: no blocks, or too many; see --block-tokens\n", name);
        return false;
    }
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToArray(traces, object);
    report_text(object, "trace", name);
    report_number(object, "requests", (double)trace->request_count);
    report_number(object, "references", (double)trace->block_references);
    report_number(object, "unique_blocks", (double)trace->unique);
    report_number(object, "block_tokens", trace->block_tokens);
    report_number(object, "ceiling", ceiling.prefix);
    report_number(object, "ceiling_token", ceiling.token_prefix);
    cJSON *lines = cJSON_AddArrayToObject(object, "sizes");
    print_heading(report->people, name, trace, &ceiling);
    double mine = INFINITY;
    for (uint32_t i = 0; i < sizes->count; i++) {
        uint32_t blocks = sizes_blocks(&sizes->items[i], trace->unique);
        struct line line;
        if (!replay_all(trace, blocks, &line)) {
            return false;
        }
        print_line(report->people, &sizes->items[i], blocks, &line);
        fflush(report->people);
        write_line(lines, &sizes->items[i], blocks, &line);
        mine = fmin(mine, line.margin);
    }
    report_number(object, "margin_worst", mine);
    *worst = fmin(*worst, mine);
    return true;
}

static bool replay_file(const char *path, const struct options *options, const struct sizes *sizes,
    const struct report *report, cJSON *traces, double *worst)
{
    struct trace trace;
    if (!trace_open(path, (uint32_t)options->block_tokens, &trace)) {
        return false;
    }
    /* People know a trace by its name; the folders above it are this machine's business. */
    const char *slash = strrchr(path, '/');
    bool good = replay_trace(
        slash != NULL && slash[1] != '\0' ? slash + 1 : path, &trace, sizes, report, traces, worst);
    trace_close(&trace);
    return good;
}

static bool replay_generated(const struct options *options, const struct sizes *sizes,
    const struct report *report, cJSON *traces, double *worst)
{
    bool all = strcmp(options->generate, "all") == 0;
    bool any = false;
    for (int kind = 0; kind < GENERATE_COUNT; kind++) {
        if (!all && strcmp(options->generate, generate_names[kind]) != 0) {
            continue;
        }
        any = true;
        struct trace trace;
        if (!generate_open((enum generate_kind)kind, options->seed, &trace)) {
            fputs("cistern-bench: out of memory for the load\n", stderr);
            return false;
        }
        bool good = replay_trace(generate_names[kind], &trace, sizes, report, traces, worst);
        trace_close(&trace);
        if (!good) {
            return false;
        }
    }
    if (!any) {
        fprintf(
            stderr, "cistern-bench: --generate wants sessions, zipf, scan, bursts, mix or all\n");
    }
    return any;
}

bool scenario_policy(const struct options *options, struct report *report)
{
    struct sizes sizes;
    if (options->trace_count == 0 && options->generate == NULL) {
        fputs("cistern-bench: policy wants traces, or --generate\n", stderr);
        return false;
    }
    if (options->block_tokens > 65536) {
        fputs("cistern-bench: --block-tokens: 65536 at most\n", stderr);
        return false;
    }
    if (!sizes_parse(options->sizes != NULL ? options->sizes : SIZES_DEFAULT, &sizes)) {
        return false;
    }
    cJSON *names = cJSON_AddArrayToObject(report->root, "policies");
    for (size_t i = 0; i < POLICIES; i++) {
        cJSON_AddItemToArray(names, cJSON_CreateString(policies[i]->name));
    }
    cJSON *traces = cJSON_AddArrayToObject(report->root, "traces");
    double worst = INFINITY;
    fputs("prefix hits by policy, all leaf first; * best of the others; margin: adaptive minus "
          "that;\n"
          "gap: the part of the way from there to the optimum; tokens, plain: hits of adaptive\n",
        report->people);
    for (uint32_t i = 0; i < options->trace_count; i++) {
        if (!replay_file(options->traces[i], options, &sizes, report, traces, &worst)) {
            return false;
        }
    }
    if (options->generate != NULL && !replay_generated(options, &sizes, report, traces, &worst)) {
        return false;
    }
    report_number(report->root, "margin_worst", worst);
    fprintf(report->people, "\nworst margin: %+.4f\n", worst);
    return true;
}
