/* test_why: a failure says what went wrong, to the thread that it happened to. */
#include "shm/status.h"
#include "tests/unit/libclient/bed.h"

static void *look(void *argument)
{
    (void)argument;
    return (void *)(uintptr_t)(cistern_why()[0] == '\0');
}

static void the_text_belongs_to_the_thread(void **state)
{
    (void)state;
    assert_string_equal(cistern_why(), "");
    assert_int_equal(cistern_release(NULL, NULL, 0), CISTERN_INVALID);
    assert_string_equal(cistern_why(), "cistern_release: an argument is NULL");
    pthread_t thread;
    void *empty;
    assert_int_equal(pthread_create(&thread, NULL, look, NULL), 0);
    assert_int_equal(pthread_join(thread, &empty), 0);
    assert_non_null(empty);
    assert_string_equal(cistern_why(), "cistern_release: an argument is NULL");
}

static void every_status_has_a_name_a_meaning_and_advice(void **state)
{
    (void)state;
#define STATUS(name, number, meaning, advice) \
    assert_int_equal(CISTERN_##name, number); \
    assert_string_equal(cistern_status_name(CISTERN_##name), "CISTERN_" #name); \
    assert_string_equal(cistern_status_meaning(number), meaning); \
    assert_string_equal(cistern_status_advice(number), advice);
#include "shm/status.def"
#undef STATUS
    assert_string_equal(cistern_status_name(12345), "unknown status");
    assert_non_null(cistern_status_meaning(12345));
    assert_non_null(cistern_status_advice(12345));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_belongs_to_the_thread),
        cmocka_unit_test(every_status_has_a_name_a_meaning_and_advice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
