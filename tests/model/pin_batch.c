/* pin_batch: ordering 2 with one fence for two pins on one side and two victims on the other. */
#include "tests/model/world.h"

static struct seat seats[1];

static void *reader(void *unused)
{
    struct pin_seat *seat = &seats[0].pins;
    uint32_t slot[2];
    uint32_t record[2] = {NO_RECORD, NO_RECORD};
    for (uint32_t i = 0; i < 2; i++) {
        slot[i] = find(i + 1);
        if (slot[i] != HINT_NONE) {
            (void)pin_take(seat, slot[i], &record[i]);
        }
    }
    pin_fence();
    for (uint32_t i = 0; i < 2; i++) {
        if (record[i] != NO_RECORD && validate(slot[i], i + 1, EPOCH)) {
            read_block(slot[i], i + 1);
        }
    }
    for (uint32_t i = 2; i-- > 0;) {
        if (record[i] != NO_RECORD) {
            pin_drop(seat, record[i]);
        }
    }
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
