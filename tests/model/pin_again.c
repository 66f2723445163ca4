/* pin_again: a pin goes from a high record to a low one, against the order of the sweep: by a new
 * pin that is validated before the old one is dropped. A mere move would slip past the sweep. */
#include "tests/model/world.h"

static struct seat seats[1];

static void *reader(void *unused)
{
    struct pin_seat *seat = &seats[0].pins;
    uint32_t low = 0;
    uint32_t old = 0;
    bool taken = pin_take(seat, 1, &low) && pin_take(seat, 0, &old);
    assert(taken && low == 0 && old == 1);
    pin_fence();
    if (!validate(0, 1, EPOCH)) {
        return unused;
    }
    pin_drop(seat, low);
    taken = pin_take(seat, 0, &low);
    assert(taken && low == 0);
    pin_fence();
    bool valid = validate(0, 1, EPOCH);
    if (valid) {
        pin_drop(seat, old);
    }
    read_block(0, 1);
    pin_drop(seat, low);
    if (!valid) {
        pin_drop(seat, old);
    }
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
    pthread_create(&threads[0], NULL, reader, NULL);
    pthread_create(&threads[1], NULL, server, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}
