/* No wake-up is lost in either direction: a client asks and waits for each answer, both sides go to
 * sleep whenever they find nothing, and no safety timeout helps them. A sleep that lasts until its
 * deadline although work had come is a lost wake-up: it fails the test and hangs nothing. */
#include "shm/bell.h"
#include "shm/ring.h"

#include "tests/check.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#ifdef CISTERN_TSAN
#define QUESTIONS 4000u
#else
#define QUESTIONS 20000u
#endif
#define COUNT 4u
#define DEADLINE_MS 20000
#define LOOKS_MAX 64u

struct talk {
    _Alignas(64) _Atomic uint32_t request_tail;
    _Alignas(64) _Atomic uint32_t request_head;
    _Alignas(64) _Atomic uint32_t reply_tail;
    _Alignas(64) _Atomic uint32_t reply_head;
    _Alignas(64) _Atomic uint32_t client_sleeping;
    _Alignas(64) _Atomic uint32_t server_sleeping;
    _Alignas(64) _Atomic uint64_t requests[COUNT];
    _Alignas(64) _Atomic uint64_t replies[COUNT];
    int bell;
    int epoll;
    uint64_t server_random;
    uint64_t server_slept;
    uint64_t server_lost;
};

static struct ring_writer writer_of(
    _Atomic uint64_t *words, _Atomic uint32_t *tail, const _Atomic uint32_t *head)
{
    struct ring_writer ring = {
        .words = words, .tail_word = tail, .head_word = head, .count = COUNT, .entry_words = 1};
    return ring;
}

static struct ring_reader reader_of(
    const _Atomic uint64_t *words, const _Atomic uint32_t *tail, _Atomic uint32_t *head)
{
    struct ring_reader ring = {
        .words = words, .tail_word = tail, .head_word = head, .count = COUNT, .entry_words = 1};
    return ring;
}

/* Look a few times, as often as the seed says; then it is time to sleep. */
static bool arrived(struct ring_reader *ring, uint64_t *random)
{
    for (uint64_t looks = check_random(random) % LOOKS_MAX; looks > 0; looks--) {
        if (ring_look(ring) == RING_ENTRY) {
            return true;
        }
        shared_relax();
    }
    return ring_look(ring) == RING_ENTRY;
}

/* Sleep in epoll until the bell rings; false if it did not before the deadline. */
static bool server_sleep(struct talk *talk, struct ring_reader *ring, uint32_t *sleep)
{
    bool woken = true;
    bell_announce(&talk->server_sleeping, ++*sleep);
    if (ring_look(ring) == RING_EMPTY) {
        struct epoll_event event;
        talk->server_slept++;
        woken = epoll_wait(talk->epoll, &event, 1, DEADLINE_MS) == 1;
    }
    bell_awake(&talk->server_sleeping, ++*sleep);
    return woken;
}

static void *answer_all(void *context)
{
    struct talk *talk = context;
    struct ring_reader requests =
        reader_of(talk->requests, &talk->request_tail, &talk->request_head);
    struct ring_writer replies = writer_of(talk->replies, &talk->reply_tail, &talk->reply_head);
    uint32_t sleep = 0;
    uint64_t answered = 0;
    while (answered < QUESTIONS) {
        if (!arrived(&requests, &talk->server_random)) {
            if (!server_sleep(talk, &requests, &sleep)) {
                talk->server_lost++;
                return NULL;
            }
            continue;
        }
        uint64_t question;
        ring_copy(&requests, &question);
        ring_return(&requests);
        question++;
        ring_fill(&replies, &question);
        ring_publish(&replies);
        if (bell_look(&talk->client_sleeping) == 1) {
            bell_wake(&talk->reply_tail);
        }
        answered++;
    }
    return NULL;
}

/* Sleep on the reply tail; false if the deadline passed without a reply. */
static bool client_sleep(struct talk *talk, struct ring_reader *replies, uint64_t *slept)
{
    uint64_t deadline_ns = (uint64_t)DEADLINE_MS * 1000000u;
    struct timespec begin, now;
    uint32_t seen = shared32_load_relaxed(&talk->reply_tail);
    bool in_time = true;
    bell_announce(&talk->client_sleeping, 1);
    if (ring_look(replies) == RING_EMPTY) {
        (void)clock_gettime(CLOCK_MONOTONIC, &begin);
        bell_sleep(&talk->reply_tail, seen, deadline_ns);
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        in_time = now.tv_sec - begin.tv_sec < DEADLINE_MS / 1000;
        ++*slept;
    }
    bell_awake(&talk->client_sleeping, 0);
    return in_time;
}

static void talk_open(struct talk *talk, uint64_t seed)
{
    struct epoll_event interest = {.events = EPOLLIN | EPOLLET};
    talk->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    talk->epoll = epoll_create1(EPOLL_CLOEXEC);
    talk->server_random = seed + 1;
    assert_true(talk->bell >= 0 && talk->epoll >= 0);
    /* Edge-triggered and never read, as the sidecar does. */
    assert_int_equal(epoll_ctl(talk->epoll, EPOLL_CTL_ADD, talk->bell, &interest), 0);
}

static void every_question_is_answered_without_a_timeout(void **state)
{
    (void)state;
    static struct talk talk;
    uint64_t random = check_seed();
    uint64_t slept = 0;
    uint64_t rung = 0;
    uint64_t wrong = 0;
    uint32_t last = 0;
    pthread_t thread;
    talk_open(&talk, random);
    struct ring_writer requests = writer_of(talk.requests, &talk.request_tail, &talk.request_head);
    struct ring_reader replies = reader_of(talk.replies, &talk.reply_tail, &talk.reply_head);
    assert_int_equal(pthread_create(&thread, NULL, answer_all, &talk), 0);
    bool in_time = true;
    for (uint64_t question = 0; question < QUESTIONS && in_time; question++) {
        assert_true(ring_room(&requests, 1) > 0);
        ring_fill(&requests, &question);
        ring_publish(&requests);
        uint32_t sleep = bell_look(&talk.server_sleeping);
        if (sleep % 2 == 1 && sleep != last) {
            last = sleep;
            bell_ring(talk.bell);
            rung++;
        }
        while (in_time && !arrived(&replies, &random)) {
            in_time = client_sleep(&talk, &replies, &slept);
        }
        if (in_time) {
            uint64_t reply;
            ring_copy(&replies, &reply);
            ring_return(&replies);
            wrong += reply != question + 1;
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    printf("%llu sleeps of the client, %llu of the server, %llu rings\n", (unsigned long long)slept,
        (unsigned long long)talk.server_slept, (unsigned long long)rung);
    assert_true(in_time);
    assert_int_equal(talk.server_lost, 0);
    assert_int_equal(wrong, 0);
    assert_true(slept > 0 && talk.server_slept > 0);
    (void)close(talk.epoll);
    (void)close(talk.bell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_question_is_answered_without_a_timeout)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
