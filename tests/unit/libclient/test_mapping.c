/* mapping: one file is mapped once, however often it is received, and for as long as it is used. */
#include "tests/check.h"

#include "libclient/mapping.h"
#include "shm/status.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define BYTES UINT64_C(65536)

static void test_the_same_file_is_known_again(void **state)
{
    (void)state;
    struct segment one;
    struct segment other;
    struct mapping *mapping = NULL;
    assert_int_equal(segment_make("one", BYTES, false, &one), STATUS_OK);
    assert_int_equal(segment_make("other", BYTES, false, &other), STATUS_OK);
    assert_int_equal(
        mapping_open(fcntl(one.fd, F_DUPFD_CLOEXEC, 0), BYTES, true, &mapping), STATUS_OK);
    int readonly = segment_open_readonly(&one);
    assert_true(mapping_is(mapping, one.fd, BYTES, true));
    assert_true(mapping_is(mapping, readonly, BYTES, true)); /* opened anew: still that file */
    assert_false(mapping_is(mapping, one.fd, BYTES, false));
    assert_false(mapping_is(mapping, one.fd, BYTES + 4096, true));
    assert_false(mapping_is(mapping, other.fd, BYTES, true));
    assert_false(mapping_is(NULL, one.fd, BYTES, true));
    assert_false(mapping_is(mapping, -1, BYTES, true));
    mapping_drop(&mapping);
    (void)close(readonly);
    segment_close(&one);
    segment_close(&other);
}

static void test_the_last_user_unmaps(void **state)
{
    (void)state;
    struct segment made;
    struct mapping *first = NULL;
    assert_int_equal(segment_make("made", BYTES, false, &made), STATUS_OK);
    memset(made.base, 7, BYTES);
    assert_int_equal(
        mapping_open(fcntl(made.fd, F_DUPFD_CLOEXEC, 0), BYTES, false, &first), STATUS_OK);
    struct mapping *second = first;
    second->users++;
    const unsigned char *data = first->segment.base;
    mapping_drop(&first);
    assert_null(first);
    assert_int_equal(data[BYTES - 1], 7);
    mapping_drop(&second);
    assert_null(second);
    mapping_drop(&second);
    segment_close(&made);
}

static void test_a_foreign_file_is_refused_and_closed(void **state)
{
    (void)state;
    struct mapping *mapping = NULL;
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_int_equal(mapping_open(fd, BYTES, true, &mapping), STATUS_MALFORMED);
    assert_null(mapping);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_file_is_known_again),
        cmocka_unit_test(test_the_last_user_unmaps),
        cmocka_unit_test(test_a_foreign_file_is_refused_and_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
