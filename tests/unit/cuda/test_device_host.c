/* device_host: memory as asked, or a sentence that says what is used instead and what to do. */
#include "tests/check.h"

#include "cuda/device_host.h"
#include "shm/status.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define WHY 1024

static struct device_wish plain_wish(void)
{
    return (struct device_wish){.bytes = 4 * MIB,
        .huge = DEVICE_HUGE_AUTO,
        .node = -1,
        .available_bytes = DEVICE_UNKNOWN,
        .huge_page_bytes = 2 * MIB,
        .shmem_thp = "never"};
}

static void expect(const char *why, const char *word)
{
    if (strstr(why, word) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", why, word);
    }
}

static void the_pool_is_present_writable_sealed_and_private(void **state)
{
    (void)state;
    struct device_pool pool = DEVICE_POOL_NONE;
    struct device_wish wish = plain_wish();
    char why[WHY];
    assert_int_equal(device_host.open(&wish, &pool, why, sizeof why), STATUS_OK);
    assert_ptr_equal(pool.device, &device_host);
    assert_int_equal(pool.segment.bytes, wish.bytes);
    unsigned char present[4 * MIB / 4096] = {0};
    assert_int_equal(sysconf(_SC_PAGESIZE), 4096);
    assert_int_equal(mincore(pool.segment.base, wish.bytes, present), 0);
    for (size_t i = 0; i < CHECK_COUNT(present); i++) {
        assert_int_equal(present[i] & 1, 1);
    }
    memset(pool.segment.base, 0x5a, wish.bytes);
    int seals = fcntl(pool.segment.fd, F_GET_SEALS);
    assert_int_equal(seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_WRITE),
        F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    char line[256];
    device_host.describe(&pool, line, sizeof line);
    assert_string_equal(line, "host memory, 4 MiB, 4 KiB pages, any node");
    device_host.close(&pool);
    assert_null(pool.device);
    device_host.close(&pool); /* holds nothing: allowed */
}

static void without_huge_pages_it_says_what_it_does_and_how_many_to_reserve(void **state)
{
    (void)state;
    struct device_pool pool = DEVICE_POOL_NONE;
    struct device_wish wish = plain_wish();
    char why[WHY];
    assert_int_equal(device_host.open(&wish, &pool, why, sizeof why), STATUS_OK);
    expect(why, "0 of 4 MiB are free in huge pages");
    expect(why, "vm.nr_hugepages=2");
    expect(why, "uses 4 KiB pages");
    device_host.close(&pool);
    wish.shmem_thp = "advise";
    assert_int_equal(device_host.open(&wish, &pool, why, sizeof why), STATUS_OK);
    expect(why, "transparent huge pages (shmem_enabled is advise)");
    device_host.close(&pool);
    wish.huge_page_bytes = 0;
    assert_int_equal(device_host.open(&wish, &pool, why, sizeof why), STATUS_OK);
    expect(why, "the kernel has no huge pages");
    device_host.close(&pool);
    wish = plain_wish();
    wish.bytes = 3 * MIB;
    assert_int_equal(device_host.open(&wish, &pool, why, sizeof why), STATUS_OK);
    expect(why, "no multiple of a huge page of 2048 KiB");
    device_host.close(&pool);
    wish.huge = DEVICE_HUGE_NO;
    assert_int_equal(device_host.open(&wish, &pool, why, sizeof why), STATUS_OK);
    assert_string_equal(why, "4 KiB pages, as asked");
    device_host.close(&pool);
}

static void huge_pages_that_are_demanded_and_not_there_are_an_error_with_a_remedy(void **state)
{
    (void)state;
    struct device_pool pool = DEVICE_POOL_NONE;
    struct device_wish wish = plain_wish();
    char why[WHY];
    wish.huge = DEVICE_HUGE_YES;
    assert_int_equal(device_host.open(&wish, &pool, why, sizeof why), STATUS_UNSUPPORTED);
    expect(why, "vm.nr_hugepages=2");
    expect(why, "huge_pages = yes");
    assert_null(pool.device);
}

/* The host may have counted wrongly, or another process was faster: here main() limits files. */
static void huge_pages_that_are_promised_and_refused_do_not_stop_the_automatic_choice(void **state)
{
    (void)state;
    struct device_pool pool = DEVICE_POOL_NONE;
    struct device_wish wish = plain_wish();
    char why[WHY];
    wish.bytes = 64 * MIB;
    wish.huge_free_bytes = wish.bytes;
    wish.available_bytes = 8 * MIB;
    assert_int_equal(device_host.open(&wish, &pool, why, sizeof why), STATUS_NO_MEMORY);
    expect(why, "free but were refused: ");
    expect(why, "needs 64 MiB and only 8 MiB");
    wish.available_bytes = DEVICE_UNKNOWN;
    assert_int_equal(device_host.open(&wish, &pool, why, sizeof why), STATUS_IO);
    expect(why, "64 MiB of shared memory: File too large");
}

static void a_pool_larger_than_the_memory_is_refused_before_it_is_touched(void **state)
{
    (void)state;
    struct device_pool pool = DEVICE_POOL_NONE;
    struct device_wish wish = plain_wish();
    char why[WHY];
    wish.available_bytes = 3 * MIB;
    assert_int_equal(device_host.open(&wish, &pool, why, sizeof why), STATUS_NO_MEMORY);
    expect(why, "needs 4 MiB and only 3 MiB");
    expect(why, "remedy: pool = 1MiB or less");
    assert_int_equal(pool.segment.fd, -1);
}

static void a_node_places_the_pool_and_the_thread_is_as_before(void **state)
{
    (void)state;
    int mode = -1;
    if (syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0) != 0) {
        printf("skipped: the kernel has no NUMA policies\n");
        skip();
    }
    struct device_pool pool = DEVICE_POOL_NONE;
    struct device_wish wish = plain_wish();
    char why[WHY];
    char line[256];
    wish.node = 0;
    assert_int_equal(device_host.open(&wish, &pool, why, sizeof why), STATUS_OK);
    device_host.describe(&pool, line, sizeof line);
    expect(line, "node 0 preferred");
    int after = -1;
    assert_int_equal(syscall(SYS_get_mempolicy, &after, NULL, 0, NULL, 0), 0);
    assert_int_equal(after, mode);
    device_host.close(&pool);
    wish.node = 900;
    assert_int_equal(device_host.open(&wish, &pool, why, sizeof why), STATUS_INVALID);
    expect(why, "NUMA node 900 is not on this host; remedy: ");
    wish.node = 5000;
    assert_int_equal(device_host.open(&wish, &pool, why, sizeof why), STATUS_INVALID);
    expect(why, "out of range");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pool_is_present_writable_sealed_and_private),
        cmocka_unit_test(without_huge_pages_it_says_what_it_does_and_how_many_to_reserve),
        cmocka_unit_test(huge_pages_that_are_demanded_and_not_there_are_an_error_with_a_remedy),
        cmocka_unit_test(huge_pages_that_are_promised_and_refused_do_not_stop_the_automatic_choice),
        cmocka_unit_test(a_pool_larger_than_the_memory_is_refused_before_it_is_touched),
        cmocka_unit_test(a_node_places_the_pool_and_the_thread_is_as_before),
    };
    /* No file of ours may grow beyond this, so that a wrong test cannot eat the machine. */
    struct rlimit limit = {.rlim_cur = 32 * MIB, .rlim_max = 32 * MIB};
    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
