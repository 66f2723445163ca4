/* adopt: a successor takes the descriptors over. Its predecessor died between the mark and the
 * sweep, so an EVICTING word says nothing about pins: the successor fences and sweeps itself
 * before any slot is used again. */
#include "tests/model/world.h"

static struct seat seats[1];

static void *reader(void *unused)
{
    hit(&seats[0].pins, 1);
    return unused;
}

static void *servers(void *unused)
{
    uint8_t marks[SLOTS] = {PIN_VICTIM, PIN_NONE};
    slot_mark(&lines[0]);
    /* Here the first one died. */
    pin_fence();
    (void)pin_sweep(&seats[0].high, seats[0].records, 1, marks, SLOTS);
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
    pthread_create(&threads[1], NULL, servers, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}
