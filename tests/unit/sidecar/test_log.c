/* log: one clean line each, whatever is written into it; nothing vanishes; nothing blocks. */
#include "tests/check.h"

#include "sidecar/log.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define ROOM 65536

/* A log that writes into a pipe, and what was read from it. */
struct fixture {
    struct log log;
    int end[2];
    char text[ROOM];
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    assert_int_equal(pipe2(fixture->end, O_CLOEXEC), 0);
    log_init(&fixture->log, fixture->end[1], LOG_INFO);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    (void)close(fixture->end[0]);
    (void)close(fixture->end[1]);
    free(fixture);
    return 0;
}

/* Take out what is in the pipe: at least one line. */
static const char *take(struct fixture *fixture)
{
    ssize_t bytes = read(fixture->end[0], fixture->text, ROOM - 1);
    assert_true(bytes > 0);
    fixture->text[bytes] = '\0';
    return fixture->text;
}

static uint32_t lines_of(const char *text)
{
    uint32_t lines = 0;
    for (; (text = strchr(text, '\n')) != NULL; text++) {
        lines++;
    }
    return lines;
}

static void a_line_has_time_level_module_and_text(void **state)
{
    struct fixture *fixture = *state;
    log_line(&fixture->log, LOG_WARN, "pool", "%d MiB left", 7);
    const char *text = take(fixture);
    int year = 0;
    int end = 0;
    assert_int_equal(
        sscanf(text, "%4d-%*2d-%*2dT%*2d:%*2d:%*2d.%*3dZ warn  pool: 7 MiB left%n", &year, &end),
        1);
    assert_true(year >= 2024);
    assert_string_equal(text + end, "\n");
}

static void lines_above_the_level_are_not_written(void **state)
{
    struct fixture *fixture = *state;
    log_line(&fixture->log, LOG_DEBUG, "pool", "not this");
    fixture->log.level = LOG_DEBUG;
    log_line(&fixture->log, LOG_DEBUG, "pool", "but this");
    const char *text = take(fixture);
    assert_null(strstr(text, "not this"));
    assert_non_null(strstr(text, "but this"));
}

static void foreign_text_cannot_forge_a_line_or_steer_a_terminal(void **state)
{
    struct fixture *fixture = *state;
    log_line(&fixture->log, LOG_INFO, "door", "namespace \"%s\"",
        "a\nb\x1b[2J\\x0a\x7f\xc2\x9b"
        "31m\t");
    const char *text = take(fixture);
    assert_int_equal(lines_of(text), 1);
    assert_non_null(strstr(text, "\"a\\x0ab\\x1b[2J\\\\x0a\\x7f\\xc2\\x9b31m\\x09\"\n"));
    for (const char *byte = text; *byte != '\n'; byte++) {
        assert_true(isprint((unsigned char)*byte));
    }
}

static void any_bytes_make_one_printable_line_of_bounded_length(void **state)
{
    struct fixture *fixture = *state;
    uint64_t seed = check_seed();
    fixture->log.level = LOG_DEBUG;
    for (int round = 0; round < 200; round++) {
        char bytes[2000];
        uint64_t length = check_random(&seed) % sizeof bytes;
        for (uint64_t i = 0; i < length; i++) {
            bytes[i] = (char)check_random(&seed);
        }
        bytes[length] = '\0';
        log_line(&fixture->log, LOG_DEBUG, "door", "%s", bytes);
        const char *text = take(fixture);
        size_t used = strlen(text);
        assert_true(used <= LOG_LINE_BYTES && text[used - 1] == '\n');
        for (size_t i = 0; i + 1 < used; i++) {
            assert_true(isprint((unsigned char)text[i]));
        }
        if (strlen(bytes) >= LOG_LINE_BYTES) {
            assert_string_equal(text + used - 5, " ...\n");
        }
    }
}

static void a_flood_is_cut_and_every_line_of_it_is_counted(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t total = 300;
    for (uint32_t i = 0; i < total; i++) {
        log_line(&fixture->log, LOG_WARN, "door", "refused user %u", i);
        log_line(&fixture->log, LOG_WARN, "door", "refused version %u", 1u);
    }
    log_fini(&fixture->log);
    const char *text = take(fixture);
    unsigned long long counted = 0;
    uint32_t written = 0;
    char copy[ROOM];
    char *rest = NULL;
    (void)snprintf(copy, sizeof copy, "%s", text);
    for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        const char *repeated = strstr(line, "\" (repeated ");
        if (repeated != NULL) {
            unsigned long long times = 0;
            assert_int_equal(sscanf(repeated, "\" (repeated %llu times)", &times), 1);
            counted += times;
        } else {
            written++;
        }
    }
    assert_int_equal(written + counted, 2 * total);
    assert_true(counted > 0);
    assert_non_null(strstr(text, "\"refused user %u\" (repeated "));
}

static void more_formats_than_are_watched_lose_no_count(void **state)
{
    struct fixture *fixture = *state;
    static char formats[LOG_FORMATS + 8][8];
    uint32_t total = 0;
    for (uint32_t f = 0; f < LOG_FORMATS + 8; f++) {
        (void)snprintf(formats[f], sizeof formats[f], "f%u", f);
        for (uint32_t i = 0; i <= LOG_BURST; i++, total++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-security"
            log_line(&fixture->log, LOG_INFO, "test", formats[f]);
#pragma GCC diagnostic pop
        }
    }
    log_fini(&fixture->log);
    const char *text = take(fixture);
    uint32_t repeated = 0;
    for (const char *at = text; (at = strstr(at, "(repeated 1 times)")) != NULL; at++) {
        repeated++;
    }
    /* Each summary stands for one line that was left out. */
    assert_int_equal(lines_of(text), total);
    assert_int_equal(repeated, LOG_FORMATS + 8);
}

static void a_reader_that_does_not_read_stops_nobody_and_is_told_what_it_lost(void **state)
{
    struct fixture *fixture = *state;
    fixture->log.level = LOG_DEBUG;
    const uint32_t total = 3000; /* more than the pipe holds */
    for (uint32_t i = 0; i < total; i++) {
        log_line(&fixture->log, LOG_DEBUG, "test", "%0100u", i);
    }
    uint64_t lost = fixture->log.lost;
    assert_true(lost > 0);
    uint32_t written = lines_of(take(fixture));
    while (written + lost < total) {
        written += lines_of(take(fixture));
    }
    assert_int_equal(written + lost, total);
    log_line(&fixture->log, LOG_DEBUG, "test", "after");
    char expected[64];
    (void)snprintf(expected, sizeof expected, "after (%llu lines lost before this one)\n",
        (unsigned long long)lost);
    assert_non_null(strstr(take(fixture), expected));
    assert_int_equal(fixture->log.lost, 0);
}

static void a_reader_that_is_gone_does_not_kill_us(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(close(fixture->end[0]), 0);
    fixture->end[0] = -1;
    log_line(&fixture->log, LOG_ERROR, "test", "nobody reads this");
    assert_int_equal(fixture->log.lost, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_has_time_level_module_and_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_above_the_level_are_not_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            foreign_text_cannot_forge_a_line_or_steer_a_terminal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            any_bytes_make_one_printable_line_of_bounded_length, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_flood_is_cut_and_every_line_of_it_is_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            more_formats_than_are_watched_lose_no_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_reader_that_does_not_read_stops_nobody_and_is_told_what_it_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reader_that_is_gone_does_not_kill_us, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
