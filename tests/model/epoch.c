/* epoch: R6: a client still reads through the mapping of a server that is gone. Its successor has
 * an index of its own over the same pool, so the old descriptors stay VALID for ever: only the
 * epoch in the old header, compared with the epoch of the attach, and the sweep of the old lane
 * protect a reader. */
#include "tests/model/world.h"

static struct seat seats[1];

static void *reader(void *unused)
{
    hit(&seats[0].pins, 1);
    return unused;
}

static void *successor(void *unused)
{
    uint8_t marks[SLOTS] = {PIN_VICTIM, PIN_NONE};
    shared64_store_relaxed(&header.epoch, EPOCH + 1);
    pin_fence();
    (void)pin_sweep(&seats[0].high, seats[0].records, 1, marks, SLOTS);
    if (marks[0] == PIN_VICTIM) {
        payload[0] = 3;
    }
    return unused;
}

int main(void)
{
    pthread_t threads[2];
    world_init(seats, 1, 1);
    pthread_create(&threads[0], NULL, reader, NULL);
    pthread_create(&threads[1], NULL, successor, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}
