/* pin_foreign: a record is cleared by another thread of the client than its owner. The owner finds
 * it free by pin_find(), an acquire load, and uses it for the other slot; the reads of the thread
 * that cleared it must still come before the server overwrites the first slot. */
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
    if (pin(seat, 0, 1) == NO_RECORD) {
        return unused;
    }
    /* The program hands its view to another thread, in whatever way orders the two. */
    pthread_t thread;
    pthread_create(&thread, NULL, other, NULL);
    uint32_t record = pin(seat, 1, 2);
    if (record != NO_RECORD) {
        read_block(1, 2);
        pin_drop(seat, record);
    }
    pthread_join(thread, NULL);
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
    world_init(seats, 1, 1);
    pthread_create(&threads[0], NULL, owner, NULL);
    pthread_create(&threads[1], NULL, server, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}
