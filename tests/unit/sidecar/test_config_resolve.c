/* config_resolve: what "auto" becomes on different hosts, and which values do not fit together. */
#include "tests/check.h"

#include "shm/status.h"
#include "sidecar/config.h"

#include <string.h>

#define WHY 512

static struct host plain_host(void)
{
    return (struct host){.cpus = 8,
        .cpus_usable = 8,
        .cpu_quota_milli = HOST_UNKNOWN,
        .memory_bytes = 16 * CONFIG_GIB,
        .memory_limit_bytes = HOST_UNKNOWN,
        .huge_page_bytes = 2 * CONFIG_MIB};
}

static struct config load(const char *flag, const char *second)
{
    char first_copy[128];
    char second_copy[128];
    char name[] = "cisternd";
    char file[] = "--config=/dev/null";
    char *argv[] = {name, file, first_copy, second_copy, NULL};
    char *environment[] = {NULL};
    char why[WHY];
    struct config config;
    (void)snprintf(first_copy, sizeof first_copy, "%s", flag == NULL ? "--pool=auto" : flag);
    (void)snprintf(second_copy, sizeof second_copy, "%s", second == NULL ? "--poll=auto" : second);
    if (config_load(&config, 4, argv, environment, why, sizeof why) != STATUS_OK) {
        fail_msg("%s", why);
    }
    return config;
}

static struct config resolved(const char *flag, const char *second, struct host host)
{
    char why[WHY];
    struct config config = load(flag, second);
    if (config_resolve(&config, &host, why, sizeof why) != STATUS_OK) {
        fail_msg("%s", why);
    }
    return config;
}

static void an_automatic_pool_is_half_of_what_is_available(void **state)
{
    (void)state;
    struct host host = plain_host();
    struct config config = resolved(NULL, NULL, host);
    assert_int_equal(config.pool_bytes, 8 * CONFIG_GIB);
    assert_int_equal(config.extent_bytes, 256 * CONFIG_MIB);
    assert_int_equal(config.poll_ns, 50000);
    host.memory_bytes = 1024 * CONFIG_GIB;
    assert_int_equal(resolved(NULL, NULL, host).pool_bytes, 64 * CONFIG_GIB);
    host.memory_bytes = 301 * CONFIG_MIB;
    config = resolved(NULL, NULL, host);
    assert_int_equal(config.extent_bytes, 8 * CONFIG_MIB);
    assert_int_equal(config.pool_bytes, 144 * CONFIG_MIB);
    host.memory_bytes = HOST_UNKNOWN;
    assert_int_equal(resolved(NULL, NULL, host).pool_bytes, CONFIG_GIB);
}

static void free_huge_pages_make_the_pool_when_they_are_worth_it(void **state)
{
    (void)state;
    struct host host = plain_host();
    host.huge_free_bytes = 12 * CONFIG_GIB;
    assert_int_equal(resolved(NULL, NULL, host).pool_bytes, 12 * CONFIG_GIB);
    assert_int_equal(resolved("--huge-pages=no", NULL, host).pool_bytes, 8 * CONFIG_GIB);
    host.huge_free_bytes = 64 * CONFIG_MIB;
    assert_int_equal(resolved(NULL, NULL, host).pool_bytes, 8 * CONFIG_GIB);
    assert_int_equal(resolved("--huge-pages=yes", NULL, host).pool_bytes, 64 * CONFIG_MIB);
}

static void an_automatic_extent_divides_the_pool_that_was_given(void **state)
{
    (void)state;
    struct config config = resolved("--pool=101MiB", NULL, plain_host());
    assert_int_equal(config.pool_bytes, 101 * CONFIG_MIB);
    assert_int_equal(config.extent_bytes, CONFIG_MIB);
    config = resolved("--pool=256MiB", "--slot-min=32KiB", plain_host());
    assert_int_equal(config.extent_bytes, 16 * CONFIG_MIB);
}

static void the_server_does_not_poll_below_two_cpus(void **state)
{
    (void)state;
    struct host host = plain_host();
    host.cpus_usable = 1;
    assert_int_equal(resolved(NULL, NULL, host).poll_ns, 0);
    assert_int_equal(resolved(NULL, "--poll=30us", host).poll_ns, 30000);
}

static void values_that_do_not_fit_together_are_refused_and_change_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *first;
        const char *second;
        const char *word;
    } cases[] = {
        {"--pool=64MiB", "--extent=3MiB", "power of two"},
        {"--pool=64MiB", "--slot-min=5000B", "slot_min: it is not a power of two"},
        {"--extent=1MiB", "--slot-min=2MiB", "larger than extent"},
        {"--pool=1MiB", "--extent=2MiB", "larger than the pool"},
        {"--pool=65MiB", "--extent=2MiB", "pool = 64MiB"},
        {"--pool=1048577B", NULL, "pool = 1MiB"},
        {"--pool=64TiB", "--slot-min=4KiB", "slot_min larger"},
        {"--pool=1MiB", "--slot-min=128KiB", "grants_share larger"},
        {"--nvme=/tmp", "--nvme-region=48MiB", "nvme_region is not a power of two"},
        {"--nvme-size=1GiB", "--nvme-region=512MiB", "fewer than 4 regions"},
        {"--nvme-key-file=/etc/key", NULL, "nvme is empty"},
        {"--device-pool=65MiB", "--extent=1MiB", "device_pool = 64MiB"},
        {"--device-pool=16MiB", "--extent=1MiB", "write device_pool = 64MiB"},
        {"--device-pool=384MiB", "--extent=256MiB", "slabs of 256 MiB; write device_pool = 256MiB"},
        {"--device-pool=4TiB", "--slot-min=4KiB", "pools would have 1075838976 slots"},
        {"--device-pool=256MiB", "--slot-min=64MiB", "device_pool or grants_share larger"},
    };
    for (size_t i = 0; i < CHECK_COUNT(cases); i++) {
        char why[WHY];
        struct host host = plain_host();
        struct config config = load(cases[i].first, cases[i].second);
        struct config before = config;
        int status = config_resolve(&config, &host, why, sizeof why);
        if (status != STATUS_INVALID || strstr(why, cases[i].word) == NULL) {
            fail_msg("%s %s: status %d, \"%s\"", cases[i].first,
                cases[i].second == NULL ? "" : cases[i].second, status, why);
        }
        assert_memory_equal(&before, &config, sizeof config);
    }
}

static void without_a_device_pool_no_device_is_used(void **state)
{
    (void)state;
    struct config config = resolved("--device=all", NULL, plain_host());
    assert_int_equal(config_devices(&config), 0);
    config = resolved("--device=none", "--device-pool=1GiB", plain_host());
    assert_int_equal(config_devices(&config), 0);
    config = resolved("--device=auto", "--device-pool=1GiB", plain_host());
    assert_int_equal(config_devices(&config), 1);
    config = resolved("--device=GPU-12,MIG-34,56", "--device-pool=1GiB", plain_host());
    assert_int_equal(config_devices(&config), 3);
}

static void what_was_automatic_prints_as_auto_with_what_it_became(void **state)
{
    (void)state;
    struct config config = resolved(NULL, NULL, plain_host());
    char *text = NULL;
    size_t bytes = 0;
    FILE *file = open_memstream(&text, &bytes);
    config_print(&config, file);
    assert_int_equal(fclose(file), 0);
    const char *line = strstr(text, "\npool = auto ");
    assert_non_null(line);
    assert_non_null(strstr(line, "; 8GiB on this host, flag\n"));
    assert_non_null(strstr(text, "\nhuge_pages = auto "));
    free(text);
}

static void a_reload_takes_what_may_change_and_names_the_rest(void **state)
{
    (void)state;
    char why[WHY];
    struct host host = plain_host();
    struct config running = resolved(NULL, "--sessions=5", host);
    host.memory_bytes = 4 * CONFIG_GIB;
    struct config fresh = resolved("--socket=/tmp/other.sock", "--sessions=9", host);
    config_reload(&running, &fresh, why, sizeof why);
    assert_int_equal(running.sessions, 9);
    assert_string_equal(running.socket, "/run/cistern/cistern.sock");
    assert_int_equal(running.pool_bytes, 8 * CONFIG_GIB);
    assert_string_equal(why, "socket");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_automatic_pool_is_half_of_what_is_available),
        cmocka_unit_test(free_huge_pages_make_the_pool_when_they_are_worth_it),
        cmocka_unit_test(an_automatic_extent_divides_the_pool_that_was_given),
        cmocka_unit_test(the_server_does_not_poll_below_two_cpus),
        cmocka_unit_test(values_that_do_not_fit_together_are_refused_and_change_nothing),
        cmocka_unit_test(without_a_device_pool_no_device_is_used),
        cmocka_unit_test(what_was_automatic_prints_as_auto_with_what_it_became),
        cmocka_unit_test(a_reload_takes_what_may_change_and_names_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
