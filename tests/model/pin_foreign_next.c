/* pin_foreign_next: as pin_foreign, but the owner meets the cleared record in pin_take() itself,
 * because a lower record was dropped meanwhile and `next` came back. */
#include "tests/model/world.h"

static struct seat seats[1];

static void *other(void *unused)
{
    read_block(0, 1);
    pin_drop_foreign(&seats[0].records[1]);
    return unused;
}

static void *owner(void *unused)
{
    struct pin_seat *seat = &seats[0].pins;
    uint32_t low = 0;
    uint32_t high = 0;
    /* Records 0 and 1; the first was taken in vain. */
    bool taken = pin_take(seat, 1, &low) && pin_take(seat, 0, &high);
    assert(taken && low == 0 && high == 1);
    pin_fence();
    if (!validate(0, 1, EPOCH)) {
        return unused;
    }
    pthread_t thread;
    pthread_create(&thread, NULL, other, NULL);
    pin_drop(seat, low);
    taken = pin_take(seat, 1, &low);
    assert(taken && low == 0 && seat->next == 1);
    uint32_t record = pin(seat, 1, 2);
    if (record != NO_RECORD) {
        assert(record == 1);
        read_block(1, 2);
    }
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
