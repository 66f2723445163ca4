/* touch: the touch log is overwritten when it is full, and the client never reads a word of the
 * server's for it. What the server finds below the tail may be newer than the tail, but it is
 * always a slot that the client did touch. Runs with LANE_TOUCHES 2. */
#include "shm/lane.h"

#include <assert.h>
#include <pthread.h>

static struct seat_client words;
static _Atomic uint32_t log_words[LANE_TOUCHES];
static const struct lane_seat seat = {.client = &words, .touches = log_words};

static void *client(void *unused)
{
    uint32_t tail = 0;
    for (uint32_t i = 0; i < 2 * LANE_TOUCHES; i++) {
        lane_touch(&seat, &tail, 10 + i);
        lane_touch_publish(&seat, tail);
    }
    return unused;
}

static void *server(void *unused)
{
    uint32_t tail = shared32_load_acquire(&words.touch_tail);
    uint32_t first = tail > LANE_TOUCHES ? tail - LANE_TOUCHES : 0;
    for (uint32_t i = first; i != tail; i++) {
        uint32_t slot = shared32_load_relaxed(&log_words[i & (LANE_TOUCHES - 1)]);
        assert(slot >= 10 + i && (slot - 10 - i) % LANE_TOUCHES == 0);
    }
    return unused;
}

int main(void)
{
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, client, NULL);
    pthread_create(&threads[1], NULL, server, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}
