/* grant: a retired slot travels to another client and back: V7. The server lends it through the
 * reply ring; the client fills it with plain stores and commits through the request ring; the
 * server publishes it. Neither the old reader nor the new one may meet the filling. */
#include "shm/ring.h"
#include "tests/model/world.h"

static struct seat seats[2];
static _Atomic uint64_t request_words[2];
static _Atomic uint64_t reply_words[2];
static _Atomic uint32_t request_tail;
static _Atomic uint32_t request_head;
static _Atomic uint32_t reply_tail;
static _Atomic uint32_t reply_head;

static struct ring_writer writer_of(
    _Atomic uint64_t *words, _Atomic uint32_t *tail, const _Atomic uint32_t *head)
{
    struct ring_writer ring = {
        .words = words, .tail_word = tail, .head_word = head, .count = 2, .entry_words = 1};
    return ring;
}

static struct ring_reader reader_of(
    const _Atomic uint64_t *words, const _Atomic uint32_t *tail, _Atomic uint32_t *head)
{
    struct ring_reader ring = {
        .words = words, .tail_word = tail, .head_word = head, .count = 2, .entry_words = 1};
    return ring;
}

static void *old_reader(void *unused)
{
    hit(&seats[0].pins, 1);
    return unused;
}

static void *filler(void *unused)
{
    struct ring_reader replies = reader_of(reply_words, &reply_tail, &reply_head);
    struct ring_writer requests = writer_of(request_words, &request_tail, &request_head);
    if (ring_look(&replies) != RING_ENTRY) {
        return unused;
    }
    uint64_t slot;
    ring_copy(&replies, &slot);
    ring_return(&replies);
    payload[slot] = 3;
    ring_fill(&requests, &slot);
    ring_publish(&requests);
    /* It reads its own block like any other. */
    hit(&seats[1].pins, 3);
    return unused;
}

static void *server(void *unused)
{
    struct ring_writer replies = writer_of(reply_words, &reply_tail, &reply_head);
    struct ring_reader requests = reader_of(request_words, &request_tail, &request_head);
    uint8_t marks[SLOTS] = {PIN_NONE, PIN_NONE};
    retire(0, 1, seats, 2, marks);
    if (marks[0] == PIN_PINNED) {
        return unused;
    }
    uint64_t slot = 0;
    (void)slot_reserve(&lines[slot], SLOT_RESERVED);
    ring_fill(&replies, &slot);
    ring_publish(&replies);
    if (ring_look(&requests) == RING_ENTRY) {
        struct slot_content content = {.key = key_of(3), .bytes = 4, .space = SPACE};
        ring_copy(&requests, &slot);
        ring_return(&requests);
        (void)slot_publish(&lines[slot], &content);
        hint_show((uint32_t)slot, 3);
    }
    return unused;
}

int main(void)
{
    pthread_t threads[3];
    world_init(seats, 2, 1);
    pthread_create(&threads[0], NULL, old_reader, NULL);
    pthread_create(&threads[1], NULL, filler, NULL);
    pthread_create(&threads[2], NULL, server, NULL);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    return 0;
}
