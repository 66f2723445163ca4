/* pin_seats: the sweep reads only the seats below lane_client_header.seats_used, so that word
 * bounds it as the high-water mark does: raised before the fence of the seat's first pin, read by
 * the server after its own fence. */
#include "tests/model/world.h"

static struct seat seats[1];
static _Atomic uint32_t seats_used;

static void *reader(void *unused)
{
    shared32_store_release(&seats_used, 1);
    hit(&seats[0].pins, 1);
    return unused;
}

static void *server(void *unused)
{
    uint8_t marks[SLOTS] = {PIN_VICTIM, PIN_NONE};
    slot_mark(&lines[0]);
    pin_fence();
    uint32_t used = shared32_load_acquire(&seats_used);
    if (used == 1) {
        (void)pin_sweep(&seats[0].high, seats[0].records, 1, marks, SLOTS);
    }
    if (marks[0] == PIN_PINNED) {
        slot_unmark(&lines[0]);
        return unused;
    }
    slot_free(&lines[0]);
    replace(0, 3, marks);
    return unused;
}

int main(void)
{
    pthread_t threads[2];
    world_init(seats, 1, 1);
    pthread_create(&threads[0], NULL, reader, NULL);
    pthread_create(&threads[1], NULL, server, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}
