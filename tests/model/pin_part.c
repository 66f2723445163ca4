/* pin_part: a LOADING slot whose first bytes are there is pinned by who was told of them, while the
 * server gives the load up, withdraws the slot and fills it with another block. */
#include "tests/model/world.h"

static struct seat seats[1];
static _Atomic uint32_t told; /* stands for the tail of the reply ring */
static uint64_t loading; /* the generation that the reply names */

static void *reader(void *unused)
{
    if (shared32_load_acquire(&told) == 0) {
        return unused;
    }
    uint32_t record;
    if (!pin_take(&seats[0].pins, 0, &record)) {
        return unused;
    }
    pin_fence();
    if (slot_load_state(&lines[0]) == slot_word(loading, SLOT_LOADING)) {
        read_block(0, 5);
    }
    pin_drop(&seats[0].pins, record);
    return unused;
}

static void *server(void *unused)
{
    uint8_t marks[SLOTS] = {PIN_VICTIM, PIN_NONE};
    payload[0] = 5;
    shared32_store_release(&told, 1);
    slot_withdraw(&lines[0]);
    pin_fence();
    (void)pin_sweep(&seats[0].high, seats[0].records, seats[0].pins.count, marks, SLOTS);
    if (marks[0] == PIN_VICTIM) {
        slot_free(&lines[0]);
        publish(0, 3);
    }
    return unused;
}

int main(void)
{
    pthread_t threads[2];
    seat_init(&seats[0], 1);
    loading = slot_reserve(&lines[0], SLOT_LOADING);
    pthread_create(&threads[0], NULL, reader, NULL);
    pthread_create(&threads[1], NULL, server, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}
