/* test_open: what opens, what is refused and why, and that nothing is left behind. */
#include "tests/unit/libclient/bed.h"

#include <unistd.h>

static int try_open(struct bed *bed)
{
    bed->handle = NULL;
    int status = cistern_open(&bed->options, &bed->handle);
    assert_true((status == CISTERN_OK) == (bed->handle != NULL));
    return status;
}

/* Open on a double with these faults, expect `status` and a word in the reason. */
static void expect_refusal(const struct double_faults *faults, int status, const char *word)
{
    struct bed bed;
    bed_start(&bed, faults);
    uint32_t fds = bed_count_fds();
    uint32_t maps = bed_count_maps();
    assert_int_equal(try_open(&bed), status);
    if (strstr(cistern_why(), word) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", word, cistern_why());
    }
    /* The double may hold its end a moment longer: it only looks at its sockets in turn. */
    for (int i = 0; i < 1000 && bed_count_fds() > fds; i++) {
        (void)usleep(1000);
    }
    assert_int_equal(bed_count_fds(), fds);
    for (int i = 0; i < 1000 && bed_count_maps() > maps; i++) {
        (void)usleep(1000);
    }
    bed_end(&bed);
}

static void a_refusal_says_why(void **state)
{
    (void)state;
    expect_refusal(&(struct double_faults){.refuse = CISTERN_NAMESPACE, .why = "dtype differs"},
        CISTERN_NAMESPACE, "dtype differs");
    expect_refusal(&(struct double_faults){.refuse = CISTERN_DENIED, .why = "user 7 is not let in"},
        CISTERN_DENIED, "user 7");
    expect_refusal(&(struct double_faults){.refuse = -12345, .why = "?"}, CISTERN_MALFORMED, "?");
    expect_refusal(&(struct double_faults){.refuse = 3, .why = "?"}, CISTERN_MALFORMED, "?");
}

static void a_welcome_that_does_not_add_up_is_refused(void **state)
{
    (void)state;
    expect_refusal(&(struct double_faults){.abi = 99}, CISTERN_VERSION, "layout 99");
    expect_refusal(&(struct double_faults){.cut_index = true}, CISTERN_MALFORMED, "segment 0");
    expect_refusal(&(struct double_faults){.wrong_fds = true}, CISTERN_MALFORMED, "descriptors");
    expect_refusal(&(struct double_faults){.late_welcome = true}, CISTERN_NO_SERVER, "hung up");
}

static void wrong_options_are_refused_by_name(void **state)
{
    (void)state;
    struct bed bed;
    bed_start(&bed, NULL);
    const struct cistern_options options = bed.options;
    const struct cistern_namespace space = bed.space;
    char name[80];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
#define REFUSED(change, expected, word) \
    do { \
        change; \
        assert_int_equal(try_open(&bed), expected); \
        assert_non_null(strstr(cistern_why(), word)); \
        bed.options = options; \
        bed.space = space; \
    } while (0)
    REFUSED(bed.options.size = 8, CISTERN_INVALID, "options: size");
    REFUSED(bed.options.space = NULL, CISTERN_INVALID, "space");
    REFUSED(bed.options.flags = 1u << 30, CISTERN_UNSUPPORTED, "flags");
    REFUSED(bed.options.threads_max = 65, CISTERN_INVALID, "threads_max");
    REFUSED(bed.options.pins_per_thread = 65537, CISTERN_INVALID, "pins_per_thread");
    REFUSED(bed.options.grants_ahead = 129, CISTERN_INVALID, "grants_ahead");
    REFUSED(bed.options.timeout_ns = -1, CISTERN_INVALID, "timeout_ns");
    REFUSED(bed.options.reserved = 1, CISTERN_INVALID, "reserved");
    REFUSED(bed.options.socket_path = "", CISTERN_INVALID, "socket_path");
    REFUSED(bed.space.size = 4, CISTERN_INVALID, "space: size");
    REFUSED(bed.space.name = NULL, CISTERN_INVALID, "space.name");
    REFUSED(bed.space.name = name, CISTERN_INVALID, "space.name");
    REFUSED(bed.space.block_bytes = 0, CISTERN_INVALID, "space.block_bytes");
    REFUSED(bed.space.block_bytes = UINT64_C(1) << 32, CISTERN_INVALID, "space.block_bytes");
    REFUSED(bed.space.block_tokens = 0, CISTERN_INVALID, "space.block_tokens");
    REFUSED(bed.space.tp_rank = 1, CISTERN_INVALID, "space.tp_rank");
    REFUSED(bed.space.secret_bytes = 5, CISTERN_INVALID, "secret");
#undef REFUSED
    assert_int_equal(cistern_open(NULL, &bed.handle), CISTERN_INVALID);
    assert_int_equal(cistern_open(&bed.options, NULL), CISTERN_INVALID);
    bed_end(&bed);
}

/* A caller compiled with a later header: fine as long as it does not use what is new. */
static void later_options_are_taken_if_unused(void **state)
{
    (void)state;
    struct bed bed;
    bed_start(&bed, NULL);
    struct {
        struct cistern_options options;
        uint64_t later;
    } wide = {.options = bed.options};
    wide.options.size = sizeof wide;
    assert_int_equal(cistern_open(&wide.options, &bed.handle), CISTERN_OK);
    cistern_close(&bed.handle);
    assert_null(bed.handle);
    wide.later = 1;
    assert_int_equal(cistern_open(&wide.options, &bed.handle), CISTERN_UNSUPPORTED);
    bed_end(&bed);
}

static void no_server_is_said_at_once(void **state)
{
    (void)state;
    struct bed bed;
    bed_start(&bed, NULL);
    bed.options.socket_path = "/nonexistent/cistern.sock";
    assert_int_equal(try_open(&bed), CISTERN_NO_SERVER);
    assert_non_null(strstr(cistern_why(), "/nonexistent/cistern.sock"));
    bed_end(&bed);
}

static void the_path_comes_from_the_environment(void **state)
{
    (void)state;
    struct bed bed;
    bed_start(&bed, NULL);
    bed.options.socket_path = NULL;
    assert_int_equal(setenv("CISTERN_SOCKET", bed.path, 1), 0);
    assert_int_equal(try_open(&bed), CISTERN_OK);
    assert_int_equal(unsetenv("CISTERN_SOCKET"), 0);
    bed_end(&bed);
}

static void close_says_goodbye_and_accepts_null(void **state)
{
    (void)state;
    struct bed bed;
    bed_start(&bed, NULL);
    bed_open(&bed);
    cistern_close(&bed.handle);
    cistern_close(&bed.handle);
    cistern_close(NULL);
    bool heard = false;
    for (int i = 0; i < 10000 && !heard; i++) {
        (void)usleep(100);
        (void)pthread_mutex_lock(&bed.server.lock);
        heard = bed.server.goodbye_heard;
        (void)pthread_mutex_unlock(&bed.server.lock);
    }
    assert_true(heard);
    bed_end(&bed);
}

static void a_thousand_handles_leave_nothing_behind(void **state)
{
    (void)state;
    struct bed bed;
    bed_start(&bed, NULL);
    bed.options.threads_max = 1;
    uint32_t fds = 0;
    uint32_t maps = 0;
    for (int i = 0; i < 1000; i++) {
        int status = CISTERN_LIMIT;
        /* The double serves eight at once, and refuses while it has not heard our goodbyes. */
        for (int tries = 0; tries < 1000 && status != CISTERN_OK; tries++) {
            status = try_open(&bed);
        }
        assert_int_equal(status, CISTERN_OK);
        struct cistern_match match = {.size = sizeof match};
        assert_int_equal(cistern_match(bed.handle, bed.keys, 1, &match), CISTERN_OK);
        cistern_close(&bed.handle);
        if (i == 20) {
            fds = bed_count_fds();
            maps = bed_count_maps();
        }
    }
    /* The double's own sessions come and go: up to eight of each kind of thing. */
    assert_true(bed_count_fds() <= fds + 6 * DOUBLE_SESSIONS);
    assert_true(bed_count_maps() <= maps + 4 * DOUBLE_SESSIONS);
    bed_end(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_says_why),
        cmocka_unit_test(a_welcome_that_does_not_add_up_is_refused),
        cmocka_unit_test(wrong_options_are_refused_by_name),
        cmocka_unit_test(later_options_are_taken_if_unused),
        cmocka_unit_test(no_server_is_said_at_once),
        cmocka_unit_test(the_path_comes_from_the_environment),
        cmocka_unit_test(close_says_goodbye_and_accepts_null),
        cmocka_unit_test(a_thousand_handles_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
