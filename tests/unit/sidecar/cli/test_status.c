/* status: every counter is shown, and no text of the sidecar breaks JSON or a terminal. */
#include "tests/check.h"

#include "sidecar/cli/status.h"

#include <ctype.h>
#include <string.h>

static struct index_header header;

static char *print(const char *info, bool json)
{
    static struct observe observe;
    char *text = NULL;
    size_t bytes = 0;
    observe = (struct observe){.index = {.header = &header}};
    (void)snprintf(observe.welcome.info, HELLO_INFO, "%s", info);
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    status_print(&observe, json, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void check_start(const char *info, const char *expected)
{
    char *text = print(info, true);
    if (strncmp(text, expected, strlen(expected)) != 0) {
        fail_msg("%s does not begin with %s", text, expected);
    }
    free(text);
}

static void json_tells_numbers_from_texts(void **state)
{
    (void)state;
    check_start("pid 12\npolicy arc\n", "{\"pid\": 12, \"policy\": \"arc\", \"commits\": ");
    check_start("zero 0\n", "{\"zero\": 0, ");
    check_start("", "{\"commits\": ");
    check_start("no_end 7", "{\"no_end\": 7, ");
    check_start("alone\n", "{\"alone\": \"\", ");
    check_start("pool host memory, 4 MiB\n", "{\"pool\": \"host memory, 4 MiB\", ");
    /* Not numbers in JSON. */
    check_start("a 007\n", "{\"a\": \"007\", ");
    check_start("a -1\n", "{\"a\": \"-1\", ");
    check_start("a 1 2\n", "{\"a\": \"1 2\", ");
}

static void json_escapes_what_it_must(void **state)
{
    (void)state;
    check_start("a \"b\\c\n", "{\"a\": \"\\\"b\\\\c\", ");
    check_start("a \x1b[31m\n", "{\"a\": \"\\u001b[31m\", ");
    check_start("a\x7f \xff\n", "{\"a\\u007f\": \"\\u00ff\", ");
}

static void json_has_every_counter_once(void **state)
{
    (void)state;
    for (enum counter i = 0; i < COUNTER_COUNT; i++) {
        counter_set(header.counter, i, UINT64_MAX - i);
    }
    char *text = print("pid 1\n", true);
    for (enum counter i = 0; i < COUNTER_COUNT; i++) {
        char wanted[128];
        (void)snprintf(wanted, sizeof wanted, "\"%s\": %llu%s", counter_name(i),
            (unsigned long long)(UINT64_MAX - i), i + 1 == COUNTER_COUNT ? "}\n" : ", ");
        const char *at = strstr(text, wanted);
        assert_non_null(at);
        assert_null(strstr(at + 1, wanted));
    }
    free(text);
}

static void a_terminal_gets_no_control_characters(void **state)
{
    (void)state;
    char *text = print("na\x1bme va\x1b]0;lue\nx\ty z\r\n", false);
    for (const char *at = text; *at != '\0'; at++) {
        assert_true(*at == '\n' || isprint((unsigned char)*at));
    }
    assert_non_null(strstr(text, "na?me"));
    assert_non_null(strstr(text, "va?]0;lue"));
    assert_non_null(strstr(text, "slots_hot"));
    free(text);
}

static void a_line_longer_than_its_room_is_cut(void **state)
{
    (void)state;
    char info[HELLO_INFO];
    memset(info, 'n', sizeof info);
    info[300] = ' ';
    info[sizeof info - 1] = '\0';
    char *text = print(info, true);
    assert_int_equal(strspn(text + 2, "n"), 255);
    free(text);
}

static void what_if_is_told_as_shares_once_there_were_uses(void **state)
{
    (void)state;
    for (enum counter i = 0; i < COUNTER_COUNT; i++) {
        counter_set(header.counter, i, 0);
    }
    char *text = print("", false);
    assert_null(strstr(text, "hits, by pool"));
    free(text);
    counter_set(header.counter, COUNTER_whatif_uses, 200);
    counter_set(header.counter, COUNTER_whatif_hits_half, 50);
    counter_set(header.counter, COUNTER_whatif_hits_four, 201); /* an estimate may pass it */
    text = print("", false);
    assert_non_null(strstr(text, "25.0 % at 1/2 x its size, 0.0 % at 1 x"));
    assert_non_null(strstr(text, "100.0 % at 4 x its size\n"));
    assert_null(strstr(text, "hits, by disk"));
    free(text);
}

static void it_says_whether_the_server_sleeps(void **state)
{
    (void)state;
    shared32_store_relaxed(&header.server_sleeping, 3);
    char *text = print("", false);
    assert_non_null(strstr(text, "sleeping"));
    free(text);
    shared32_store_relaxed(&header.server_sleeping, 4);
    text = print("", false);
    assert_null(strstr(text, "sleeping\n"));
    assert_non_null(strstr(text, "polling"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_tells_numbers_from_texts),
        cmocka_unit_test(json_escapes_what_it_must),
        cmocka_unit_test(json_has_every_counter_once),
        cmocka_unit_test(a_terminal_gets_no_control_characters),
        cmocka_unit_test(a_line_longer_than_its_room_is_cut),
        cmocka_unit_test(what_if_is_told_as_shares_once_there_were_uses),
        cmocka_unit_test(it_says_whether_the_server_sleeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
