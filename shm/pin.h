/* pin: a client says "I am reading this slot".
 *
 * The lane's own client writes its pin records; the server only reads them. Called by libclient/hit
 * and libclient/release; pin_sweep() by sidecar/block/evict before slots are retired. Always: no
 * slot is reused until every lane was read, after the fence, without finding it (shm/README.md,
 * ordering 2). R and V number the steps of that protocol.
 *
 * A record is one 32-bit word, slot + 1, or 0. Each thread has an array of its own, and takes
 * records from it alone; any thread may clear a record, because the owner finds it free by looking.
 */
#ifndef CISTERN_SHM_PIN_H
#define CISTERN_SHM_PIN_H

#include "shm/atomic.h"

#include <stdbool.h>
#include <stdint.h>

/* The high-water mark is not lowered under this: a sweep is cheap there. */
#define PIN_HIGH_KEPT 64u

/* A thread's private view of its records. */
struct pin_seat {
    _Atomic uint32_t *records;
    _Atomic uint32_t *high_word; /* written by this thread alone */
    uint32_t count; /* records there are: the thread's quota */
    uint32_t high; /* what the high-water mark says */
    uint32_t next; /* where to look for a free record first */
    uint32_t probe; /* where to look for one that another thread cleared */
};

/* Look for a free record behind `next`; the slow half of pin_take(). */
bool pin_find(struct pin_seat *seat, uint32_t *out_record);

/* Before the mark rises: look at a few records below it, which other threads may have cleared, and
 * leave `next` at a free one if there is any. Without it a thread whose views are all released by
 * others would use record after record, and every sweep would read them all. */
void pin_probe(struct pin_seat *seat);

/* R2: write `slot` into a free record. Returns false if all are in use. Follow with pin_fence(). */
static inline bool pin_take(struct pin_seat *seat, uint32_t slot, uint32_t *out_record)
{
    if (seat->next >= seat->high && seat->high >= PIN_HIGH_KEPT) {
        pin_probe(seat);
    }
    uint32_t record = seat->next;
    /* Acquire: whoever cleared it read the former block before; its reads come before our store. */
    if (record >= seat->count || shared32_load_acquire(&seat->records[record]) != 0) {
        if (!pin_find(seat, &record)) {
            return false;
        }
    }
    shared32_store_release(&seat->records[record], slot + 1);
    if (record >= seat->high) {
        seat->high = record + 1;
        shared32_store_release(seat->high_word, seat->high); /* before R3; partner: V4 */
    }
    seat->next = record + 1;
    *out_record = record;
    return true;
}

/* R3: once for all records of a batch. Partner: pin_sweep()'s fence; one of us sees the other. */
static inline void pin_fence(void)
{
    shared_fence_full();
}

/* Lower the high-water mark over free records; the rare half of pin_drop(). */
void pin_lower(struct pin_seat *seat);

/* R8: clear a record of this thread, after the last byte was read. */
static inline void pin_drop(struct pin_seat *seat, uint32_t record)
{
    shared32_store_release(&seat->records[record], 0);
    if (record < seat->next) {
        seat->next = record;
    }
    if (record + 1 == seat->high && seat->high > PIN_HIGH_KEPT) {
        pin_lower(seat);
    }
}

/* R8 by a thread other than the records' own. */
static inline void pin_drop_foreign(_Atomic uint32_t *record)
{
    shared32_store_release(record, 0);
}

/* What the server knows of a slot while it sweeps: one byte a slot, in its private memory. */
enum pin_mark { PIN_NONE = 0, PIN_VICTIM = 1, PIN_PINNED = 2 };

/* V4 and V5 for one thread's records, after the victims were marked and pin_fence() was called:
 * turns PIN_VICTIM into PIN_PINNED wherever a record names the slot. Returns how many records named
 * no slot of the index (the client is broken, or hostile). */
uint32_t pin_sweep(const _Atomic uint32_t *high_word, const _Atomic uint32_t *records,
    uint32_t count, uint8_t *marks, uint32_t slots);

#endif
