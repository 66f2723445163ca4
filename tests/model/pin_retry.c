/* pin_retry: a reader that finds its slot EVICTING looks again while its record stands, without a
 * fence of its own. Whatever use of the slot it then finds VALID, the next sweep sees the
 * record. */
#include "tests/model/world.h"

static struct seat seats[1];

static void *reader(void *unused)
{
    struct pin_seat *seat = &seats[0].pins;
    uint32_t record;
    bool taken = pin_take(seat, 0, &record);
    assert(taken);
    pin_fence();
    bool valid = validate(0, 1, EPOCH);
    if (!valid) {
        valid = validate(0, 1, EPOCH);
    }
    if (valid) {
        read_block(0, 1);
    }
    pin_drop(seat, record);
    return unused;
}

static void *server(void *unused)
{
    /* The same key comes back to the slot, and goes again. */
    for (int i = 0; i < 2; i++) {
        uint8_t marks[SLOTS] = {PIN_NONE, PIN_NONE};
        retire(0, 1, seats, 1, marks);
        if (marks[0] == PIN_PINNED) {
            break;
        }
        payload[0] = 0; /* half filled */
        replace(0, 1, marks);
    }
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
