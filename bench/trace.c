/* trace: collects lines from files, puts them in order, cuts them into blocks. */
#include "bench/trace.h"

#include "bench/baseline_table.h"
#include "bench/content.h"
#include "bench/rng.h"
#include "bench/tokenizer.h"
#include "bench/trace_line.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RUNS_MAX 65536u
#define LINE_BYTES_MAX (UINT64_C(64) << 20)

/* A trace while it is read. `hashes` or `tokens` is grown as words arrive. */
struct reader {
    struct trace trace;
    struct baseline_table runs; /* session to number of the run */
    size_t request_room;
    size_t word_count;
    size_t word_room;
};

static bool no_memory(void)
{
    fputs("cistern-bench: out of memory for the trace\n", stderr);
    return false;
}

/* Make room for `need` items of `each` bytes in *memory. */
static bool grow(void **memory, size_t *room, size_t need, size_t each)
{
    if (need <= *room) {
        return true;
    }
    size_t wanted = *room < 1024 ? 1024 : *room * 2;
    wanted = wanted < need ? need : wanted;
    void *grown = reallocarray(*memory, wanted, each);
    if (grown == NULL) {
        return no_memory();
    }
    *memory = grown;
    *room = wanted;
    return true;
}

static uint32_t run_of(struct reader *reader, const char *session)
{
    uint64_t hash = 0;
    for (; *session != '\0'; session++) {
        hash = rng_mix(hash + RNG_STEP + (unsigned char)*session);
    }
    struct cistern_key key = content_key(0, hash);
    uint64_t run = baseline_table_add(&reader->runs, &key, reader->runs.count);
    return run == BASELINE_TABLE_NONE ? TRACE_NONE : (uint32_t)run;
}

static bool add_words(
    struct reader *reader, const struct trace_line *line, struct trace_request *request)
{
    bool text = line->format == TRACE_TEXT;
    size_t bytes = text ? strlen(line->input) : 0;
    size_t count = text ? tokenizer_count(bytes) : (size_t)cJSON_GetArraySize(line->hash_ids);
    struct trace *trace = &reader->trace;
    void *words = text ? (void *)trace->tokens : (void *)trace->hashes;
    bool grown = grow(&words, &reader->word_room, reader->word_count + count,
        text ? sizeof trace->tokens[0] : sizeof trace->hashes[0]);
    if (text) {
        trace->tokens = words;
    } else {
        trace->hashes = words;
    }
    if (!grown) {
        return false;
    }
    request->first = reader->word_count;
    reader->word_count += count;
    if (text) {
        request->input_tokens = count;
        tokenizer_encode(line->input, bytes, trace->tokens + request->first);
        return true;
    }
    /* Ids may name content alone; folded into a chain they name the whole prefix. */
    request->input_tokens = line->input_length;
    request->block_count = (uint32_t)count;
    uint64_t chain = 0;
    uint64_t *to = trace->hashes + request->first;
    for (const cJSON *id = line->hash_ids->child; id != NULL; id = id->next) {
        chain = rng_mix(chain + RNG_STEP + (uint64_t)id->valuedouble);
        *to++ = chain;
    }
    return true;
}

static bool add_line(struct reader *reader, const struct trace_line *line, uint32_t number,
    struct trace_line_fault *out_fault)
{
    struct trace *trace = &reader->trace;
    if (trace->request_count == 0) {
        trace->format = line->format;
    } else if (trace->format != line->format) {
        *out_fault = (struct trace_line_fault){"line", "has another format than those before"};
        return false;
    }
    struct trace_request request = {.arrival_us = line->timestamp_us,
        .run = TRACE_NONE,
        .previous = TRACE_NONE,
        .line = number};
    if (line->format == TRACE_TEXT) {
        request.run = run_of(reader, line->session);
        if (request.run == TRACE_NONE) {
            *out_fault = (struct trace_line_fault){"session_id", "is one too many (over 65536)"};
            return false;
        }
    }
    void *requests = trace->requests;
    bool good =
        grow(&requests, &reader->request_room, trace->request_count + 1, sizeof trace->requests[0]);
    trace->requests = requests;
    if (!good || !add_words(reader, line, &request)) {
        *out_fault = (struct trace_line_fault){"line", "does not fit in memory"};
        return false;
    }
    trace->requests[trace->request_count++] = request;
    return true;
}

static bool read_file(struct reader *reader, const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fprintf(stderr, "cistern-bench: %s: %s\n", path, strerror(errno));
        return false;
    }
    char *text = NULL;
    size_t room = 0;
    ssize_t length = 0;
    bool good = true;
    for (uint32_t number = 1; good && (length = getline(&text, &room, file)) >= 0; number++) {
        struct trace_line line;
        struct trace_line_fault fault = {"line", "is longer than 64 MiB"};
        if (strspn(text, " \t\r\n") == (size_t)length) {
            continue;
        }
        good = (uint64_t)length <= LINE_BYTES_MAX &&
               trace_line_parse(text, (size_t)length, &line, &fault);
        if (good) {
            good = add_line(reader, &line, number, &fault);
            trace_line_drop(&line);
        }
        if (!good) {
            fprintf(stderr, "cistern-bench: %s:%u: field '%s' %s\n", path, number, fault.field,
                fault.what);
        }
    }
    if (good && ferror(file)) {
        fprintf(stderr, "cistern-bench: %s: %s\n", path, strerror(errno));
        good = false;
    }
    free(text);
    fclose(file);
    return good;
}

static int is_trace_file(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    static const char ending[] = ".jsonl";
    return length >= sizeof ending && strcmp(entry->d_name + length - 6, ending) == 0;
}

static bool read_path(struct reader *reader, const char *path)
{
    struct stat about;
    if (stat(path, &about) != 0) {
        fprintf(stderr, "cistern-bench: %s: %s\n", path, strerror(errno));
        return false;
    }
    if (!S_ISDIR(about.st_mode)) {
        return read_file(reader, path);
    }
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_trace_file, alphasort);
    bool good = count > 0;
    if (!good) {
        fprintf(stderr, "cistern-bench: %s: no .jsonl files there\n", path);
    }
    for (int i = 0; i < count; i++) {
        char file[PATH_MAX];
        int length = snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        good = good && length > 0 && (size_t)length < sizeof file && read_file(reader, file);
        free(entries[i]);
    }
    free(entries);
    return good;
}

static int compare(const void *left, const void *right)
{
    const struct trace_request *a = left;
    const struct trace_request *b = right;
    if (a->arrival_us != b->arrival_us) {
        return a->arrival_us < b->arrival_us ? -1 : 1;
    }
    if (a->run != b->run) {
        return a->run < b->run ? -1 : 1;
    }
    return (a->line > b->line) - (a->line < b->line);
}

/* Let every run begin at 0 (hashes: the whole trace), sort, and link the turns of each run. */
static bool put_in_order(struct trace *trace)
{
    /* One more place than runs: requests without a session share it. */
    size_t places = (size_t)trace->run_count + 1;
    int64_t *starts = malloc(places * sizeof starts[0]);
    uint32_t *last = malloc(places * sizeof last[0]);
    if (starts == NULL || last == NULL) {
        free(starts);
        free(last);
        return no_memory();
    }
    for (size_t i = 0; i < places; i++) {
        starts[i] = INT64_MAX;
        last[i] = TRACE_NONE;
    }
    for (size_t i = 0; i < trace->request_count; i++) {
        const struct trace_request *request = &trace->requests[i];
        int64_t *start = &starts[request->run == TRACE_NONE ? trace->run_count : request->run];
        *start = request->arrival_us < *start ? request->arrival_us : *start;
    }
    for (size_t i = 0; i < trace->request_count; i++) {
        struct trace_request *request = &trace->requests[i];
        request->arrival_us -= starts[request->run == TRACE_NONE ? trace->run_count : request->run];
    }
    qsort(trace->requests, trace->request_count, sizeof trace->requests[0], compare);
    for (size_t i = 0; i < trace->request_count; i++) {
        struct trace_request *request = &trace->requests[i];
        if (request->run != TRACE_NONE) {
            request->previous = last[request->run];
            last[request->run] = (uint32_t)i;
        }
    }
    free(starts);
    free(last);
    return true;
}

/* Hash of the prefix that ends with block `block` of a text; `chain` is the one before it. */
static uint64_t chain_text(
    const struct trace *trace, const struct trace_request *request, uint32_t block, uint64_t chain)
{
    const uint32_t *tokens = trace->tokens + request->first + (uint64_t)block * trace->block_tokens;
    for (uint32_t i = 0; i < trace->block_tokens; i++) {
        chain = rng_mix(chain + RNG_STEP + tokens[i]);
    }
    return chain;
}

/* Lay the requests' blocks out one behind the other. */
static void count_blocks(struct trace *trace)
{
    trace->longest_blocks = 1;
    for (size_t i = 0; i < trace->request_count; i++) {
        struct trace_request *request = &trace->requests[i];
        if (trace->format == TRACE_TEXT) {
            request->block_count = (uint32_t)(request->input_tokens / trace->block_tokens);
        }
        if (request->block_count > trace->longest_blocks) {
            trace->longest_blocks = request->block_count;
        }
        request->first_block = trace->block_references;
        trace->block_references += request->block_count;
        trace->input_tokens += request->input_tokens;
    }
}

/* Number the blocks: equal prefixes get equal numbers. */
static bool number_blocks(struct trace *trace)
{
    count_blocks(trace);
    struct baseline_table seen;
    trace->blocks = calloc((size_t)trace->block_references + 1, sizeof trace->blocks[0]);
    if (trace->block_references >= TRACE_NONE || trace->blocks == NULL ||
        !baseline_table_open(&seen, trace->block_references + 1)) {
        return no_memory();
    }
    for (size_t i = 0; i < trace->request_count; i++) {
        const struct trace_request *request = &trace->requests[i];
        uint64_t chain = 0;
        for (uint32_t block = 0; block < request->block_count; block++) {
            chain = trace->format == TRACE_TEXT ? chain_text(trace, request, block, chain)
                                                : trace->hashes[request->first + block];
            struct cistern_key key = content_key(0, chain);
            trace->blocks[request->first_block + block] =
                (uint32_t)baseline_table_add(&seen, &key, seen.count);
        }
    }
    trace->unique = seen.count;
    baseline_table_close(&seen);
    return true;
}

bool trace_open(const char *path, uint32_t block_tokens, struct trace *out_trace)
{
    struct reader reader = {0};
    if (!baseline_table_open(&reader.runs, RUNS_MAX)) {
        return no_memory();
    }
    struct trace *trace = &reader.trace;
    bool good = read_path(&reader, path);
    if (good && trace->request_count == 0) {
        fprintf(stderr, "cistern-bench: %s: no requests in it\n", path);
        good = false;
    }
    trace->run_count = (uint32_t)reader.runs.count;
    baseline_table_close(&reader.runs);
    trace->block_tokens = block_tokens != 0             ? block_tokens
                          : trace->format == TRACE_TEXT ? TRACE_BLOCK_TOKENS_TEXT
                                                        : TRACE_BLOCK_TOKENS_HASHES;
    good = good && put_in_order(trace) && number_blocks(trace);
    if (!good) {
        trace_close(trace);
        return false;
    }
    *out_trace = *trace;
    return true;
}

void trace_close(struct trace *trace)
{
    free(trace->requests);
    free(trace->tokens);
    free(trace->hashes);
    free(trace->blocks);
    *trace = (struct trace){0};
}
