/* scenario_engine: two llama.cpp workers and a real model: how long until the first token, and is
 * it the same one?
 *
 * A prompt of an agent trace is answered by a worker without cache, then by one with it (cold),
 * again by the same, by the other one, and, once its blocks went to the disk, by the other one
 * again. Every answer is compared with the first. Compiled with no engine: the workers are
 * programs (bench/engines/llama).
 */
#include "bench/scenario.h"

#include "bench/clock.h"
#include "bench/engine_prompt.h"
#include "bench/engine_run.h"
#include "bench/table.h"
#include "bench/trace_choice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKIPPED 77 /* as a test that cannot run */
#define LENGTHS 3u
#define GENERATE 16u
#define ANSWER_NS (600 * CLOCK_NS_PER_S)

static const uint32_t lengths[LENGTHS] = {1000, 2000, 4000};

enum way { WAY_ALONE, WAY_COLD, WAY_SAME, WAY_OTHER, WAY_NVME, WAYS };

static const struct {
    const char *name; /* for people */
    const char *key;
} ways[WAYS] = {
    [WAY_ALONE] = {"no cache", "cold_ms"},
    [WAY_COLD] = {"computed, and blocks stored", "cold_storing_ms"},
    [WAY_SAME] = {"warm, the same process", "warm_same_process_ms"},
    [WAY_OTHER] = {"warm, the other process", "warm_other_process_ms"},
    [WAY_NVME] = {"warm, from NVMe", "warm_nvme_ms"},
};

/* What is measured at one length; a sample a round. */
struct length_stats {
    struct stats first_ms[WAYS];
    struct stats ratio; /* warm in the other process, to no cache */
    struct stats nvme_ratio;
    struct stats import_ms;
    struct stats import_share; /* of the computing that it replaced */
    struct stats tokens_per_s; /* of a prompt, computed */
    uint32_t reused_tokens;
};

struct engine_scene {
    const struct options *options;
    struct engine_run run;
    struct trace trace;
    struct length_stats at[LENGTHS];
    struct stats answer_tokens_per_s;
    uint64_t wrong_tokens;
    uint64_t other_logits; /* answers whose first logits were not the same, bit by bit */
    uint64_t refused_blocks;
    uint64_t still_hot; /* blocks that the flood had left in memory */
};

static bool open_stats(struct engine_scene *scene)
{
    size_t runs = (size_t)scene->options->runs;
    bool good = stats_open(&scene->answer_tokens_per_s, runs * LENGTHS);
    for (uint32_t i = 0; i < LENGTHS; i++) {
        struct length_stats *at = &scene->at[i];
        for (int way = 0; way < WAYS; way++) {
            good = stats_open(&at->first_ms[way], runs) && good;
        }
        good = stats_open(&at->ratio, runs) && stats_open(&at->nvme_ratio, runs) &&
               stats_open(&at->import_ms, runs) && stats_open(&at->import_share, runs) &&
               stats_open(&at->tokens_per_s, runs) && good;
    }
    return good;
}

static void close_stats(struct engine_scene *scene)
{
    stats_close(&scene->answer_tokens_per_s);
    for (uint32_t i = 0; i < LENGTHS; i++) {
        struct length_stats *at = &scene->at[i];
        for (int way = 0; way < WAYS; way++) {
            stats_close(&at->first_ms[way]);
        }
        stats_close(&at->ratio);
        stats_close(&at->nvme_ratio);
        stats_close(&at->import_ms);
        stats_close(&at->import_share);
        stats_close(&at->tokens_per_s);
    }
}

static bool ask(struct engine_scene *scene, enum way way, const cJSON *request,
    struct engine_answer *out_answer)
{
    struct engine_run *run = &scene->run;
    struct engine_worker *worker = way == WAY_ALONE                     ? &run->alone
                                   : way == WAY_COLD || way == WAY_SAME ? &run->workers[0]
                                                                        : &run->workers[1];
    if (way == WAY_NVME && !engine_run_flood(run)) {
        return false;
    }
    if (!engine_worker_ask(worker, request) ||
        !engine_worker_answer(worker, ANSWER_NS, out_answer)) {
        fprintf(stderr, "cistern-bench: no answer: %s\n", ways[way].name);
        return false;
    }
    return true;
}

/* Count what differs from the answer of the worker without cache. */
static void compare(struct engine_scene *scene, const struct engine_answer *right,
    const struct engine_answer *answer)
{
    uint32_t most =
        right->token_count > answer->token_count ? right->token_count : answer->token_count;
    for (uint32_t i = 0; i < most; i++) {
        bool equal = i < right->token_count && i < answer->token_count &&
                     right->tokens[i] == answer->tokens[i];
        scene->wrong_tokens += equal ? 0 : 1;
    }
    scene->other_logits += strcmp(right->logits, answer->logits) != 0 ? 1 : 0;
    scene->refused_blocks += answer->refused_blocks;
}

/* Is that what this way is about? A miss where blocks were committed is no figure. */
static bool is_as_meant(
    struct engine_scene *scene, enum way way, uint32_t tokens, const struct engine_answer *answer)
{
    uint32_t whole = (tokens - 1) / ENGINE_RUN_BLOCK_TOKENS;
    uint32_t reused = way == WAY_ALONE || way == WAY_COLD ? 0 : whole * ENGINE_RUN_BLOCK_TOKENS;
    if (answer->prompt_tokens != tokens || answer->reused_tokens != reused) {
        fprintf(stderr, "cistern-bench: %s: %u of %u tokens were reused, not %u of %u\n",
            ways[way].name, answer->reused_tokens, answer->prompt_tokens, reused, tokens);
        return false;
    }
    scene->still_hot += way == WAY_NVME ? whole - answer->fetched_blocks : 0;
    return true;
}

static bool run_prompt(struct engine_scene *scene, uint32_t length, uint32_t round)
{
    struct length_stats *at = &scene->at[length];
    struct engine_answer answers[WAYS];
    cJSON *request =
        engine_prompt_make(&scene->trace, scene->options->seed, round, lengths[length], GENERATE);
    bool good = request != NULL;
    for (int way = 0; way < WAYS && good; way++) {
        good = ask(scene, (enum way)way, request, &answers[way]) &&
               is_as_meant(scene, (enum way)way, lengths[length], &answers[way]);
        if (good) {
            stats_add(&at->first_ms[way], answers[way].first_ms);
            compare(scene, &answers[WAY_ALONE], &answers[way]);
        }
    }
    cJSON_Delete(request);
    if (!good) {
        return false;
    }
    const struct engine_answer *alone = &answers[WAY_ALONE];
    const struct engine_answer *other = &answers[WAY_OTHER];
    double replaced_ms = alone->compute_ms * other->reused_tokens / lengths[length];
    stats_add(&at->ratio, other->first_ms / alone->first_ms);
    stats_add(&at->nvme_ratio, answers[WAY_NVME].first_ms / alone->first_ms);
    stats_add(&at->import_ms, other->import_ms);
    stats_add(&at->import_share, other->import_ms / replaced_ms);
    stats_add(&at->tokens_per_s, lengths[length] / alone->compute_ms * 1e3);
    at->reused_tokens = other->reused_tokens;
    if (other->token_count > 1) {
        stats_add(&scene->answer_tokens_per_s, (other->token_count - 1) / other->generate_ms * 1e3);
    }
    return true;
}

static void row(struct table *table, struct engine_scene *scene, const char *what,
    const char *format, struct stats *(*pick)(struct length_stats *), double factor,
    const char *goal)
{
    table_row(table);
    table_cell(table, 0, "%s", what);
    for (uint32_t i = 0; i < LENGTHS; i++) {
        char text[32];
        snprintf(text, sizeof text, "%.*f %s", factor == 1 ? 1 : 2,
            stats_median(pick(&scene->at[i])) * factor, format);
        table_cell(table, 1 + (int)i, "%s", text);
    }
    table_cell(table, 4, "%s", goal);
}

static struct stats *pick_ratio(struct length_stats *at)
{
    return &at->ratio;
}

static struct stats *pick_nvme_ratio(struct length_stats *at)
{
    return &at->nvme_ratio;
}

static struct stats *pick_import(struct length_stats *at)
{
    return &at->import_ms;
}

static struct stats *pick_share(struct length_stats *at)
{
    return &at->import_share;
}

static struct stats *pick_rate(struct length_stats *at)
{
    return &at->tokens_per_s;
}

static void print(struct engine_scene *scene, const char *model, FILE *people)
{
    static const char *const headings[TABLE_COLUMNS] = {
        "time to the first token, median", "1,000 tokens", "2,000 tokens", "4,000 tokens", "goal"};
    struct table table;
    fprintf(people,
        "\nengine: llama.cpp, %s, blocks of %u tokens (%.2f MiB), 2 workers of %u thread%s, "
        "%llu rounds\n\n",
        model, ENGINE_RUN_BLOCK_TOKENS, (double)scene->run.block_bytes / (1 << 20),
        scene->run.threads, scene->run.threads == 1 ? "" : "s",
        (unsigned long long)scene->options->runs);
    table_start_columns(&table, headings);
    for (int way = 0; way < WAYS; way++) {
        table_row(&table);
        table_cell(&table, 0, "%s", ways[way].name);
        for (uint32_t i = 0; i < LENGTHS; i++) {
            table_cell(&table, 1 + (int)i, "%.1f ms", stats_median(&scene->at[i].first_ms[way]));
        }
    }
    row(&table, scene, "other process / no cache", "%", pick_ratio, 100, "≤ 10 %");
    row(&table, scene, "NVMe / no cache", "%", pick_nvme_ratio, 100, "");
    row(&table, scene, "import", "ms", pick_import, 1, "");
    row(&table, scene, "import / computing it replaced", "%", pick_share, 100, "≤ 3 %");
    row(&table, scene, "prompt tokens a second, computed", "", pick_rate, 1, "");
    table_print(&table, people);
    fprintf(people,
        "\n  answers: %.1f tokens a second; wrong tokens %llu (goal 0); logits that differ in a "
        "bit %llu;\n  blocks refused %llu; blocks that were not on the disk yet %llu\n",
        stats_median(&scene->answer_tokens_per_s), (unsigned long long)scene->wrong_tokens,
        (unsigned long long)scene->other_logits, (unsigned long long)scene->refused_blocks,
        (unsigned long long)scene->still_hot);
}

static void write(struct engine_scene *scene, const char *model, const char *trace, cJSON *root)
{
    report_text(root, "engine", "llama.cpp");
    report_text(root, "model", model);
    report_text(root, "trace", trace);
    report_number(root, "workers", 2);
    report_number(root, "threads", scene->run.threads);
    report_number(root, "block_tokens", ENGINE_RUN_BLOCK_TOKENS);
    report_number(root, "block_bytes", (double)scene->run.block_bytes);
    report_number(root, "pool_bytes", (double)scene->run.daemon.pool_bytes);
    report_number(root, "answer_tokens", GENERATE);
    report_number(root, "runs", (double)scene->options->runs);
    for (uint32_t i = 0; i < LENGTHS; i++) {
        struct length_stats *at = &scene->at[i];
        char name[24];
        snprintf(name, sizeof name, "prompt_%u", lengths[i]);
        cJSON *object = report_object(root, name);
        cJSON *rounds = report_object(object, "rounds");
        report_number(object, "prompt_tokens", lengths[i]);
        report_number(object, "reused_tokens", at->reused_tokens);
        for (int way = 0; way < WAYS; way++) {
            report_number(object, ways[way].key, stats_median(&at->first_ms[way]));
            report_runs(rounds, ways[way].key, &at->first_ms[way]);
        }
        report_number(object, "warm_other_process_ratio", stats_median(&at->ratio));
        report_number(object, "warm_nvme_ratio", stats_median(&at->nvme_ratio));
        report_number(object, "import_ms", stats_median(&at->import_ms));
        report_number(object, "import_share", stats_median(&at->import_share));
        report_number(object, "prompt_tokens_per_s", stats_median(&at->tokens_per_s));
    }
    report_number(root, "tokens_per_s", stats_median(&scene->answer_tokens_per_s));
    report_number(root, "wrong_tokens", (double)scene->wrong_tokens);
    report_number(root, "other_logits", (double)scene->other_logits);
    report_number(root, "refused_blocks", (double)scene->refused_blocks);
    report_number(root, "blocks_not_cold", (double)scene->still_hot);
}

static bool measure(struct engine_scene *scene)
{
    bool good = engine_run_start(&scene->run, lengths[LENGTHS - 1], GENERATE) && open_stats(scene);
    for (uint32_t round = 0; round < scene->options->runs && good; round++) {
        for (uint32_t length = 0; length < LENGTHS && good; length++) {
            good = run_prompt(scene, length, round);
        }
    }
    return good;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

bool scenario_engine(const struct options *options, struct report *report)
{
    struct engine_scene scene = {.options = options};
    const char *trace = trace_choice(options->trace_path);
    if (!engine_run_find(options, &scene.run)) {
        exit(SKIPPED);
    }
    if (!trace_open(trace, 0, &scene.trace)) {
        return false;
    }
    bool good = measure(&scene);
    engine_run_stop(&scene.run);
    if (good) {
        print(&scene, last_part(scene.run.model), report->people);
        write(&scene, last_part(scene.run.model), last_part(trace), report->root);
    }
    if (good && scene.wrong_tokens > 0) {
        fputs("cistern-bench: the cache changed an answer: this is a bug; please report it\n",
            stderr);
        good = false;
    }
    close_stats(&scene);
    trace_close(&scene.trace);
    return good;
}
