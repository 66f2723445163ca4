/* reserve: slots of the sidecar for a caller to fill.
 *
 * Slots are lent ahead, so a reserve takes one from this thread's book and asks for more in
 * passing. Only a reserve of more than was lent waits. */
#include "libclient/reserve.h"

#include "libclient/call.h"
#include "libclient/moment.h"
#include "libclient/thread.h"
#include "libclient/why.h"
#include "shm/status.h"

#define RESERVE_MAX 128u
#define EXIT_NS (2 * MOMENT_MS)

/* Ask for slots, if none are under way. Returns 0, STATUS_BUSY or STATUS_NO_SERVER. */
static int ask(struct cistern *handle, struct core_seat *seat, enum book_of which, uint32_t count,
    uint64_t deadline_ns)
{
    struct book *book = &seat->lane->books[which];
    if (book->asked > 0 || count == 0) {
        return STATUS_OK;
    }
    count = count > LANE_REPLIES / 2 ? LANE_REPLIES / 2 : count;
    struct request request = {
        .type = REQUEST_GRANT,
        .flags = which == BOOK_DEVICE ? REQUEST_DEVICE : 0,
        .count = count,
        .cookie = ++seat->lane->cookie,
    };
    int status = call_send(handle, seat, &request, deadline_ns);
    if (status == STATUS_OK) {
        book->asked = count;
        book->refusal = STATUS_OK;
    }
    return status;
}

/* Fill the book up again when it is half empty. Never waits. */
static void ask_ahead(struct cistern *handle, struct core_seat *seat, enum book_of which)
{
    const struct book *book = &seat->lane->books[which];
    if (book->count + book->asked <= handle->grants_ahead / 2) {
        (void)ask(handle, seat, which, handle->grants_ahead - book->count, 0);
    }
}

/* Wait until a slot is there. Returns 0, STATUS_BUSY, STATUS_NO_SERVER, or the sidecar's
 * refusal. */
static int wait_for_grant(struct cistern *handle, struct core_seat *seat, enum book_of which,
    uint32_t missing, uint64_t deadline_ns)
{
    struct book *book = &seat->lane->books[which];
    bool refused_before = book->asked > 0; /* an earlier request's refusal is not this call's */
    while (book->count == 0) {
        int status = ask(handle, seat, which, missing, deadline_ns);
        if (status == STATUS_OK) {
            status = call_wait(handle, seat, deadline_ns);
        }
        if (status == STATUS_NO_SERVER) {
            return status;
        }
        if (status == STATUS_BUSY) {
            return why_failed(status, "the sidecar lent no slot in time");
        }
        if (book->count == 0 && book->asked == 0) {
            if (!refused_before) {
                status = book->refusal == STATUS_OK ? STATUS_BUSY : book->refusal;
                return why_failed(status, "the sidecar lends no slot: %s", status_meaning(status));
            }
            refused_before = false;
        }
    }
    return STATUS_OK;
}

static void fill_slot(const struct core_seat *seat, enum book_of which, uint32_t entry,
    uint32_t ticket, struct cistern_slot *out_slot)
{
    const struct attach *attach = seat->attach;
    const struct book_grant *grant = &seat->lane->books[which].lent[entry].grant;
    out_slot->data = which == BOOK_HOST
                         ? attach->grant_base + grant->offset
                         : (char *)(uintptr_t)slabs_at(attach->slabs, grant->offset, grant->bytes);
    out_slot->bytes = grant->bytes;
    out_slot->opaque[0] = (uint64_t)attach->id << 32 | ticket;
    out_slot->opaque[1] = (uint64_t)which << 48 | (uint64_t)seat->index << 32 | entry;
    out_slot->opaque[2] = grant->generation;
}

static int reserve(struct cistern *handle, struct core_seat *seat, enum book_of which, size_t count,
    uint64_t deadline_ns, struct cistern_slot *out_slots, size_t *out_count)
{
    struct book *book = &seat->lane->books[which];
    if (call_take_in(handle, seat) < 0) {
        return STATUS_NO_SERVER;
    }
    int status = STATUS_OK;
    bool waited = false;
    size_t done = 0;
    while (done < count && status == STATUS_OK) {
        if (book->count == 0) {
            waited = true;
            status = wait_for_grant(handle, seat, which, (uint32_t)(count - done), deadline_ns);
            continue;
        }
        uint32_t entry;
        uint32_t ticket;
        if (!book_take(book, &entry, &ticket)) {
            status = why_failed(
                STATUS_LIMIT, "%u slots are in the caller's hands already", book->lent_count);
            break;
        }
        fill_slot(seat, which, entry, ticket, &out_slots[done++]);
    }
    core_count(seat, CORE_GRANT_WAITS, waited ? 1 : 0);
    if (status != STATUS_NO_SERVER) {
        ask_ahead(handle, seat, which);
    }
    if (done == 0) {
        return status;
    }
    *out_count = done;
    return STATUS_OK;
}

int reserve_slots(struct cistern *handle, enum book_of which, const char *what, size_t count,
    int64_t timeout_ns, struct cistern_slot *out_slots, size_t *out_count)
{
    if (handle == NULL || out_slots == NULL || out_count == NULL) {
        return why_failed(STATUS_INVALID, "%s: an argument is NULL", what);
    }
    if (count == 0 || count > RESERVE_MAX || timeout_ns < 0) {
        return why_failed(
            STATUS_INVALID, "%s: count is not 1 to %u, or timeout_ns below 0", what, RESERVE_MAX);
    }
    struct core_seat *seat;
    int status = thread_enter(handle, &seat);
    if (status != STATUS_OK) {
        return status;
    }
    if (which == BOOK_DEVICE && seat->attach->slabs == NULL) {
        return why_failed(STATUS_UNSUPPORTED, "%s", seat->attach->device_why);
    }
    if (which == BOOK_DEVICE && (handle->flags & CISTERN_DEVICE_READ) != 0) {
        return why_failed(
            STATUS_UNSUPPORTED, "%s: the handle is open with CISTERN_DEVICE_READ", what);
    }
    return reserve(handle, seat, which, count, moment_after_ns(timeout_ns), out_slots, out_count);
}

int cistern_reserve(cistern_t *handle, size_t count, int64_t timeout_ns,
    struct cistern_slot *out_slots, size_t *out_count)
{
    return reserve_slots(
        handle, BOOK_HOST, "cistern_reserve", count, timeout_ns, out_slots, out_count);
}

static void give_back(
    struct cistern *handle, struct core_seat *seat, struct book *book, uint64_t deadline)
{
    int status = call_take_in(handle, seat) < 0 ? STATUS_NO_SERVER : STATUS_OK;
    while (status == STATUS_OK && book->asked > 0) {
        status = call_wait(handle, seat, deadline);
    }
    /* What cannot be sent now, or arrives later, serves the next thread of this seat. */
    while (status != STATUS_NO_SERVER && book->count > 0) {
        const struct book_grant *grant = &book->stack[book->count - 1];
        struct request request = {
            .type = REQUEST_ABORT, .slot = grant->slot, .generation = grant->generation};
        status = call_send(handle, seat, &request, deadline);
        if (status != STATUS_OK) {
            break;
        }
        book->count--;
    }
}

void reserve_return(struct cistern *handle, struct core_seat *seat)
{
    uint64_t deadline = moment_now_ns() + EXIT_NS;
    for (uint32_t which = 0; which < BOOKS; which++) {
        give_back(handle, seat, &seat->lane->books[which], deadline);
    }
}
