/* commit: what becomes of a reserved slot: published under a key, or given back.
 *
 * One ring entry, no answer. A slot is committed by any thread, once: the book that it came from
 * knows whether it is still in the caller's hands. */
#include "libclient/call.h"
#include "libclient/hit.h"
#include "libclient/moment.h"
#include "libclient/reattach.h"
#include "libclient/thread.h"
#include "libclient/why.h"
#include "shm/status.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SEND_NS (100 * MOMENT_MS) /* how long a full request ring is waited for */

/* The book that a slot is written in, by its numbers alone. */
struct lent_place {
    uint32_t attach;
    uint32_t ticket;
    uint32_t seat;
    uint32_t book; /* enum book_of */
    uint32_t entry;
};

static struct lent_place place_of(const struct cistern_slot *slot)
{
    return (struct lent_place){
        .attach = (uint32_t)(slot->opaque[0] >> 32),
        .ticket = (uint32_t)slot->opaque[0],
        .seat = (uint32_t)(slot->opaque[1] >> 32) & 0xffff,
        .book = book_of_slot(slot->opaque),
        .entry = (uint32_t)slot->opaque[1],
    };
}

/* The book of an attachment, or NULL if it has none such. */
static struct book *book_at(const struct attach *attach, const struct lent_place *place)
{
    return place->seat < attach->shape.seats && place->book < BOOKS
               ? &attach->lanes[place->seat].books[place->book]
               : NULL;
}

/* Strike a slot of an older attachment off: its sidecar is gone, its memory may go. */
__attribute__((cold, noinline)) static int settle_old(
    struct cistern *handle, const struct lent_place *place)
{
    int status = STATUS_STALE;
    (void)pthread_mutex_lock(&handle->lock);
    struct attach *attach = reattach_find(handle, place->attach);
    struct book *book = attach == NULL ? NULL : book_at(attach, place);
    struct book_grant grant;
    if (book != NULL && book_find(book, place->entry, place->ticket, &grant)) {
        book_settle(book, place->entry);
        status = STATUS_NO_SERVER;
    }
    reattach_sweep(handle);
    (void)pthread_mutex_unlock(&handle->lock);
    card_sweep(handle);
    return status == STATUS_STALE ? why_failed(status, "the slot was committed or aborted before")
                                  : why_failed(status, "the sidecar that lent the slot is gone");
}

/* Find the book and the grant of a slot that is in a caller's hands.
 * Returns 0, STATUS_STALE, STATUS_NO_SERVER and the like. */
static int find_lent(struct cistern *handle, const struct cistern_slot *slot,
    struct core_seat **out_seat, struct book **out_book, struct book_grant *out_grant)
{
    struct lent_place place = place_of(slot);
    struct core_seat *seat = NULL;
    int status = thread_enter(handle, &seat);
    if (status == STATUS_NO_SERVER || (status == STATUS_OK && seat->attach->id != place.attach)) {
        return settle_old(handle, &place);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct book *book = book_at(seat->attach, &place);
    if (book == NULL) {
        return why_failed(STATUS_STALE, "the slot is none of this handle");
    }
    if (!book_find(book, place.entry, place.ticket, out_grant)) {
        return why_failed(STATUS_STALE, "the slot was committed or aborted before");
    }
    *out_seat = seat;
    *out_book = book;
    return STATUS_OK;
}

/* Send what becomes of a slot; it stays the caller's if that fails while the sidecar lives. */
static int send_slot(struct cistern *handle, struct core_seat *seat, struct book *book,
    const struct request *request, struct cistern_slot *slot)
{
    int status = call_send(handle, seat, request, moment_now_ns() + SEND_NS);
    if (status == STATUS_BUSY) {
        return status;
    }
    book_settle(book, place_of(slot).entry);
    *slot = (struct cistern_slot){0};
    return status;
}

int cistern_commit(cistern_t *handle, struct cistern_slot *slot, const struct cistern_key *key,
    const struct cistern_key *parent, uint64_t bytes)
{
    if (handle == NULL || slot == NULL || key == NULL || bytes == 0) {
        return why_failed(STATUS_INVALID, "cistern_commit: an argument is NULL, or bytes is 0");
    }
    struct core_seat *seat;
    struct book *book;
    struct book_grant grant;
    int status = find_lent(handle, slot, &seat, &book, &grant);
    if (status != STATUS_OK) {
        return status;
    }
    if (bytes > grant.bytes) {
        return why_failed(STATUS_TOO_LARGE, "%llu bytes in a slot of %llu",
            (unsigned long long)bytes, (unsigned long long)grant.bytes);
    }
    struct request request = {
        .type = REQUEST_COMMIT,
        .slot = grant.slot,
        .generation = grant.generation,
        .bytes = bytes,
        .key = hit_key(key),
    };
    if (parent != NULL) {
        request.flags |= REQUEST_PARENT;
        request.parent = hit_key(parent);
    }
    /* Of a device none: no processor reads the bytes. */
    if ((handle->flags & CISTERN_CHECKSUM) != 0 && book_of_slot(slot->opaque) == BOOK_HOST) {
        request.flags |= REQUEST_CHECKSUM;
        request.checksum = XXH3_64bits(seat->attach->grant_base + grant.offset, bytes);
    }
    status = send_slot(handle, seat, book, &request, slot);
    core_count(seat, CORE_COMMITS, status == STATUS_OK ? 1 : 0);
    return status;
}

int cistern_abort(cistern_t *handle, struct cistern_slot *slot)
{
    if (handle == NULL || slot == NULL) {
        return why_failed(STATUS_INVALID, "cistern_abort: an argument is NULL");
    }
    struct core_seat *seat;
    struct book *book;
    struct book_grant grant;
    int status = find_lent(handle, slot, &seat, &book, &grant);
    if (status != STATUS_OK) {
        return status;
    }
    struct request request = {
        .type = REQUEST_ABORT, .slot = grant.slot, .generation = grant.generation};
    status = send_slot(handle, seat, book, &request, slot);
    core_count(seat, CORE_ABORTS, status == STATUS_OK ? 1 : 0);
    return status;
}
