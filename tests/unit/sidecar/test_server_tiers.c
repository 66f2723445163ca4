/* server_tiers: what is asked for is opened or said to be wrong; sizes of their own accord stay. */
#include "tests/check.h"

#include "shm/status.h"
#include "sidecar/server.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define POOL (UINT64_C(4) << 20)
#define EXTENT (UINT64_C(1) << 20)

static struct config config;
static struct host host;
static struct server server;
static struct log daemon_log;
static char folder[64];
static char why[SERVER_WHY];

static int setup(void **state)
{
    (void)state;
    char *const nothing[] = {"cisternd", NULL};
    assert_int_equal(config_load(&config, 1, nothing, nothing + 1, why, sizeof why), 0);
    (void)snprintf(folder, sizeof folder, "/tmp/cistern-tiers-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(config.socket, sizeof config.socket, "%s/s", folder);
    (void)snprintf(config.nvme, sizeof config.nvme, "%s", folder);
    config.nvme_size_bytes = UINT64_C(128) << 20;
    config.pool_bytes = POOL;
    config.extent_bytes = EXTENT;
    config.huge_pages = CONFIG_HUGE_NO;
    config.io = CONFIG_IO_EPOLL;
    host_read("", &host);
    assert_int_equal(config_resolve(&config, &host, why, sizeof why), 0);
    log_init(&daemon_log, open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_DEBUG);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char path[128];
    static const char *const names[] = {"s", "s.lock", "cistern.tier", "key"};
    for (uint32_t i = 0; i < CHECK_COUNT(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
    log_fini(&daemon_log);
    return 0;
}

static int start(void)
{
    return server_open(&server, &config, &host, &daemon_log, NULL, why, sizeof why);
}

static void without_a_directory_there_is_no_tier(void **state)
{
    (void)state;
    struct server_tiers_plan plan;
    config.nvme[0] = '\0';
    assert_int_equal(server_tiers_plan(&config, &plan, why, sizeof why), STATUS_OK);
    assert_int_equal(plan.directory_count, 0);
    assert_int_equal(plan.cold_blocks, 0);
    assert_int_equal(start(), STATUS_OK);
    assert_null(server.blocks.cold.tiers);
    assert_false(server_tiers_turn(&server));
    server_close(&server);
}

static void a_tier_is_opened_described_and_closed(void **state)
{
    (void)state;
    char text[2048] = "";
    assert_int_equal(start(), STATUS_OK);
    assert_int_equal(server.tiers.tiers.count, 1);
    assert_int_equal(server.header->cold_blocks, server.tiers.plan.cold_blocks);
    assert_true(server.tiers.plan.cold_blocks >= (UINT64_C(100) << 20) / config.slot_min_bytes);
    server.door.describe(server.door.context, text, sizeof text);
    assert_non_null(strstr(text, "\ntier nvme "));
    assert_int_equal(text[strlen(text) - 1], '\n');
    server_close(&server);
    server_tiers_close(&server);
}

static void a_directory_that_is_not_there_stops_the_start(void **state)
{
    (void)state;
    (void)snprintf(config.nvme, sizeof config.nvme, "%s/none", folder);
    assert_int_not_equal(start(), STATUS_OK);
    assert_non_null(strstr(why, "none"));
    config.nvme_size_bytes = CONFIG_AUTO;
    assert_int_equal(start(), STATUS_IO);
    assert_non_null(strstr(why, "make the directory"));
}

static void a_key_file_that_is_wrong_stops_the_start(void **state)
{
    (void)state;
    (void)snprintf(config.nvme_key_file, sizeof config.nvme_key_file, "%s/key", folder);
    int fd = open(config.nvme_key_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, "short", 5) == 5 && close(fd) == 0);
    assert_int_not_equal(start(), STATUS_OK);
    assert_true(strlen(why) > 0);
}

static void a_directory_in_use_stops_the_second_start(void **state)
{
    (void)state;
    static struct server second;
    assert_int_equal(start(), STATUS_OK);
    (void)snprintf(config.socket, sizeof config.socket, "%s/t", folder);
    assert_int_not_equal(
        server_open(&second, &config, &host, &daemon_log, NULL, why, sizeof why), STATUS_OK);
    server_close(&server);
}

static void auto_sizes_are_those_of_the_files_that_are_there(void **state)
{
    (void)state;
    struct server_tiers_plan first;
    struct server_tiers_plan second;
    struct stat about;
    char path[128];
    for (uint64_t mib = 100; mib <= 50000; mib = mib * 5 / 3 + 7) {
        config.nvme_size_bytes = mib << 20;
        assert_int_equal(server_tiers_plan(&config, &first, why, sizeof why), STATUS_OK);
        config.nvme_size_bytes = first.bytes;
        assert_int_equal(server_tiers_plan(&config, &second, why, sizeof why), STATUS_OK);
        assert_int_equal(second.bytes, first.bytes);
        assert_int_equal(second.region_bytes, first.region_bytes);
        assert_false(first.found);
    }
    config.nvme_size_bytes = UINT64_C(100) << 20;
    assert_int_equal(start(), STATUS_OK);
    (void)snprintf(path, sizeof path, "%s/cistern.tier", folder);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_size, server.tiers.plan.bytes);
    server_close(&server);
    config.nvme_size_bytes = CONFIG_AUTO;
    assert_int_equal(server_tiers_plan(&config, &second, why, sizeof why), STATUS_OK);
    assert_true(second.found);
    assert_int_equal(second.bytes, about.st_size);
    assert_int_equal(second.region_bytes, server.tiers.plan.region_bytes);
    assert_int_equal(second.cold_blocks, second.bytes / config.slot_min_bytes);
}

static void several_directories_are_cut_at_colons(void **state)
{
    (void)state;
    struct server_tiers_plan plan;
    (void)snprintf(config.nvme, sizeof config.nvme, "/a:/b::/c:");
    config.cold_blocks = 77;
    assert_int_equal(server_tiers_plan(&config, &plan, why, sizeof why), STATUS_OK);
    assert_int_equal(plan.directory_count, 3);
    assert_string_equal(plan.directories[2], "/c");
    assert_int_equal(plan.cold_blocks, 77);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(without_a_directory_there_is_no_tier),
        WITH_FOLDER(a_tier_is_opened_described_and_closed),
        WITH_FOLDER(a_directory_that_is_not_there_stops_the_start),
        WITH_FOLDER(a_key_file_that_is_wrong_stops_the_start),
        WITH_FOLDER(a_directory_in_use_stops_the_second_start),
        WITH_FOLDER(auto_sizes_are_those_of_the_files_that_are_there),
        WITH_FOLDER(several_directories_are_cut_at_colons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
