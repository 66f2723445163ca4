/* pin_high_foreign: the owner lowers the high-water mark over a record that another thread cleared.
 * The server then does not read that record at all: the mark alone carries the order. Runs with
 * PIN_HIGH_KEPT 0. */
#include "tests/model/world.h"

static struct seat seats[1];

static void *other(void *unused)
{
    read_block(0, 1);
    pin_drop_foreign(&seats[0].records[0]);
    return unused;
}

static void *owner(void *unused)
{
    struct pin_seat *seat = &seats[0].pins;
    uint32_t mine = 0;
    if (pin(seat, 0, 1) != 0) {
        return unused;
    }
    pthread_t thread;
    pthread_create(&thread, NULL, other, NULL);
    bool taken = pin_take(seat, 1, &mine);
    assert(taken);
    pin_drop(seat, mine);
    pthread_join(thread, NULL);
    return unused;
}

static void *server(void *unused)
{
    uint8_t marks[SLOTS] = {PIN_NONE, PIN_NONE};
    retire(0, 1, seats, 1, marks);
    replace(0, 3, marks);
    return unused;
}

int main(void)
{
    pthread_t threads[2];
    world_init(seats, 1, 2);
    pthread_create(&threads[0], NULL, owner, NULL);
    pthread_create(&threads[1], NULL, server, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}
