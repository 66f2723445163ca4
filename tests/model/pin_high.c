/* pin_high: the high-water mark sinks behind a drop and rises with the next pin, while the server
 * sweeps. Runs with PIN_HIGH_KEPT 0, so that two records are enough to see it sink. */
#include "tests/model/world.h"

static struct seat seats[1];

static void *reader(void *unused)
{
    struct pin_seat *seat = &seats[0].pins;
    hit(seat, 1);
    assert(seat->high == 0);
    hit(seat, 2);
    assert(seat->high == 0);
    return unused;
}

static void *server(void *unused)
{
    uint8_t marks[SLOTS] = {PIN_NONE, PIN_NONE};
    retire(0, 2, seats, 1, marks);
    replace(0, 3, marks);
    replace(1, 4, marks);
    return unused;
}

int main(void)
{
    pthread_t threads[2];
    world_init(seats, 1, 2);
    pthread_create(&threads[0], NULL, reader, NULL);
    pthread_create(&threads[1], NULL, server, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}
