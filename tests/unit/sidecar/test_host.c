/* host: what is read from /proc and /sys, here from copies of them in a temporary folder. */
#include "tests/check.h"

#include "sidecar/host.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static char root[64]; /* the folder that stands for / */

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/cistern-host-XXXXXX");
    return mkdtemp(root) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -r -- %s", root);
    return system(command);
}

static void put(const char *path, const char *text)
{
    char full[512];
    (void)snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        assert_true(mkdir(full, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(full, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static struct host look(void)
{
    struct host host;
    host_read(root, &host);
    return host;
}

static void put_meminfo(void)
{
    put("/proc/meminfo", "MemTotal:       32768000 kB\nMemAvailable:    8388608 kB\n"
                         "HugePages_Total:     100\nHugePages_Free:       60\n"
                         "HugePages_Rsvd:       10\nHugepagesize:       2048 kB\n");
}

static void a_host_that_tells_nothing_is_unknown_not_an_error(void **state)
{
    (void)state;
    struct host host = look();
    assert_true(host.memory_bytes == HOST_UNKNOWN && host.memory_limit_bytes == HOST_UNKNOWN);
    assert_true(host.cpu_quota_milli == HOST_UNKNOWN);
    assert_true(host.cpus >= 1 && host.cpus_usable == host.cpus);
    assert_int_equal(host.huge_free_bytes, 0);
    assert_int_equal(host.io_uring_disabled, -1);
    assert_string_equal(host.shmem_thp, "");
    assert_true(host.kernel[0] != '\0');
}

static void memory_and_free_huge_pages_come_from_meminfo(void **state)
{
    (void)state;
    put_meminfo();
    put("/sys/kernel/mm/transparent_hugepage/shmem_enabled",
        "always within_size [advise] never deny force\n");
    put("/proc/sys/kernel/io_uring_disabled", "2\n");
    struct host host = look();
    assert_int_equal(host.memory_bytes, 8 * GIB);
    assert_int_equal(host.huge_page_bytes, 2 * MIB);
    assert_int_equal(host.huge_free_bytes, 100 * MIB); /* 60 free, 10 of them promised */
    assert_string_equal(host.shmem_thp, "advise");
    assert_int_equal(host.io_uring_disabled, 2);
}

static void odd_text_counts_as_unknown(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemAvailable: many kB\nHugePages_Free: 18446744073709551615\n"
                         "Hugepagesize: 99999999999999999 kB\n");
    put("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "always [advise");
    put("/proc/sys/kernel/io_uring_disabled", "x\n");
    put("/proc/self/cgroup", "::::\n0::relative\nnonsense\n1:memory:/a\n");
    put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "-\n");
    struct host host = look();
    assert_true(host.memory_bytes == HOST_UNKNOWN && host.memory_limit_bytes == HOST_UNKNOWN);
    assert_int_equal(host.huge_free_bytes, 0);
    assert_string_equal(host.shmem_thp, "");
    assert_int_equal(host.io_uring_disabled, -1);
}

static void the_tightest_limit_of_version_2_counts_wherever_it_is(void **state)
{
    (void)state;
    put_meminfo();
    put("/proc/self/cgroup", "0::/kubepods/pod1/box\n");
    put("/sys/fs/cgroup/kubepods/pod1/box/memory.max", "max\n");
    put("/sys/fs/cgroup/kubepods/pod1/box/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/kubepods/pod1/memory.max", "4294967296\n");
    put("/sys/fs/cgroup/kubepods/pod1/memory.current", "3221225472\n");
    put("/sys/fs/cgroup/kubepods/pod1/memory.stat", "anon 5\ninactive_file 1073741824\n");
    put("/sys/fs/cgroup/kubepods/cpu.max", "150000 100000\n");
    struct host host = look();
    assert_int_equal(host.memory_limit_bytes, 4 * GIB);
    assert_int_equal(host.memory_bytes, 2 * GIB); /* file cache gives way */
    assert_int_equal(host.cpu_quota_milli, 1500);
    assert_int_equal(host.cpus_usable, 1);
}

static void a_container_of_version_1_sees_its_limit_at_the_top(void **state)
{
    (void)state;
    put_meminfo();
    put("/proc/self/cgroup", "9:name=systemd:/x\n4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n"
                             "0::/\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "268435456\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    struct host host = look();
    assert_int_equal(host.memory_limit_bytes, GIB);
    assert_int_equal(host.memory_bytes, 768 * MIB);
    assert_int_equal(host.cpu_quota_milli, 500);
    assert_int_equal(host.cpus_usable, 0);
}

static void no_limit_in_version_1_is_a_very_large_number(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "4:memory:/\n2:cpu:/\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    struct host host = look();
    assert_true(host.memory_limit_bytes == HOST_UNKNOWN && host.cpu_quota_milli == HOST_UNKNOWN);
}

static void whatever_is_not_fine_has_a_remedy(void **state)
{
    (void)state;
    struct host bare = {.memory_bytes = HOST_UNKNOWN,
        .cpu_quota_milli = 500,
        .memory_limit_bytes = HOST_UNKNOWN,
        .io_uring_disabled = 2,
        .kernel = "5.4.0"};
    struct host good = {.cpus = 4,
        .cpus_usable = 4,
        .cpu_quota_milli = HOST_UNKNOWN,
        .memory_bytes = GIB,
        .memory_limit_bytes = GIB,
        .huge_page_bytes = 2 * MIB,
        .huge_free_bytes = GIB,
        .memlock_bytes = HOST_UNKNOWN,
        .shmem_thp = "advise",
        .kernel = "6.1.0-18-amd64"};
    struct host_line line;
    uint32_t count = 0;
    for (; host_finding(&bare, count, &line); count++) {
        assert_false(line.fine);
        assert_true(line.found[0] != '\0' || strcmp(line.what, "kernel") == 0);
        assert_true(line.remedy[0] != '\0');
        assert_true(host_finding(&good, count, &line));
        assert_true(line.fine && line.remedy[0] == '\0');
    }
    assert_true(count >= 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_host_that_tells_nothing_is_unknown_not_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            memory_and_free_huge_pages_come_from_meminfo, set_up, tear_down),
        cmocka_unit_test_setup_teardown(odd_text_counts_as_unknown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            the_tightest_limit_of_version_2_counts_wherever_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_container_of_version_1_sees_its_limit_at_the_top, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            no_limit_in_version_1_is_a_very_large_number, set_up, tear_down),
        cmocka_unit_test(whatever_is_not_fine_has_a_remedy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
