/* channel: entries arrive whole and in order, and whoever sleeps is rung once, and only then. */
#include "tests/check.h"

#include "shm/atomic.h"
#include "shm/status.h"
#include "sidecar/channel.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ENTRIES 8u
#define ROUNDS 20000u
#define WAIT_MS 60000

struct ask {
    uint64_t number;
    uint64_t twice;
    uint64_t thrice;
};

struct answer {
    uint64_t number;
    uint64_t sum;
};

struct scene {
    struct channel *channel;
    int event_fd;
};

static int set_up(void **state)
{
    static struct scene scene;
    const struct channel_shape shape = {.asks = ENTRIES,
        .ask_words = sizeof(struct ask) / 8,
        .answers = ENTRIES,
        .answer_words = sizeof(struct answer) / 8};
    scene.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *state = &scene;
    return scene.event_fd < 0 || channel_open(scene.event_fd, &shape, &scene.channel) != STATUS_OK;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    channel_close(scene->channel);
    channel_close(NULL);
    return close(scene->event_fd);
}

/* How often a bell was rung since it was last asked. */
static uint64_t rings(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    uint64_t count = 0;
    if (poll(&look, 1, 0) == 1) {
        assert_int_equal(read(fd, &count, sizeof count), sizeof count);
    }
    return count;
}

static struct ask ask_of(uint64_t number)
{
    return (struct ask){.number = number, .twice = 2 * number, .thrice = 3 * number};
}

static void entries_come_out_whole_and_in_order(void **state)
{
    struct channel *channel = ((struct scene *)*state)->channel;
    for (uint64_t i = 0; i < 3 * ENTRIES; i++) {
        struct ask ask = ask_of(i);
        struct ask next = ask_of(i + 1000);
        struct ask got;
        channel_ask(channel, &ask);
        channel_ask(channel, &next);
        assert_true(channel_next(channel, &got));
        assert_memory_equal(&got, &ask, sizeof got);
        assert_true(channel_next(channel, &got));
        assert_memory_equal(&got, &next, sizeof got);
        assert_false(channel_next(channel, &got));
    }
}

static void an_answer_is_seen_when_it_is_shown(void **state)
{
    struct channel *channel = ((struct scene *)*state)->channel;
    struct answer answer = {.number = 7, .sum = 42};
    struct answer got;
    channel_put(channel, &answer);
    assert_false(channel_take(channel, &got));
    channel_show(channel);
    assert_true(channel_take(channel, &got));
    assert_memory_equal(&got, &answer, sizeof got);
}

static void only_a_sleeper_is_rung_and_once_a_sleep(void **state)
{
    struct scene *scene = *state;
    struct channel *channel = scene->channel;
    struct ask ask = ask_of(1);
    struct answer answer = {.number = 1};
    struct answer got;
    channel_ask(channel, &ask);
    channel_put(channel, &answer);
    channel_show(channel);
    assert_int_equal(rings(channel->wake_fd), 0);
    assert_int_equal(rings(scene->event_fd), 0);
    assert_true(channel_sleep(channel)); /* something is there: it will not */
    assert_true(channel_next(channel, &ask));
    assert_true(channel_front_sleep(channel));
    assert_true(channel_take(channel, &got));
    assert_false(channel_front_sleep(channel));
    for (uint32_t i = 0; i < 3; i++) {
        channel_ask(channel, &ask);
        channel_put(channel, &answer);
        channel_show(channel);
    }
    assert_int_equal(rings(channel->wake_fd), 1);
    assert_int_equal(rings(scene->event_fd), 1);
    assert_int_equal(shared64_load_relaxed(&channel->rung), 1);
    channel_wake(channel);
    channel_front_wake(channel);
    channel_ask(channel, &ask);
    channel_show(channel);
    assert_int_equal(rings(channel->wake_fd), 0);
    assert_int_equal(rings(scene->event_fd), 0);
    channel_rouse(channel);
    channel_alarm(channel);
    assert_int_equal(rings(channel->wake_fd), 1);
    assert_int_equal(rings(scene->event_fd), 1);
}

/* The thread: answers until it is asked for 0; sleeps whenever there is nothing. */
static void *serve(void *context)
{
    struct channel *channel = context;
    struct ask ask = {.number = 1};
    while (ask.number != 0) {
        if (!channel_next(channel, &ask)) {
            if (!channel_sleep(channel)) {
                uint64_t rung;
                struct pollfd look = {.fd = channel->wake_fd, .events = POLLIN};
                if (poll(&look, 1, WAIT_MS) != 1 ||
                    read(channel->wake_fd, &rung, sizeof rung) != (ssize_t)sizeof rung) {
                    return NULL; /* never rung: the front hangs, and says so */
                }
            }
            channel_wake(channel);
            continue;
        }
        struct answer answer = {.number = ask.number, .sum = ask.twice + ask.thrice};
        channel_put(channel, &answer);
        channel_show(channel);
    }
    return NULL;
}

static void two_threads_that_sleep_all_the_time_lose_nothing(void **state)
{
    struct scene *scene = *state;
    struct channel *channel = scene->channel;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, serve, channel), 0);
    uint64_t asked = 0;
    uint64_t answered = 0;
    while (answered < ROUNDS) {
        while (asked < ROUNDS && asked - answered < ENTRIES) {
            struct ask ask = ask_of(++asked);
            channel_ask(channel, &ask);
        }
        struct answer answer;
        if (channel_take(channel, &answer)) {
            answered++;
            assert_int_equal(answer.number, answered);
            assert_int_equal(answer.sum, 5 * answered);
            continue;
        }
        if (!channel_front_sleep(channel)) {
            struct pollfd look = {.fd = scene->event_fd, .events = POLLIN};
            assert_int_equal(poll(&look, 1, WAIT_MS), 1);
            (void)rings(scene->event_fd);
        }
        channel_front_wake(channel);
    }
    struct ask end = {.number = 0};
    channel_ask(channel, &end);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(entries_come_out_whole_and_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_is_seen_when_it_is_shown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_a_sleeper_is_rung_and_once_a_sleep, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            two_threads_that_sleep_all_the_time_lose_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
