/* test_trace_line: a line of a trace is believed field by field, or refused by name. */
#include "bench/trace_line.h"

#include "tests/check.h"

#include <string.h>

static void refused(const char *text, const char *field)
{
    struct trace_line line;
    struct trace_line_fault fault = {"none", ""};
    assert_false(trace_line_parse(text, strlen(text), &line, &fault));
    assert_string_equal(fault.field, field);
}

static void an_agent_line_is_read(void **state)
{
    (void)state;
    static const char text[] = "{\"timestamp\": 1760428258635837, \"input\": \"ab\\n\\u00e9\", "
                               "\"output\": \"x\", \"session_id\": \"s\"}\n";
    struct trace_line line;
    struct trace_line_fault fault;
    assert_true(trace_line_parse(text, strlen(text), &line, &fault));
    assert_int_equal(line.format, TRACE_TEXT);
    assert_true(line.timestamp_us == INT64_C(1760428258635837)); /* exact: a double holds it */
    assert_string_equal(line.input, "ab\n\xc3\xa9");
    assert_string_equal(line.session, "s");
    trace_line_drop(&line);
}

static void a_line_of_hashes_is_read(void **state)
{
    (void)state;
    static const char text[] = "{\"timestamp\": 3000, \"input_length\": 1030, \"output_length\": "
                               "5, \"hash_ids\": [0, 46, 7]}";
    struct trace_line line;
    struct trace_line_fault fault;
    assert_true(trace_line_parse(text, strlen(text), &line, &fault));
    assert_int_equal(line.format, TRACE_HASHES);
    assert_int_equal(line.timestamp_us, 3000000); /* milliseconds there */
    assert_int_equal(line.input_length, 1030);
    assert_int_equal(cJSON_GetArraySize(line.hash_ids), 3);
    trace_line_drop(&line);
}

static void what_is_no_object_is_refused(void **state)
{
    (void)state;
    refused("", "line");
    refused("{", "line");
    refused("[1]", "line");
    refused("{\"timestamp\": 1, \"input\": \"a\", \"session_id\": \"s\"} x", "line");
    refused("{\"timestamp\": 1, \"input\": \"a", "line");
}

static void a_zero_does_not_cut_a_text(void **state)
{
    (void)state;
    static const char raw[] = "{\"timestamp\": 1, \"input\": \"a\0b\", \"session_id\": \"s\"}";
    struct trace_line line;
    struct trace_line_fault fault;
    assert_false(trace_line_parse(raw, sizeof raw - 1, &line, &fault));
    assert_string_equal(fault.what, "holds a zero character");
    refused("{\"timestamp\": 1, \"input\": \"a\\u0000b\", \"session_id\": \"s\"}", "line");
    /* A backslash, then the letters u0000: plain text. */
    static const char text[] =
        "{\"timestamp\": 1, \"input\": \"\\\\u0000\", \"session_id\": \"s\"}";
    assert_true(trace_line_parse(text, sizeof text - 1, &line, &fault));
    assert_string_equal(line.input, "\\u0000");
    trace_line_drop(&line);
}

static void wrong_fields_are_named(void **state)
{
    (void)state;
    refused("{\"input\": \"a\", \"session_id\": \"s\"}", "timestamp");
    refused("{\"timestamp\": \"1\", \"input\": \"a\", \"session_id\": \"s\"}", "timestamp");
    refused("{\"timestamp\": -1, \"input\": \"a\", \"session_id\": \"s\"}", "timestamp");
    refused("{\"timestamp\": 1.5, \"input\": \"a\", \"session_id\": \"s\"}", "timestamp");
    refused("{\"timestamp\": 1e300, \"input\": \"a\", \"session_id\": \"s\"}", "timestamp");
    refused("{\"timestamp\": 1, \"input\": 5, \"session_id\": \"s\"}", "input");
    refused("{\"timestamp\": 1, \"input\": \"\", \"session_id\": \"s\"}", "input");
    refused("{\"timestamp\": 1}", "input");
    refused("{\"timestamp\": 1, \"input\": \"a\"}", "session_id");
    refused("{\"timestamp\": 1, \"input\": \"a\", \"session_id\": 4}", "session_id");
    refused("{\"timestamp\": 1, \"hash_ids\": [1]}", "input_length");
    refused("{\"timestamp\": 1, \"input_length\": 0, \"hash_ids\": [1]}", "input_length");
    refused("{\"timestamp\": 1, \"input_length\": 5, \"hash_ids\": 1}", "hash_ids");
    refused("{\"timestamp\": 1, \"input_length\": 5, \"hash_ids\": []}", "hash_ids");
    refused("{\"timestamp\": 1, \"input_length\": 5, \"hash_ids\": [1, \"2\"]}", "hash_ids");
    refused(
        "{\"timestamp\": 1, \"input\": \"a\", \"input_length\": 5, \"hash_ids\": [1]}", "input");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_agent_line_is_read),
        cmocka_unit_test(a_line_of_hashes_is_read),
        cmocka_unit_test(what_is_no_object_is_refused),
        cmocka_unit_test(a_zero_does_not_cut_a_text),
        cmocka_unit_test(wrong_fields_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
