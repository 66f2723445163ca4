/* test_bell: a bell wakes a sleeper, and only a sleeper; nobody sleeps past a change. */
#include "shm/bell.h"

#include "tests/check.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define LONG_NS UINT64_C(20000000000)
#define ROUNDS 2000

static void test_no_sleep_after_a_change(void **state)
{
    (void)state;
    _Atomic uint32_t word = 5;
    /* Would run into the test's own timeout if it slept. */
    bell_sleep(&word, 4, LONG_NS);
    assert_int_equal(shared32_load_relaxed(&word), 5);
}

static void test_sleep_ends_at_its_deadline(void **state)
{
    (void)state;
    _Atomic uint32_t word = 5;
    bell_sleep(&word, 5, 1000000);
    assert_int_equal(shared32_load_relaxed(&word), 5);
}

static void test_announce_and_look(void **state)
{
    (void)state;
    _Atomic uint32_t word = 0;
    assert_int_equal(bell_look(&word), 0);
    bell_announce(&word, 7);
    assert_int_equal(bell_look(&word), 7);
    bell_awake(&word, 8);
    assert_int_equal(bell_look(&word), 8);
}

struct pair {
    _Atomic uint32_t *tail; /* written by the waker */
    const _Atomic uint32_t *tail_readonly; /* the sleeper's view of it */
    _Atomic uint32_t sleeping; /* written by the sleeper */
    _Atomic uint32_t seen; /* written by the sleeper: rounds it finished */
};

static void *sleep_until_each_round(void *argument)
{
    struct pair *pair = argument;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        while (shared32_load_acquire(pair->tail_readonly) < round) {
            bell_announce(&pair->sleeping, 1);
            if (shared32_load_acquire(pair->tail_readonly) < round) {
                /* No deadline that would hide a lost wake-up. */
                bell_sleep(pair->tail_readonly, round - 1, LONG_NS);
            }
            bell_awake(&pair->sleeping, 0);
        }
        shared32_store_release(&pair->seen, round);
    }
    return NULL;
}

static void test_no_wake_up_is_lost_through_a_readonly_mapping(void **state)
{
    (void)state;
    int fd = memfd_create("bell", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 4096), 0);
    void *writable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    void *readonly = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(writable != MAP_FAILED && readonly != MAP_FAILED);
    struct pair pair = {.tail = writable, .tail_readonly = readonly};
    pthread_t sleeper;
    assert_int_equal(pthread_create(&sleeper, NULL, sleep_until_each_round, &pair), 0);
    uint32_t wakes = 0;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        shared32_store_release(pair.tail, round);
        if (bell_look(&pair.sleeping) != 0) {
            bell_wake(pair.tail);
            wakes++;
        }
        while (shared32_load_acquire(&pair.seen) < round) {
            shared_relax();
        }
    }
    assert_int_equal(pthread_join(sleeper, NULL), 0);
    assert_true(wakes <= ROUNDS);
    (void)munmap(writable, 4096);
    (void)munmap(readonly, 4096);
    (void)close(fd);
}

static void test_ring_counts_and_never_blocks(void **state)
{
    (void)state;
    int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(bell >= 0);
    bell_ring(bell);
    bell_ring(bell);
    uint64_t count = 0;
    assert_int_equal(read(bell, &count, sizeof count), sizeof count);
    assert_int_equal(count, 2);
    count = UINT64_MAX - 1; /* as full as it can be */
    assert_int_equal(write(bell, &count, sizeof count), sizeof count);
    bell_ring(bell);
    assert_int_equal(read(bell, &count, sizeof count), sizeof count);
    assert_true(count == UINT64_MAX - 1);
    (void)close(bell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_sleep_after_a_change),
        cmocka_unit_test(test_sleep_ends_at_its_deadline),
        cmocka_unit_test(test_announce_and_look),
        cmocka_unit_test(test_no_wake_up_is_lost_through_a_readonly_mapping),
        cmocka_unit_test(test_ring_counts_and_never_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
