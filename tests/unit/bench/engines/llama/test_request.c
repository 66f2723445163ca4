/* test_request: lines are taken apart, and what is no request is refused with a sentence. */
#include "tests/check.h"

#include "bench/engines/llama/request.h"

#define VOCABULARY 100u

static void tokens_and_limits_are_taken(void **state)
{
    (void)state;
    struct request request;
    int32_t tokens[8] = {0};
    assert_null(request_parse(
        "{\"tokens\":[5,0,99,7],\"limit\":3,\"generate\":2}\n", VOCABULARY, &request));
    assert_int_equal(request.generate, 2);
    assert_int_equal(request_tokens(&request, tokens, 8), 3);
    assert_int_equal(tokens[0], 5);
    assert_int_equal(tokens[2], 99);
    assert_int_equal(tokens[3], 0);
    assert_int_equal(request_tokens(&request, tokens, 2), 2);
    request_drop(&request);
}

static void a_text_is_taken_with_the_defaults(void **state)
{
    (void)state;
    struct request request;
    assert_null(request_parse("{\"text\":\"hi\"}", VOCABULARY, &request));
    assert_string_equal(request.text, "hi");
    assert_null(request.tokens);
    assert_int_equal(request.limit, 0);
    assert_int_equal(request.generate, REQUEST_GENERATE);
    request_drop(&request);
}

static void what_is_no_request_is_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {"", "\n", "[]", "7", "{", "{}", "{\"text\":7}",
        "{\"text\":\"\"}", "{\"text\":\"a\",\"tokens\":[1]}", "{\"tokens\":[]}",
        "{\"tokens\":{\"a\":1}}", "{\"tokens\":[100]}", "{\"tokens\":[-1]}", "{\"tokens\":[0.5]}",
        "{\"tokens\":[\"1\"]}", "{\"tokens\":[1e300]}", "{\"tokens\":[1],\"limit\":0}",
        "{\"tokens\":[1],\"limit\":-1}", "{\"tokens\":[1],\"limit\":1.5}",
        "{\"tokens\":[1],\"generate\":0}", "{\"tokens\":[1],\"generate\":1e10}",
        "{\"tokens\":[1],\"generate\":\"2\"}"};
    for (size_t i = 0; i < CHECK_COUNT(lines); i++) {
        struct request request;
        if (request_parse(lines[i], VOCABULARY, &request) == NULL) {
            fail_msg("accepted: %s", lines[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_and_limits_are_taken),
        cmocka_unit_test(a_text_is_taken_with_the_defaults),
        cmocka_unit_test(what_is_no_request_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
