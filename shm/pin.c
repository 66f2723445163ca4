/* pin: the slow halves of a pin, and the server's sweep. */
#include "shm/pin.h"

#include <assert.h>

#define PROBES 4u /* a raise of the mark; enough to keep it near what is in use */

void pin_probe(struct pin_seat *seat)
{
    for (uint32_t i = 0; i < PROBES; i++) {
        seat->probe = seat->probe + 1 < seat->high ? seat->probe + 1 : 0;
        if (shared32_load_acquire(&seat->records[seat->probe]) == 0) {
            seat->next = seat->probe;
            return;
        }
    }
}

bool pin_find(struct pin_seat *seat, uint32_t *out_record)
{
    /* Below the mark first, so that it rises only when every record under it is in use. */
    uint32_t start = seat->next < seat->high ? seat->next : 0;
    for (uint32_t i = 0; i < seat->high; i++) {
        uint32_t record = start + i < seat->high ? start + i : start + i - seat->high;
        if (shared32_load_acquire(&seat->records[record]) == 0) {
            *out_record = record;
            return true;
        }
    }
    for (uint32_t record = seat->high; record < seat->count; record++) {
        if (shared32_load_acquire(&seat->records[record]) == 0) {
            *out_record = record;
            return true;
        }
    }
    return false;
}

void pin_lower(struct pin_seat *seat)
{
    uint32_t high = seat->high;
    while (high > PIN_HIGH_KEPT && shared32_load_acquire(&seat->records[high - 1]) == 0) {
        high--;
    }
    seat->high = high;
    /* Release: a sweep that reads the lower mark also sees these records cleared. */
    shared32_store_release(seat->high_word, high);
}

uint32_t pin_sweep(const _Atomic uint32_t *high_word, const _Atomic uint32_t *records,
    uint32_t count, uint8_t *marks, uint32_t slots)
{
    uint32_t wild = 0;
    uint32_t high = shared32_load_acquire(high_word);
    if (high > count) {
        high = count;
        wild++;
    }
    for (uint32_t i = 0; i < high; i++) {
        uint32_t word = shared32_load_acquire(&records[i]);
        if (word == 0) {
            continue;
        }
        if (word > slots) {
            wild++;
        } else if (marks[word - 1] == PIN_VICTIM) {
            marks[word - 1] = PIN_PINNED;
        }
    }
    return wild;
}
