/* test_claim: compute once a host: the first claims, the others wait, nobody waits for ever. */
#include "tests/unit/libclient/bed.h"

#include <poll.h>

/* A second worker. */
static void open_other(struct bed *bed, cistern_t **out_other)
{
    *out_other = NULL;
    assert_int_equal(cistern_open(&bed->options, out_other), CISTERN_OK);
}

static void the_first_claims_the_others_are_told(void **state)
{
    struct bed *bed = *state;
    cistern_t *other;
    open_other(bed, &other);
    assert_int_equal(cistern_claim(bed->handle, bed->keys), CISTERN_MINE);
    assert_int_equal(cistern_claim(other, bed->keys), CISTERN_OTHER);
    assert_int_equal(cistern_unclaim(bed->handle, bed->keys), CISTERN_OK);
    bed_flush(bed);
    assert_int_equal(cistern_claim(other, bed->keys), CISTERN_MINE);
    uint8_t data[8] = {0};
    assert_int_equal(cistern_put(other, bed->keys, NULL, data, sizeof data), CISTERN_OK);
    assert_int_equal(cistern_flush(other, 10 * BED_SECOND), CISTERN_OK);
    assert_int_equal(cistern_claim(bed->handle, bed->keys), CISTERN_OK);
    assert_int_equal(cistern_claim(bed->handle, NULL), CISTERN_INVALID);
    assert_int_equal(cistern_claim(NULL, bed->keys), CISTERN_INVALID);
    cistern_close(&other);
}

struct errand {
    cistern_t *handle;
    const struct cistern_key *key;
    int status;
};

static void *wait_elsewhere(void *argument)
{
    struct errand *errand = argument;
    errand->status = cistern_wait(errand->handle, errand->key, 20 * BED_SECOND);
    return NULL;
}

/* Return when the double has `count` waits. */
static void until_waiting(struct bed *bed, uint32_t count)
{
    uint32_t waiting = 0;
    while (waiting != count) {
        waiting = 0;
        (void)pthread_mutex_lock(&bed->server.lock);
        for (uint32_t i = 0; i < DOUBLE_WAITERS; i++) {
            waiting += bed->server.waiters[i].used;
        }
        (void)pthread_mutex_unlock(&bed->server.lock);
        (void)poll(NULL, 0, 1);
    }
}

/* Return when a waiting thread has said that it sleeps, as it must before it does. */
static void until_asleep(struct bed *bed)
{
    bool asleep = false;
    for (int i = 0; i < 10000 && !asleep; i++) {
        for (uint32_t s = 0; s < 2; s++) {
            const struct seat_client *seat = bed->server.sessions[s].seats[0].client;
            asleep = asleep || shared32_load_acquire(&seat->sleeping) == 1;
        }
        (void)poll(NULL, 0, 1);
    }
    assert_true(asleep);
}

static void a_waiter_gets_the_block_or_the_claim(void **state)
{
    struct bed *bed = *state;
    cistern_t *other;
    open_other(bed, &other);
    uint8_t data[8] = {0};
    for (int give_up = 0; give_up <= 1; give_up++) {
        struct errand errand = {.handle = other, .key = &bed->keys[give_up]};
        pthread_t thread;
        assert_int_equal(cistern_claim(bed->handle, errand.key), CISTERN_MINE);
        assert_int_equal(pthread_create(&thread, NULL, wait_elsewhere, &errand), 0);
        until_waiting(bed, 1);
        until_asleep(bed);
        if (give_up) {
            assert_int_equal(cistern_unclaim(bed->handle, errand.key), CISTERN_OK);
        } else {
            assert_int_equal(
                cistern_put(bed->handle, errand.key, NULL, data, sizeof data), CISTERN_OK);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(errand.status, give_up ? CISTERN_MINE : CISTERN_OK);
    }
    cistern_close(&other);
}

static void a_wait_ends_at_its_deadline(void **state)
{
    struct bed *bed = *state;
    assert_int_equal(cistern_wait(bed->handle, bed->keys, 0), CISTERN_MISS);
    assert_int_equal(cistern_claim(bed->handle, bed->keys), CISTERN_MINE);
    assert_int_equal(cistern_wait(bed->handle, bed->keys, BED_SECOND / 100), CISTERN_MISS);
    assert_int_equal(cistern_wait(bed->handle, bed->keys, -1), CISTERN_INVALID);
    /* A server that says nothing does not keep the caller; and when it wakes up, the claim is not
     * passed on to a wait that is over. */
    (void)pthread_mutex_lock(&bed->server.lock);
    bed->server.mute = true;
    (void)pthread_mutex_unlock(&bed->server.lock);
    assert_int_equal(cistern_wait(bed->handle, bed->keys, BED_SECOND / 100), CISTERN_MISS);
    assert_int_equal(cistern_unclaim(bed->handle, bed->keys), CISTERN_OK);
    (void)pthread_mutex_lock(&bed->server.lock);
    bed->server.mute = false;
    (void)pthread_mutex_unlock(&bed->server.lock);
    bed_flush(bed);
    assert_int_equal(cistern_claim(bed->handle, bed->keys), CISTERN_MINE);
    until_waiting(bed, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_claims_the_others_are_told),
        TEST(a_waiter_gets_the_block_or_the_claim),
        TEST(a_wait_ends_at_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
