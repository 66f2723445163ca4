/* book: the slots that the sidecar lent to one seat: those still unused, and those in a caller's
 * hands.
 *
 * Filled by libclient/call (replies), emptied by libclient/put. A book belongs to the thread of
 * its seat; only book_settle() may be called by another, for a slot that was handed over to it.
 * Always: every slot that the sidecar lent is in `stack`, in `lent`, or on its way back.
 */
#ifndef CISTERN_LIBCLIENT_BOOK_H
#define CISTERN_LIBCLIENT_BOOK_H

#include "shm/atomic.h"
#include "shm/lane.h"

#include <stdbool.h>
#include <stdint.h>

/* The books of a seat: one for each memory that it is lent slots of. */
enum book_of { BOOK_HOST, BOOK_DEVICE, BOOKS };

#define BOOK_STACK 256u /* 128 ahead and 128 for one call */

/* The caller's slot names the book that it is written in: the top word of `opaque[1]`. */
static inline uint32_t book_of_slot(const uint64_t opaque[3])
{
    return (uint32_t)(opaque[1] >> 48);
}

/* One lent slot, checked against the mapping when it arrived. */
struct book_grant {
    uint64_t generation;
    uint64_t offset;
    uint64_t bytes;
    uint32_t slot;
};

/* A slot in a caller's hands. */
struct book_lent {
    _Atomic uint32_t ticket; /* 0: this entry is free */
    struct book_grant grant; /* written before the ticket; read by who holds the ticket */
};

struct book {
    struct book_grant stack[BOOK_STACK];
    uint32_t count; /* in the stack */
    uint32_t asked; /* of the request under way that did not arrive yet; 0: none is under way */
    int32_t refusal; /* what the last request ended with */
    uint32_t ticket; /* the last one given */
    uint32_t lent_count; /* entries there are */
    uint32_t lent_high; /* entries that were ever used */
    struct book_lent *lent;
};

/* `lent_count`: how many slots may be in callers' hands. Returns 0 or STATUS_NO_MEMORY. */
int book_open(uint32_t lent_count, struct book *out_book);
void book_close(struct book *book);

/* A reply of type GRANT came; `mapped_bytes` is the size of the memory that it points into.
 * Returns false if it is not what was asked for, or points outside: then it is not kept. */
bool book_arrived(struct book *book, const struct reply *reply, uint64_t mapped_bytes);

/* Take a slot for a caller. Returns false if none is there, or too many are in callers' hands. */
bool book_take(struct book *book, uint32_t *out_entry, uint32_t *out_ticket);

/* A slot of a caller, if `ticket` is still good. Returns false if it was given back before. */
bool book_find(
    const struct book *book, uint32_t entry, uint32_t ticket, struct book_grant *out_grant);

/* The slot is the sidecar's again. */
void book_settle(struct book *book, uint32_t entry);

/* Are slots in callers' hands? */
bool book_any_lent(const struct book *book);

#endif
