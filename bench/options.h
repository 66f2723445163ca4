/* options: the command line of cistern-bench. Parsed once by main, read by every scenario.
 *
 * One table names each option, the scenarios it applies to, and its help; an option that would do
 * nothing in the chosen scenario is refused. 0 and NULL mean: the scenario's default.
 */
#ifndef CISTERN_BENCH_OPTIONS_H
#define CISTERN_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum scenario_kind {
    SCENARIO_HIT,
    SCENARIO_PREFIX,
    SCENARIO_PUT,
    SCENARIO_GET,
    SCENARIO_COMMIT,
    SCENARIO_SCALE,
    SCENARIO_SERVER,
    SCENARIO_REUSE,
    SCENARIO_RESTART,
    SCENARIO_CODEC,
    SCENARIO_POLICY,
    SCENARIO_NVME,
    SCENARIO_GPU,
    SCENARIO_ENGINE,
    SCENARIO_COUNT
};

#define OPTIONS_CPU_AUTO (-1)
#define OPTIONS_CPU_NONE (-2)
#define OPTIONS_TRACES_MAX 16u

/* Texts are borrowed from argv. */
struct options {
    enum scenario_kind scenario;
    const char *json_path; /* "-": standard output */
    const char *socket_path; /* a running sidecar; NULL: start a private one */
    const char *cisternd_path; /* NULL: found beside the program */
    const char *trace_path;
    const char *traces[OPTIONS_TRACES_MAX]; /* policy: named without an option */
    uint32_t trace_count;
    const char *sizes;
    const char *generate;
    const char *device; /* NULL: auto */
    const char *dir_path;
    const char *model_path;
    uint64_t seed;
    uint64_t entries;
    uint64_t blocks;
    uint64_t pool_bytes;
    uint64_t file_bytes;
    uint64_t block_bytes;
    uint64_t block_tokens;
    uint64_t workers;
    uint64_t runs;
    double prefill_tokens_per_s;
    double speedup;
    int64_t cpu_server; /* a number, OPTIONS_CPU_AUTO or OPTIONS_CPU_NONE */
    int64_t cpu_client;
};

extern const char *const scenario_names[SCENARIO_COUNT];
extern const char *const scenario_summaries[SCENARIO_COUNT];

void options_help(FILE *to);

/* Fill `out_options` from the command line. Returns false after one line on stderr that says what
 * is wrong and what to do. `*out_help` is set if help was asked for. */
bool options_parse(int argc, char **argv, struct options *out_options, bool *out_help);

/* A size like 4096, 64KiB, 2GiB; K, M, G mean the same as KiB, MiB, GiB. */
bool options_parse_size(const char *text, uint64_t *out_bytes);

#endif
