/* trace_line: cJSON reads the line, this file decides whether its fields may be believed. */
#include "bench/trace_line.h"

#include <math.h>
#include <string.h>

/* Whole numbers that a double holds exactly. */
#define NUMBER_MAX 9007199254740991.0

static bool is_whole(const cJSON *item)
{
    return cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble <= NUMBER_MAX &&
           floor(item->valuedouble) >= item->valuedouble;
}

static bool fault(struct trace_line_fault *out_fault, const char *field, const char *what)
{
    *out_fault = (struct trace_line_fault){.field = field, .what = what};
    return false;
}

static bool take_text(struct trace_line *line, struct trace_line_fault *out_fault)
{
    const cJSON *input = cJSON_GetObjectItemCaseSensitive(line->root, "input");
    const cJSON *session = cJSON_GetObjectItemCaseSensitive(line->root, "session_id");
    if (!cJSON_IsString(input)) {
        return fault(out_fault, "input", "is not a text");
    }
    if (input->valuestring[0] == '\0') {
        return fault(out_fault, "input", "is empty");
    }
    if (!cJSON_IsString(session)) {
        return fault(out_fault, "session_id", session == NULL ? "is missing" : "is not a text");
    }
    line->format = TRACE_TEXT;
    line->input = input->valuestring;
    line->session = session->valuestring;
    return true;
}

static bool take_hashes(struct trace_line *line, struct trace_line_fault *out_fault)
{
    const cJSON *length = cJSON_GetObjectItemCaseSensitive(line->root, "input_length");
    line->format = TRACE_HASHES;
    if (!is_whole(length) || length->valuedouble < 1) {
        return fault(out_fault, "input_length",
            length == NULL ? "is missing" : "is not a whole number above 0");
    }
    line->input_length = (uint64_t)length->valuedouble;
    if (!cJSON_IsArray(line->hash_ids) || line->hash_ids->child == NULL) {
        return fault(out_fault, "hash_ids", "is not a list of numbers");
    }
    for (const cJSON *id = line->hash_ids->child; id != NULL; id = id->next) {
        if (!is_whole(id)) {
            return fault(out_fault, "hash_ids", "holds something that is not a whole number");
        }
    }
    return true;
}

static bool take_fields(struct trace_line *line, struct trace_line_fault *out_fault)
{
    if (!cJSON_IsObject(line->root)) {
        return fault(out_fault, "line", "is not a JSON object");
    }
    const cJSON *time = cJSON_GetObjectItemCaseSensitive(line->root, "timestamp");
    if (!is_whole(time)) {
        return fault(out_fault, "timestamp",
            time == NULL ? "is missing" : "is not a whole number from 0 up");
    }
    line->hash_ids = cJSON_GetObjectItemCaseSensitive(line->root, "hash_ids");
    bool text = cJSON_GetObjectItemCaseSensitive(line->root, "input") != NULL;
    if (text == (line->hash_ids != NULL)) {
        return fault(out_fault, "input", "or hash_ids: exactly one of them must be there");
    }
    /* Agent logs count microseconds, traces of hashes milliseconds. */
    double us = text ? time->valuedouble : time->valuedouble * 1000;
    if (us > NUMBER_MAX) {
        return fault(out_fault, "timestamp", "is too large");
    }
    line->timestamp_us = (int64_t)us;
    return text ? take_text(line, out_fault) : take_hashes(line, out_fault);
}

/* A zero in a text would end it early, unseen: raw, or written as an escape. */
static bool holds_zero(const char *text, size_t length)
{
    static const char escape[] = "u0000";
    bool escaped = false; /* by an odd number of backslashes before */
    for (size_t i = 0; i < length; i++) {
        bool zero = escaped && length - i >= sizeof escape - 1 &&
                    memcmp(text + i, escape, sizeof escape - 1) == 0;
        if (zero || text[i] == '\0') {
            return true;
        }
        escaped = text[i] == '\\' && !escaped;
    }
    return false;
}

bool trace_line_parse(const char *text, size_t length, struct trace_line *out_line,
    struct trace_line_fault *out_fault)
{
    if (holds_zero(text, length)) {
        return fault(out_fault, "line", "holds a zero character");
    }
    const char *end = NULL;
    struct trace_line line = {.root = cJSON_ParseWithLengthOpts(text, length, &end, 0)};
    if (line.root == NULL) {
        return fault(out_fault, "line", "is not JSON");
    }
    for (; end < text + length; end++) {
        if (strchr(" \t\r\n", *end) == NULL) {
            trace_line_drop(&line);
            return fault(out_fault, "line", "goes on behind its JSON object");
        }
    }
    if (!take_fields(&line, out_fault)) {
        trace_line_drop(&line);
        return false;
    }
    *out_line = line;
    return true;
}

void trace_line_drop(struct trace_line *line)
{
    cJSON_Delete(line->root);
    *line = (struct trace_line){0};
}
