/* pin: ordering 2 in its plain form: one record is used for two slots, one after the other, while
 * the server retires both slots in one batch and fills them with other blocks. */
#include "tests/model/world.h"

static struct seat seats[1];

static void *reader(void *unused)
{
    hit(&seats[0].pins, 1);
    hit(&seats[0].pins, 2);
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
    pthread_create(&threads[0], NULL, reader, NULL);
    pthread_create(&threads[1], NULL, server, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}
