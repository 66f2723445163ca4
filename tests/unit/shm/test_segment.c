/* test_segment: shared memory is sealed, its owner's alone, and read-only where that was said. */
#include "shm/segment.h"

#include "shm/status.h"
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES 65536u
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int make(void **state)
{
    static struct segment segment;
    *state = &segment;
    return segment_make("test", BYTES, false, &segment);
}

static int drop(void **state)
{
    segment_close(*state);
    return 0;
}

static void test_made_sealed_and_private(void **state)
{
    struct segment *segment = *state;
    struct stat file;
    assert_int_equal(fstat(segment->fd, &file), 0);
    assert_int_equal(file.st_mode & 07777, 0600);
    assert_int_equal(file.st_size, BYTES);
    /* Exactly these: a write seal would lock out a restarted server. */
    assert_int_equal(fcntl(segment->fd, F_GET_SEALS), SEALS);
    assert_int_equal(fcntl(segment->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(ftruncate(segment->fd, BYTES / 2), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(segment->fd, BYTES * 2), -1);
    assert_int_equal(fcntl(segment->fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    /* Zeroed, and all of it there: no page is missing that a first touch would have to find. */
    unsigned char present[BYTES / 4096];
    assert_int_equal(mincore(segment->base, BYTES, present), 0);
    for (size_t i = 0; i < sizeof present; i++) {
        assert_true(present[i] & 1);
    }
    for (size_t i = 0; i < BYTES; i++) {
        assert_int_equal(((char *)segment->base)[i], 0);
    }
}

static void test_readonly_descriptor_can_only_read(void **state)
{
    struct segment *segment = *state;
    int fd = segment_open_readonly(segment);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_ptr_equal(mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    assert_int_equal(errno, EACCES);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
    assert_int_equal(errno, EBADF);
    /* What was mapped for reading cannot be made writable, nor have holes punched. */
    void *base = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(base != MAP_FAILED);
    assert_int_equal(mprotect(base, BYTES, PROT_READ | PROT_WRITE), -1);
    assert_int_equal(madvise(base, BYTES, MADV_REMOVE), -1);
    ((char *)segment->base)[5] = 'x';
    assert_int_equal(((char *)base)[5], 'x');
    (void)munmap(base, BYTES);
    (void)close(fd);
}

static void test_readonly_descriptor_cannot_be_opened_anew_by_another_user(void **state)
{
    struct segment *segment = *state;
    if (geteuid() != 0) {
        print_message("skipped: becoming another user takes root\n");
        skip();
    }
    int fd = segment_open_readonly(segment);
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_int_equal(seteuid(65534), 0);
    int anew = open(path, O_RDWR | O_CLOEXEC);
    int why = errno;
    void *still = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(anew, -1);
    assert_int_equal(why, EACCES);
    assert_true(still != MAP_FAILED); /* reading works for whoever holds the descriptor */
    (void)munmap(still, BYTES);
    (void)close(fd);
}

static void test_map_shares_the_bytes_and_takes_the_descriptor(void **state)
{
    struct segment *segment = *state;
    int fd = fcntl(segment->fd, F_DUPFD_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct segment twin;
    assert_int_equal(segment_map(fd, BYTES, true, &twin), STATUS_OK);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(twin.fd, -1);
    assert_int_equal(twin.bytes, BYTES);
    assert_ptr_not_equal(twin.base, segment->base);
    ((char *)twin.base)[BYTES - 1] = 'y';
    assert_int_equal(((char *)segment->base)[BYTES - 1], 'y');
    segment_close(&twin);
    assert_null(twin.base);
    segment_close(&twin);
    /* Writable through a read-only descriptor: no. */
    assert_int_equal(segment_map(segment_open_readonly(segment), BYTES, true, &twin), STATUS_IO);
    assert_null(twin.base);
    assert_int_equal(segment_map(segment_open_readonly(segment), BYTES, false, &twin), STATUS_OK);
    segment_close(&twin);
}

/* A memfd with some of the seals. */
static int memfd_with(uint64_t bytes, unsigned seals)
{
    int fd = memfd_create("stranger", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    assert_true(seals == 0 || fcntl(fd, F_ADD_SEALS, seals) == 0);
    return fd;
}

static void test_map_refuses_what_could_be_cut_under_us(void **state)
{
    (void)state;
    struct segment none = SEGMENT_NONE;
    const unsigned seals[] = {0, F_SEAL_SHRINK, F_SEAL_SHRINK | F_SEAL_GROW,
        F_SEAL_GROW | F_SEAL_SEAL, F_SEAL_SHRINK | F_SEAL_SEAL};
    for (size_t i = 0; i < CHECK_COUNT(seals); i++) {
        int fd = memfd_with(BYTES, seals[i]);
        assert_int_equal(segment_map(fd, BYTES, false, &none), STATUS_MALFORMED);
        assert_null(none.base);
        assert_int_equal(fcntl(fd, F_GETFD), -1); /* taken over, hence closed */
    }
    const uint64_t sizes[] = {0, 1, BYTES - 4096, BYTES - 1, BYTES + 1, UINT64_MAX};
    for (size_t i = 0; i < CHECK_COUNT(sizes); i++) {
        int fd = memfd_with(BYTES, SEALS);
        assert_int_equal(segment_map(fd, sizes[i], false, &none), STATUS_MALFORMED);
    }
    /* Not a memfd at all: a pipe, a device, a file, nothing. */
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_not_equal(segment_map(pipes[0], BYTES, false, &none), STATUS_OK);
    (void)close(pipes[1]);
    assert_int_not_equal(
        segment_map(open("/dev/zero", O_RDWR | O_CLOEXEC), BYTES, false, &none), STATUS_OK);
    assert_int_not_equal(
        segment_map(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), BYTES, false, &none), STATUS_OK);
    assert_int_equal(segment_map(-1, BYTES, false, &none), STATUS_IO);
}

static void test_what_a_process_made_another_one_goes_on_with(void **state)
{
    (void)state;
    struct segment made;
    struct segment adopted = SEGMENT_NONE;
    assert_int_equal(segment_make("test", 8192, false, &made), STATUS_OK);
    int fd = fcntl(made.fd, F_DUPFD_CLOEXEC, 0);
    int second = fcntl(made.fd, F_DUPFD_CLOEXEC, 0);
    assert_int_equal(segment_adopt(second, 4096, false, &adopted), STATUS_MALFORMED);
    assert_int_equal(fcntl(second, F_GETFD), -1);
    ((unsigned char *)made.base)[8191] = 5;
    segment_close(&made); /* its maker is gone */
    assert_int_equal(segment_adopt(fd, 8192, true, &adopted), STATUS_OK);
    assert_int_equal(((unsigned char *)adopted.base)[8191], 5);
    ((unsigned char *)adopted.base)[0] = 6; /* for writing, too, and its descriptor stays */
    int readonly = segment_open_readonly(&adopted);
    assert_true(readonly >= 0);
    (void)close(readonly);
    segment_close(&adopted);
}

static void test_make_fails_cleanly(void **state)
{
    (void)state;
    struct segment segment = SEGMENT_NONE;
    /* A size that no file can have. One that is merely larger than the memory is no test: the
     * kernel would go and look for the pages. */
    assert_int_equal(segment_make("test", UINT64_C(1) << 63, false, &segment), STATUS_IO);
    assert_null(segment.base);
    assert_int_equal(segment.fd, -1);
    assert_int_equal(segment_make("test", UINT64_C(1) << 63, true, &segment), STATUS_UNSUPPORTED);
    assert_null(segment.base);
    segment_close(NULL);
    segment_close(&segment);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)
    const struct CMUnitTest tests[] = {
        TEST(test_made_sealed_and_private),
        TEST(test_readonly_descriptor_can_only_read),
        TEST(test_readonly_descriptor_cannot_be_opened_anew_by_another_user),
        TEST(test_map_shares_the_bytes_and_takes_the_descriptor),
        TEST(test_map_refuses_what_could_be_cut_under_us),
        TEST(test_what_a_process_made_another_one_goes_on_with),
        TEST(test_make_fails_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
