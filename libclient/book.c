/* book: see book.h. */
#include "libclient/book.h"

#include "shm/status.h"

#include <assert.h>
#include <stdlib.h>

int book_open(uint32_t lent_count, struct book *out_book)
{
    assert(lent_count > 0);
    struct book_lent *lent = calloc(lent_count, sizeof *lent);
    if (lent == NULL) {
        return STATUS_NO_MEMORY;
    }
    *out_book = (struct book){.lent_count = lent_count, .lent = lent};
    return STATUS_OK;
}

void book_close(struct book *book)
{
    free(book->lent);
    *book = (struct book){0};
}

bool book_arrived(struct book *book, const struct reply *reply, uint64_t mapped_bytes)
{
    bool expected = book->asked > 0;
    if (expected) {
        book->asked = (reply->flags & REPLY_LAST) != 0 ? 0 : book->asked - 1;
    }
    if (reply->status != STATUS_OK) {
        book->refusal = reply->status;
        book->asked = 0;
        return expected;
    }
    bool inside = reply->bytes > 0 && reply->bytes <= mapped_bytes &&
                  reply->offset <= mapped_bytes - reply->bytes;
    if (!expected || !inside || book->count == BOOK_STACK) {
        return false;
    }
    book->refusal = STATUS_OK;
    book->stack[book->count++] = (struct book_grant){
        .generation = reply->generation,
        .offset = reply->offset,
        .bytes = reply->bytes,
        .slot = reply->slot,
    };
    return true;
}

/* Returns the index of a free entry, or `lent_count`. */
static uint32_t find_entry(const struct book *book)
{
    /* The lowest first, so that few lines of the table are ever touched. */
    for (uint32_t at = 0; at < book->lent_count; at++) {
        /* Acquire: whoever settled it has read the grant in it; partner: book_settle(). */
        if (shared32_load_acquire(&book->lent[at].ticket) == 0) {
            return at;
        }
    }
    return book->lent_count;
}

bool book_take(struct book *book, uint32_t *out_entry, uint32_t *out_ticket)
{
    if (book->count == 0) {
        return false;
    }
    uint32_t entry = find_entry(book);
    if (entry == book->lent_count) {
        return false;
    }
    struct book_lent *lent = &book->lent[entry];
    lent->grant = book->stack[--book->count];
    book->ticket += book->ticket == UINT32_MAX ? 2 : 1; /* never 0 */
    shared32_store_release(&lent->ticket, book->ticket);
    if (entry >= book->lent_high) {
        book->lent_high = entry + 1;
    }
    *out_entry = entry;
    *out_ticket = book->ticket;
    return true;
}

bool book_find(
    const struct book *book, uint32_t entry, uint32_t ticket, struct book_grant *out_grant)
{
    if (entry >= book->lent_count || ticket == 0 ||
        shared32_load_acquire(&book->lent[entry].ticket) != ticket) {
        return false;
    }
    *out_grant = book->lent[entry].grant;
    return true;
}

void book_settle(struct book *book, uint32_t entry)
{
    assert(entry < book->lent_count);
    shared32_store_release(&book->lent[entry].ticket, 0);
}

bool book_any_lent(const struct book *book)
{
    for (uint32_t i = 0; i < book->lent_high; i++) {
        if (shared32_load_acquire(&book->lent[i].ticket) != 0) {
            return true;
        }
    }
    return false;
}
