/* config: what wins over what, and that every mistake is refused with its place and its remedy. */
#include "tests/check.h"

#include "shm/status.h"
#include "sidecar/config.h"
#include "sidecar/tier/codec.h"

#include <string.h>
#include <unistd.h>

#define WHY 512

struct fixture {
    char file[64];
    char flag[80]; /* --config=<file> */
    char why[WHY];
    struct config config;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    (void)snprintf(fixture->file, sizeof fixture->file, "/tmp/cistern-config-XXXXXX");
    int fd = mkstemp(fixture->file);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    (void)snprintf(fixture->flag, sizeof fixture->flag, "--config=%s", fixture->file);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    (void)unlink(fixture->file);
    free(fixture);
    return 0;
}

static void write_file(const struct fixture *fixture, const char *text)
{
    FILE *file = fopen(fixture->file, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* Load with the fixture's file, up to two more flags and one variable. */
static int load(struct fixture *fixture, const char *flag, const char *second, const char *variable)
{
    char copies[3][256];
    const char *given[3] = {flag, second, variable};
    for (int i = 0; i < 3; i++) {
        (void)snprintf(copies[i], sizeof copies[i], "%s", given[i] == NULL ? "" : given[i]);
    }
    char name[] = "cisternd";
    char *argv[5] = {name, fixture->flag, NULL, NULL, NULL};
    char *environment[3] = {NULL, NULL, NULL};
    char path[] = "PATH=/bin";
    int argc = 2;
    if (flag != NULL) {
        argv[argc++] = copies[0];
    }
    if (second != NULL) {
        argv[argc++] = copies[1];
    }
    environment[0] = path;
    environment[1] = variable == NULL ? NULL : copies[2];
    return config_load(&fixture->config, argc, argv, environment, fixture->why, WHY);
}

static void expect_refusal(struct fixture *fixture, int status, const char *where, const char *word)
{
    if (status != STATUS_INVALID || strstr(fixture->why, where) == NULL ||
        strstr(fixture->why, word) == NULL) {
        fail_msg(
            "status %d, \"%s\" does not hold \"%s\" and \"%s\"", status, fixture->why, where, word);
    }
}

static void built_in_values_stand_when_nothing_is_said(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, NULL, NULL, NULL), STATUS_OK);
    const struct config *config = &fixture->config;
    assert_string_equal(config->socket, "/run/cistern/cistern.sock");
    assert_int_equal(config->socket_mode, 0660);
    assert_true(config->pool_bytes == CONFIG_AUTO && config->source[CONFIG_OPTION_pool].automatic);
    assert_int_equal(config->slot_min_bytes, 65536);
    assert_int_equal(config->numa_node, -1);
    assert_int_equal(config->claim_ns, 30 * INT64_C(1000000000));
    assert_true(config_users_has(&config->allow_users, 0));
    assert_true(config_users_has(&config->trusted_users, (uint32_t)geteuid()));
    assert_false(config_users_has(&config->trusted_users, (uint32_t)geteuid() + 1));
    assert_int_equal(config->policy, CONFIG_POLICY_ADAPTIVE);
}

static void a_flag_wins_over_the_environment_and_that_over_the_file(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "; ours\n[cistern]\npool = 3GiB\nclaim = 5s ; short\nsessions: 7\n");
    assert_int_equal(load(fixture, "--pool", "1GiB", "CISTERN_CLAIM=6 s"), STATUS_OK);
    const struct config *config = &fixture->config;
    assert_int_equal(config->pool_bytes, CONFIG_GIB);
    assert_int_equal(config->source[CONFIG_OPTION_pool].from, CONFIG_FROM_FLAG);
    assert_int_equal(config->claim_ns, 6 * INT64_C(1000000000));
    assert_int_equal(config->source[CONFIG_OPTION_claim].from, CONFIG_FROM_ENVIRONMENT);
    assert_int_equal(config->sessions, 7);
    assert_int_equal(config->source[CONFIG_OPTION_sessions].from, CONFIG_FROM_FILE);
    assert_int_equal(config->source[CONFIG_OPTION_sessions].line, 5);
}

static void every_choice_has_the_number_of_its_enum(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "huge_pages=no\nio=epoll\npolicy=lru\nlog_level=debug\n");
    assert_int_equal(load(fixture, NULL, NULL, NULL), STATUS_OK);
    assert_int_equal(fixture->config.huge_pages, CONFIG_HUGE_NO);
    assert_int_equal(fixture->config.io, CONFIG_IO_EPOLL);
    assert_int_equal(fixture->config.policy, CONFIG_POLICY_LRU);
    assert_int_equal(fixture->config.log_level, 3);
    write_file(fixture, "huge_pages=yes\nio=uring\nlog_level=warn\n");
    assert_int_equal(load(fixture, NULL, NULL, NULL), STATUS_OK);
    assert_int_equal(fixture->config.huge_pages, CONFIG_HUGE_YES);
    assert_int_equal(fixture->config.io, CONFIG_IO_URING);
    assert_int_equal(fixture->config.log_level, 1);
}

static void a_mistake_in_the_file_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text;
        const char *line;
        const char *word;
    } cases[] = {
        {"\npol = 1GiB\n", ":2:", "--help"},
        {"pool = 1024\n", ":1:", "64MiB"},
        {"pool = 1GB\n", ":1:", "unknown unit; write a whole number and B, KiB"},
        {"claim = 5 sec\n", ":1:", "50us"},
        {"pool = -1GiB\n", ":1:", "or auto"},
        {"slot_min = auto\n", ":1:", "no size"},
        {"slot_min = 1KiB\n", ":1:", "4KiB to 256MiB"},
        {"pool = 99999999999999999999GiB\n", ":1:", "no size"},
        {"pool = 922337203685477579TiB\n", ":1:", "out of range"},
        {"sessions = many\n", ":1:", "1 to 4096"},
        {"sessions = 5000\n", ":1:", "1 to 4096"},
        {"socket_mode = 0999\n", ":1:", "octal"},
        {"socket_mode = 01777\n", ":1:", "0777"},
        {"socket = cistern.sock\n", ":1:", "begin it with /"},
        {"policy = fifo\n", ":1:", "arc|lru"},
        {"nvme = /mnt/a:mnt/b\n", ":1:", "\"mnt/b\" is no absolute path"},
        {"nvme = /mnt/a:\n", ":1:", "begin each with /"},
        {"nvme = /1:/2:/3:/4:/5:/6:/7:/8:/9\n", ":1:", "8 at most"},
        {"nvme_key_file = /etc/a:/etc/b\n", ":1:", "1 at most"},
        {"nvme_codec = gzip\n", ":1:", "raw|zstd"},
        {"nvme_size = 1MiB\n", ":1:", "64MiB to"},
        {"device = GPU-\n", ":1:", "nvidia-smi -L"},
        {"device = GPU-12,\n", ":1:", "\"\" is no device"},
        {"device = 0x12\n", ":1:", "auto, all, none"},
        {"device = auto,GPU-12\n", ":1:", "is no device"},
        {"device = 0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,00\n", ":1:", "16 at most"},
        {"device_handles = fabric\n", ":1:", "vmm|legacy"},
        {"device_pool = 5TiB\n", ":1:", "0B to 4TiB"},
        {"allow_users = self,no-such-user-here\n", ":1:", "no user"},
        {"allow_users = self root\n", ":1:", "comma"},
        {"allow_users = self,\n", ":1:", "no user"},
        {"pool =\n", ":1:", "no size"},
        {"sessions = 1\n\nsessions = 2\n", ":3:", "line 1"},
        {"[other]\nsessions = 1\n", ":2:", "[cistern]"},
        {"sessions 5\n", ":1:", "name = value"},
        {"sessions = 5\n[cistern\n", ":2:", "name = value"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < CHECK_COUNT(cases); i++) {
        write_file(fixture, cases[i].text);
        char where[96];
        (void)snprintf(where, sizeof where, "%s%s", fixture->file, cases[i].line);
        fixture->config.sessions = 12345;
        expect_refusal(fixture, load(fixture, NULL, NULL, NULL), where, cases[i].word);
        assert_int_equal(fixture->config.sessions, 12345); /* outputs are set on success only */
    }
}

static void a_line_that_is_too_long_is_refused_not_cut(void **state)
{
    struct fixture *fixture = *state;
    char text[512] = "sessions = 5\nallow_users = 1";
    for (int i = 0; i < 120; i++) {
        (void)strcat(text, ",1");
    }
    write_file(fixture, strcat(text, "\n"));
    expect_refusal(fixture, load(fixture, NULL, NULL, NULL), ":2: longer", "shorter");
}

static void a_mistake_in_a_flag_or_variable_names_it(void **state)
{
    struct fixture *fixture = *state;
    expect_refusal(
        fixture, load(fixture, "--pool-size=1GiB", NULL, NULL), "flag --pool-size", "help");
    expect_refusal(fixture, load(fixture, "--pool=1", NULL, NULL), "flag --pool", "no unit");
    expect_refusal(fixture, load(fixture, "--pool", NULL, NULL), "flag --pool", "=value");
    expect_refusal(fixture, load(fixture, "--help=yes", NULL, NULL), "flag --help", "unknown");
    expect_refusal(fixture, load(fixture, "serve", NULL, NULL), "flag serve", "--name=value");
    expect_refusal(fixture, load(fixture, NULL, NULL, "CISTERN_POOL_SIZE=1GiB"),
        "environment CISTERN_POOL_SIZE", "unknown");
    expect_refusal(fixture, load(fixture, NULL, NULL, "CISTERN_pool=1GiB"),
        "environment CISTERN_pool", "unknown");
    expect_refusal(
        fixture, load(fixture, NULL, NULL, "CISTERN_POOL=big"), "environment CISTERN_POOL", "auto");
    assert_int_equal(load(fixture, NULL, NULL, "CISTERN_SEED=0x2a"), STATUS_OK);
    expect_refusal(fixture, load(fixture, "--config=/nonexistent/file", NULL, NULL),
        "/nonexistent/file", "--config");
}

static void help_works_though_the_file_is_broken(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "nonsense\n");
    assert_int_equal(load(fixture, "--help", NULL, NULL), STATUS_OK);
    assert_true(fixture->config.help && !fixture->config.explain);
}

static void paths_are_a_list_with_colons_and_may_be_none(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "nvme = /mnt/a:/mnt/b\nnvme_codec=int8\nnvme_admit=always\n");
    assert_int_equal(load(fixture, NULL, NULL, NULL), STATUS_OK);
    assert_string_equal(fixture->config.nvme, "/mnt/a:/mnt/b");
    assert_int_equal(fixture->config.nvme_codec, CODEC_INT8);
    assert_int_equal(fixture->config.nvme_admit, CONFIG_ADMIT_ALWAYS);
    assert_int_equal(load(fixture, "--nvme=", NULL, NULL), STATUS_OK);
    assert_string_equal(fixture->config.nvme, "");
    char flag[256];
    (void)snprintf(flag, sizeof flag, "--nvme=/%0*d", (int)CONFIG_PATHS_BYTES, 0);
    expect_refusal(fixture, load(fixture, flag, NULL, NULL), "flag", "shorter paths");
}

static void devices_are_a_word_or_names_with_commas(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, NULL, NULL, NULL), STATUS_OK);
    assert_string_equal(fixture->config.device, "auto");
    assert_int_equal(fixture->config.device_pool_bytes, 0);
    assert_int_equal(fixture->config.device_promote, CONFIG_PROMOTE_SECOND_USE);
    write_file(fixture, "device = GPU-1f8a2c03,mig-00,4D\ndevice_handles=legacy\n"
                        "device_promote=never\n");
    assert_int_equal(load(fixture, "--device-wait=0", NULL, NULL), STATUS_OK);
    assert_string_equal(fixture->config.device, "GPU-1f8a2c03,mig-00,4D");
    assert_int_equal(fixture->config.device_handles, CONFIG_HANDLES_LEGACY);
    assert_int_equal(fixture->config.device_promote, CONFIG_PROMOTE_NEVER);
    assert_int_equal(fixture->config.device_wait_ns, 0);
    char flag[256];
    (void)snprintf(flag, sizeof flag, "--device=%0*d", (int)CONFIG_DEVICES_BYTES, 0);
    expect_refusal(fixture, load(fixture, flag, NULL, NULL), "flag", "write beginnings");
}

static void dashes_and_underscores_name_the_same_flag(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "--slot-min=8KiB", "--wait_max=2min", NULL), STATUS_OK);
    assert_int_equal(fixture->config.slot_min_bytes, 8192);
    assert_int_equal(fixture->config.wait_max_ns, 120 * INT64_C(1000000000));
}

static void what_is_printed_reads_back_as_the_same_values(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "allow_users = 1,2,3,4294967294,5,6,7,8,9,10,11,12,13,14,15,16\npool=3MiB\n"
                        "socket=/tmp/a-rather-long-name-of-a-socket-in-a-folder/cistern.sock\n"
                        "socket_mode=7\nclaim=1500ms\nnuma_node=3\nquarantine=0\n"
                        "nvme=/mnt/one:/mnt/two\nnvme_size=3GiB\nnvme_key_file=/etc/key\n"
                        "device=GPU-12,MIG-34\ndevice_pool=3GiB\ndevice_promote=always\n");
    assert_int_equal(load(fixture, "--poll=20us", "--explain", NULL), STATUS_OK);
    struct config first = fixture->config;
    FILE *file = fopen(fixture->file, "we");
    assert_non_null(file);
    config_print(&first, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(load(fixture, NULL, NULL, NULL), STATUS_OK);
    assert_true(first.explain);
    /* Only where they came from differs. */
    memcpy(fixture->config.source, first.source, sizeof first.source);
    fixture->config.explain = true;
    assert_memory_equal(&first, &fixture->config, sizeof first);
}

static void help_names_every_option_with_its_variable(void **state)
{
    (void)state;
    char *text = NULL;
    size_t bytes = 0;
    FILE *file = open_memstream(&text, &bytes);
    config_help(file);
    assert_int_equal(fclose(file), 0);
    assert_non_null(strstr(text, "--grants-share=NUMBER"));
    assert_non_null(strstr(text, "CISTERN_SOCKET_MODE"));
    assert_non_null(strstr(text, "--policy=adaptive|arc|lru"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            built_in_values_stand_when_nothing_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_flag_wins_over_the_environment_and_that_over_the_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_choice_has_the_number_of_its_enum, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_mistake_in_the_file_is_refused_with_its_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_line_that_is_too_long_is_refused_not_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_mistake_in_a_flag_or_variable_names_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(help_works_though_the_file_is_broken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            paths_are_a_list_with_colons_and_may_be_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(devices_are_a_word_or_names_with_commas, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            dashes_and_underscores_name_the_same_flag, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            what_is_printed_reads_back_as_the_same_values, set_up, tear_down),
        cmocka_unit_test(help_names_every_option_with_its_variable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
