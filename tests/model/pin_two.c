/* pin_two: ordering 2 with two readers of one slot, which the server retires twice. */
#include "tests/model/world.h"

static struct seat seats[2];

static void *reader(void *seat)
{
    hit(&((struct seat *)seat)->pins, 1);
    return NULL;
}

static void *server(void *unused)
{
    for (uint32_t number = 1; number < 3; number++) {
        uint8_t marks[SLOTS] = {PIN_NONE, PIN_NONE};
        retire(0, 1, seats, 2, marks);
        if (marks[0] == PIN_PINNED) {
            break;
        }
        replace(0, number + 2, marks);
    }
    return unused;
}

int main(void)
{
    pthread_t threads[3];
    world_init(seats, 2, 1);
    pthread_create(&threads[0], NULL, reader, &seats[0]);
    pthread_create(&threads[1], NULL, reader, &seats[1]);
    pthread_create(&threads[2], NULL, server, NULL);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    return 0;
}
