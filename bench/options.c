/* options: one table, from which parsing and help are made. */
#include "bench/options.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_TEXT, KIND_COUNT, KIND_SIZE, KIND_RATE, KIND_CPU };

#define ON(scenario) (1u << SCENARIO_##scenario)
#define ON_ALL ((1u << SCENARIO_COUNT) - 1)
#define ON_SIDECAR (ON_ALL & ~(ON(CODEC) | ON(GPU))) /* those that start one */

struct option_row {
    const char *name;
    enum kind kind;
    size_t offset;
    unsigned scenarios; /* bits: where it does something */
    const char *help;
};

const char *const scenario_names[SCENARIO_COUNT] = {
    [SCENARIO_HIT] = "hit",
    [SCENARIO_PREFIX] = "prefix",
    [SCENARIO_PUT] = "put",
    [SCENARIO_GET] = "get",
    [SCENARIO_COMMIT] = "commit",
    [SCENARIO_SCALE] = "scale",
    [SCENARIO_SERVER] = "server",
    [SCENARIO_REUSE] = "reuse",
    [SCENARIO_RESTART] = "restart",
    [SCENARIO_CODEC] = "codec",
    [SCENARIO_POLICY] = "policy",
    [SCENARIO_NVME] = "nvme",
    [SCENARIO_GPU] = "gpu",
    [SCENARIO_ENGINE] = "engine",
};

const char *const scenario_summaries[SCENARIO_COUNT] = {
    [SCENARIO_HIT] = "find, pin and release one block, and batches of 64",
    [SCENARIO_PREFIX] = "the longest prefix of 131,072 tokens: hashing and lookup",
    [SCENARIO_PUT] = "copy blocks in, beside memcpy",
    [SCENARIO_GET] = "copy blocks out, beside memcpy",
    [SCENARIO_COMMIT] = "from a commit until another handle sees the block",
    [SCENARIO_SCALE] = "1 to N processes on one hot prefix",
    [SCENARIO_SERVER] = "commits and evictions a second, 64 lanes",
    [SCENARIO_REUSE] = "worker processes replay a trace and share its blocks",
    [SCENARIO_POLICY] = "TRACE...: what a cache of each size would hit, by eviction policy",
    [SCENARIO_CODEC] = "blocks at rest: ratio, rate and error of each codec; verifying, sealing",
    [SCENARIO_NVME] = "spill to and fetch from a local disk, beside fio",
    [SCENARIO_GPU] = "copies, hits and commits in a GPU's memory, beside the device's own",
    [SCENARIO_ENGINE] = "llama.cpp and a real model: the first token with and without the cache",
    [SCENARIO_RESTART] = "kill -9 of the server, until another client hits again",
};

static const struct option_row rows[] = {
    {"json", KIND_TEXT, offsetof(struct options, json_path), ON_ALL,
        "FILE, or - for standard output: the result as one JSON object"},
    {"socket", KIND_TEXT, offsetof(struct options, socket_path),
        ON_SIDECAR & ~(ON(PUT) | ON(GET) | ON(SERVER) | ON(RESTART) | ON(NVME) | ON(ENGINE)),
        "PATH of a running sidecar (default: start a private one)"},
    {"cisternd", KIND_TEXT, offsetof(struct options, cisternd_path), ON_SIDECAR | ON(GPU),
        "PATH of the sidecar's program (default: beside this one)"},
    {"seed", KIND_COUNT, offsetof(struct options, seed), ON_ALL & ~ON(REUSE),
        "NUMBER that the keys, or the blocks, are made from (default 42)"},
    {"runs", KIND_COUNT, offsetof(struct options, runs), ON_ALL & ~(ON(REUSE) | ON(POLICY)),
        "how many runs the median is taken of (default 5)"},
    {"pool", KIND_SIZE, offsetof(struct options, pool_bytes),
        ON_SIDECAR & ~(ON(PREFIX) | ON(SCALE) | ON(RESTART) | ON(NVME) | ON(ENGINE)),
        "SIZE of the private sidecar's pool"},
    {"entries", KIND_COUNT, offsetof(struct options, entries), ON(HIT),
        "blocks in the index (default 1000000)"},
    {"blocks", KIND_COUNT, offsetof(struct options, blocks), ON(RESTART),
        "blocks of 4 KiB in the pool, which is of that size (default 1000000)"},
    {"device", KIND_TEXT, offsetof(struct options, device), ON(GPU),
        "UUID of the GPU, or its beginning (default auto: the first)"},
    {"dir", KIND_TEXT, offsetof(struct options, dir_path), ON(NVME) | ON(ENGINE),
        "FOLDER on the disk to measure (default: the current one)"},
    {"file", KIND_SIZE, offsetof(struct options, file_bytes), ON(NVME),
        "SIZE of the file, ours and fio's (default 2GiB)"},
    {"cpu-server", KIND_CPU, offsetof(struct options, cpu_server),
        ON_SIDECAR & ~(ON(REUSE) | ON(RESTART) | ON(ENGINE)),
        "core of the sidecar: NUMBER, auto or none (default auto)"},
    {"cpu-client", KIND_CPU, offsetof(struct options, cpu_client),
        ON_SIDECAR & ~(ON(REUSE) | ON(SCALE) | ON(RESTART) | ON(ENGINE)),
        "core of the client: NUMBER, auto or none (default auto)"},
    {"trace", KIND_TEXT, offsetof(struct options, trace_path), ON(REUSE) | ON(ENGINE),
        "FILE or folder of .jsonl: agent logs, or requests with hash_ids"},
    {"model", KIND_TEXT, offsetof(struct options, model_path), ON(ENGINE),
        "FILE, a GGUF (default: what bench/engines/llama/fetch has got)"},
    {"sizes", KIND_TEXT, offsetof(struct options, sizes), ON(POLICY),
        "of the cache: blocks, or % of the trace's blocks (default 1%,5%,10%,25%,50%)"},
    {"generate", KIND_TEXT, offsetof(struct options, generate), ON(POLICY),
        "sessions, zipf, scan, bursts, mix or all: made loads, besides or instead of traces"},
    {"workers", KIND_COUNT, offsetof(struct options, workers), ON(REUSE),
        "worker processes (default 4)"},
    {"block-tokens", KIND_COUNT, offsetof(struct options, block_tokens), ON(REUSE) | ON(POLICY),
        "tokens a block (default 64; 512 where the trace brings hashes)"},
    {"block-bytes", KIND_SIZE, offsetof(struct options, block_bytes), ON(REUSE),
        "SIZE of a block (default 64KiB)"},
    {"prefill-tokens-per-s", KIND_RATE, offsetof(struct options, prefill_tokens_per_s), ON(REUSE),
        "modelled speed of one worker's prefill (default 50000)"},
    {"speedup", KIND_RATE, offsetof(struct options, speedup), ON(REUSE),
        "play the schedule and the modelled prefill this much faster"},
};

#define ROW_COUNT (sizeof rows / sizeof rows[0])

void options_help(FILE *to)
{
    fputs("usage: cistern-bench SCENARIO [--option VALUE]...\n\n", to);
    for (int i = 0; i < SCENARIO_COUNT; i++) {
        fprintf(to, "  %-8s %s\n", scenario_names[i], scenario_summaries[i]);
    }
    fputs("\n", to);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        fprintf(to, "  --%-21s %s", rows[i].name, rows[i].help);
        const char *joint = " [";
        for (int kind = 0; kind < SCENARIO_COUNT && rows[i].scenarios != ON_ALL; kind++) {
            if ((rows[i].scenarios >> kind & 1) != 0) {
                fprintf(to, "%s%s", joint, scenario_names[kind]);
                joint = " ";
            }
        }
        fputs(rows[i].scenarios != ON_ALL ? "]\n" : "\n", to);
    }
}

static bool parse_count(const char *text, uint64_t *out_count)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);
    if (errno != 0 || end == text || *end != '\0' || strchr(text, '-') != NULL) {
        return false;
    }
    *out_count = value;
    return true;
}

bool options_parse_size(const char *text, uint64_t *out_bytes)
{
    static const struct {
        const char *name;
        unsigned shift;
    } units[] = {{"", 0}, {"K", 10}, {"KiB", 10}, {"M", 20}, {"MiB", 20}, {"G", 30}, {"GiB", 30}};
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || strchr(text, '-') != NULL) {
        return false;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].name) == 0 && value <= UINT64_MAX >> units[i].shift) {
            *out_bytes = (uint64_t)value << units[i].shift;
            return true;
        }
    }
    return false;
}

static bool parse_rate(const char *text, double *out_rate)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value) || value <= 0) {
        return false;
    }
    *out_rate = value;
    return true;
}

static bool parse_cpu(const char *text, int64_t *out_cpu)
{
    uint64_t number;
    if (strcmp(text, "auto") == 0) {
        *out_cpu = OPTIONS_CPU_AUTO;
    } else if (strcmp(text, "none") == 0) {
        *out_cpu = OPTIONS_CPU_NONE;
    } else if (parse_count(text, &number) && number < 4096) {
        *out_cpu = (int64_t)number;
    } else {
        return false;
    }
    return true;
}

static bool parse_value(const struct option_row *row, const char *text, struct options *options)
{
    void *field = (char *)options + row->offset;
    bool good = true;
    const char *form = "a text";
    switch (row->kind) {
    case KIND_TEXT:
        memcpy(field, &text, sizeof text);
        break;
    case KIND_COUNT:
        form = "a number above 0";
        good = parse_count(text, field) && *(uint64_t *)field > 0;
        break;
    case KIND_SIZE:
        form = "a size above 0, like 64KiB or 2GiB";
        good = options_parse_size(text, field) && *(uint64_t *)field > 0;
        break;
    case KIND_RATE:
        form = "a number above 0";
        good = parse_rate(text, field);
        break;
    case KIND_CPU:
        form = "a core's number, auto or none";
        good = parse_cpu(text, field);
        break;
    }
    if (!good) {
        fprintf(stderr, "cistern-bench: --%s wants %s, not '%s'\n", row->name, form, text);
    }
    return good;
}

static const struct option_row *find_row(const char *name, size_t length)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strlen(rows[i].name) == length && strncmp(rows[i].name, name, length) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static bool parse_scenario(const char *name, enum scenario_kind *out_kind)
{
    for (int kind = 0; kind < SCENARIO_COUNT; kind++) {
        if (strcmp(name, scenario_names[kind]) == 0) {
            *out_kind = (enum scenario_kind)kind;
            return true;
        }
    }
    fprintf(stderr, "cistern-bench: no scenario '%s'; --help lists them\n", name);
    return false;
}

bool options_parse(int argc, char **argv, struct options *out_options, bool *out_help)
{
    struct options options = {
        .cpu_server = OPTIONS_CPU_AUTO, .cpu_client = OPTIONS_CPU_AUTO, .seed = 42, .runs = 5};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *out_help = true;
            return true;
        }
    }
    if (argc < 2) {
        fputs("cistern-bench: which scenario? --help lists them\n", stderr);
        return false;
    }
    if (!parse_scenario(argv[1], &options.scenario)) {
        return false;
    }
    for (int i = 2; i < argc; i++) {
        if (options.scenario == SCENARIO_POLICY && argv[i][0] != '-') {
            if (options.trace_count == OPTIONS_TRACES_MAX) {
                fprintf(stderr, "cistern-bench: %u traces at most\n", OPTIONS_TRACES_MAX);
                return false;
            }
            options.traces[options.trace_count++] = argv[i];
            continue;
        }
        const char *name = strncmp(argv[i], "--", 2) == 0 ? argv[i] + 2 : "";
        size_t length = strcspn(name, "=");
        const struct option_row *row = find_row(name, length);
        if (row == NULL || (row->scenarios >> options.scenario & 1) == 0) {
            fprintf(stderr, "cistern-bench: %s has no option '%s'; --help lists them\n",
                scenario_names[options.scenario], argv[i]);
            return false;
        }
        const char *text = name[length] == '=' ? name + length + 1 : argv[++i];
        if (text == NULL) {
            fprintf(stderr, "cistern-bench: --%s wants a value\n", row->name);
            return false;
        }
        if (!parse_value(row, text, &options)) {
            return false;
        }
    }
    *out_options = options;
    *out_help = false;
    return true;
}
