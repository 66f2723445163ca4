/* trace_line: one line of a trace file. Called by bench/trace; foreign bytes end here. */
#ifndef CISTERN_BENCH_TRACE_LINE_H
#define CISTERN_BENCH_TRACE_LINE_H

#include "bench/trace.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_line {
    cJSON *root; /* owned; the texts and arrays below are inside */
    enum trace_format format;
    int64_t timestamp_us;
    const char *input; /* TRACE_TEXT */
    const char *session; /* TRACE_TEXT */
    const cJSON *hash_ids; /* TRACE_HASHES: an array of whole numbers, not empty */
    uint64_t input_length; /* TRACE_HASHES, tokens */
};

/* What is wrong with a line: a field, or "line" as a whole. */
struct trace_line_fault {
    const char *field;
    const char *what;
};

/* Parse `length` bytes of `text`. Returns true, or false with `out_fault` set. */
bool trace_line_parse(const char *text, size_t length, struct trace_line *out_line,
    struct trace_line_fault *out_fault);

void trace_line_drop(struct trace_line *line);

#endif
