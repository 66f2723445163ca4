/* test_trace: files become requests in order, equal prefixes become equal block numbers, and a bad
 * line is refused with its file, line and field. */
#include "bench/trace.h"

#include "tests/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A folder with the files that a test writes. */
struct place {
    char folder[32];
    char path[64];
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    snprintf(place->folder, sizeof place->folder, "/tmp/cistern-trace-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof place->path, "%s/a.jsonl", place->folder);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    unlink(place->path);
    rmdir(place->folder);
    free(place);
    return 0;
}

static void write_file(const struct place *place, const char *text)
{
    FILE *file = fopen(place->path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* What trace_open() says on standard error when it refuses. */
static void open_refused(const char *path, char *out_text, size_t room)
{
    struct trace trace;
    int kept = dup(STDERR_FILENO);
    FILE *said = tmpfile();
    assert_non_null(said);
    assert_true(dup2(fileno(said), STDERR_FILENO) >= 0);
    bool opened = trace_open(path, 1, &trace);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(said);
    size_t length = fread(out_text, 1, room - 1, said);
    out_text[length] = '\0';
    fclose(said);
    assert_false(opened);
}

static void runs_start_together_in_order_of_time(void **state)
{
    struct place *place = *state;
    write_file(place,
        "{\"timestamp\": 9000, \"input\": \"aaaabbbbcccc\", \"session_id\": \"one\"}\n"
        "\n"
        "{\"timestamp\": 5000, \"input\": \"aaaabbbb\", \"session_id\": \"one\"}\n"
        "{\"timestamp\": 70000, \"input\": \"aaaaxxxx\", \"session_id\": \"two\"}\n"
        "{\"timestamp\": 71000, \"input\": \"aaaaxxxxyy\", \"session_id\": \"two\"}\n");
    struct trace trace;
    assert_true(trace_open(place->folder, 1, &trace));
    assert_int_equal(trace.request_count, 4);
    assert_int_equal(trace.run_count, 2);
    const struct trace_request *requests = trace.requests;
    assert_int_equal(requests[0].arrival_us, 0);
    assert_int_equal(requests[1].arrival_us, 0);
    assert_int_equal(requests[2].arrival_us, 1000); /* run two goes on first */
    assert_int_equal(requests[3].arrival_us, 4000);
    assert_true(requests[0].previous == TRACE_NONE);
    assert_true(requests[1].previous == TRACE_NONE);
    assert_int_equal(requests[2].previous, requests[2].run == requests[0].run ? 0 : 1);
    assert_int_equal(requests[3].previous, requests[3].run == requests[0].run ? 0 : 1);
    trace_close(&trace);
}

static void equal_prefixes_are_equal_blocks(void **state)
{
    struct place *place = *state;
    write_file(place, "{\"timestamp\": 1, \"input\": \"aaaabbbb\", \"session_id\": \"s\"}\n"
                      "{\"timestamp\": 2, \"input\": \"aaaabbbbccccd\", \"session_id\": \"s\"}\n"
                      "{\"timestamp\": 3, \"input\": \"ccccbbbb\", \"session_id\": \"s\"}\n");
    struct trace trace;
    assert_true(trace_open(place->path, 1, &trace));
    /* 2 + 4 (the last token is a partial one) + 2 references; bbbb behind cccc is another block. */
    assert_int_equal(trace.block_references, 8);
    assert_int_equal(trace.unique, 6);
    assert_int_equal(trace.blocks[0], trace.blocks[2]);
    assert_int_equal(trace.blocks[1], trace.blocks[3]);
    assert_int_not_equal(trace.blocks[1], trace.blocks[7]);
    trace_close(&trace);
    assert_true(trace_open(place->path, 2, &trace));
    assert_int_equal(trace.block_references, 4); /* full blocks of two tokens alone */
    assert_int_equal(trace.unique, 3);
    assert_int_equal(trace.input_tokens, 8);
    trace_close(&trace);
}

static void ids_are_folded_into_chains(void **state)
{
    struct place *place = *state;
    write_file(place,
        "{\"timestamp\": 7, \"input_length\": 1500, \"output_length\": 1, \"hash_ids\": [1, 2, "
        "3]}\n"
        "{\"timestamp\": 9, \"input_length\": 1024, \"output_length\": 1, \"hash_ids\": [1, 2]}\n"
        "{\"timestamp\": 9, \"input_length\": 600, \"output_length\": 1, \"hash_ids\": [2, 3]}\n");
    struct trace trace;
    assert_true(trace_open(place->path, 0, &trace));
    assert_int_equal(trace.block_tokens, TRACE_BLOCK_TOKENS_HASHES);
    assert_int_equal(trace.block_references, 7);
    assert_int_equal(trace.unique, 5); /* 2 at the start is not 2 behind 1 */
    assert_int_equal(trace.requests[1].arrival_us, 2000);
    assert_int_equal(trace.requests[2].input_tokens, 600);
    trace_close(&trace);
}

static void a_bad_line_is_refused_by_file_line_and_field(void **state)
{
    struct place *place = *state;
    char said[512];
    char wanted[128];
    write_file(place, "{\"timestamp\": 1, \"input\": \"a\", \"session_id\": \"s\"}\n\n"
                      "{\"timestamp\": 1, \"input\": 3, \"session_id\": \"s\"}\n");
    open_refused(place->folder, said, sizeof said);
    snprintf(wanted, sizeof wanted, "%s:3: field 'input' is not a text", place->path);
    assert_non_null(strstr(said, wanted));
}

static void formats_do_not_mix(void **state)
{
    struct place *place = *state;
    char said[512];
    write_file(place, "{\"timestamp\": 1, \"input\": \"a\", \"session_id\": \"s\"}\n"
                      "{\"timestamp\": 7, \"input_length\": 1500, \"hash_ids\": [1, 2, 3]}\n");
    open_refused(place->path, said, sizeof said);
    assert_non_null(strstr(said, ":2: field 'line' has another format"));
}

static void empty_and_absent_traces_are_refused(void **state)
{
    struct place *place = *state;
    char said[512];
    open_refused(place->path, said, sizeof said);
    assert_non_null(strstr(said, "No such file"));
    open_refused(place->folder, said, sizeof said);
    assert_non_null(strstr(said, "no .jsonl files"));
    write_file(place, "\n");
    open_refused(place->path, said, sizeof said);
    assert_non_null(strstr(said, "no requests"));
}

static void the_small_trace_is_good(void **state)
{
    (void)state;
    const char *source = getenv("CISTERN_SOURCE");
    if (source == NULL) {
        print_message("skipped: CISTERN_SOURCE is not set\n");
        skip();
    }
    char path[512];
    struct trace trace;
    snprintf(path, sizeof path, "%s/bench/traces/small.jsonl", source);
    assert_true(trace_open(path, 16, &trace));
    assert_int_equal(trace.request_count, 21);
    assert_int_equal(trace.run_count, 3);
    /* Each turn extends the one before it, so its blocks come again; all but perhaps the last one,
     * whose last token may be a partial one. */
    for (size_t i = 0; i < trace.request_count; i++) {
        const struct trace_request *request = &trace.requests[i];
        if (request->previous == TRACE_NONE) {
            continue;
        }
        const struct trace_request *before = &trace.requests[request->previous];
        assert_true(request->block_count >= before->block_count);
        assert_memory_equal(trace.blocks + request->first_block, trace.blocks + before->first_block,
            (before->block_count - 1) * sizeof trace.blocks[0]);
    }
    trace_close(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(runs_start_together_in_order_of_time, setup, teardown),
        cmocka_unit_test_setup_teardown(equal_prefixes_are_equal_blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_are_folded_into_chains, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_bad_line_is_refused_by_file_line_and_field, setup, teardown),
        cmocka_unit_test_setup_teardown(formats_do_not_mix, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_and_absent_traces_are_refused, setup, teardown),
        cmocka_unit_test(the_small_trace_is_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
