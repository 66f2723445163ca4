/* call: a thread speaks with the server through its seat: requests out, replies in, the bell,
 * waiting.
 *
 * Called by libclient/put, libclient/claim and libclient/batch, by the thread that has the seat.
 * Always: every wait has a deadline, and ends when the sidecar is gone.
 */
#ifndef CISTERN_LIBCLIENT_CALL_H
#define CISTERN_LIBCLIENT_CALL_H

#include "libclient/core.h"
#include "libclient/moment.h"

/* The sidecar itself says that an answer is late; so much longer is waited for it, for the way. */
#define CALL_LATE_NS (20 * MOMENT_MS)

/* What came of a batch block by block, while its call waits: in that call's frame. */
struct call_parts {
    uint32_t count; /* blocks of the batch */
    uint32_t arrived;
    struct reply part[REQUEST_PARTS_MAX]; /* REPLY_NONE: not yet; else foreign, and unchecked */
};

/* `deadline_ns`, and the time for the way. */
static inline uint64_t call_late(uint64_t deadline_ns)
{
    bool never = deadline_ns > MOMENT_NEVER - CALL_LATE_NS;
    return never ? MOMENT_NEVER : deadline_ns + CALL_LATE_NS;
}

/* Send a request, waiting for room until `deadline_ns`. Rings only if the server sleeps.
 * Returns 0, STATUS_BUSY or STATUS_NO_SERVER. */
int call_send(struct cistern *handle, struct core_seat *seat, const struct request *request,
    uint64_t deadline_ns);

/* Wait until there is room for `wanted` requests; `*out_room` of them may be filled in.
 * Returns 0, STATUS_BUSY or STATUS_NO_SERVER. */
int call_room(struct cistern *handle, struct core_seat *seat, uint32_t wanted, uint64_t deadline_ns,
    uint32_t *out_room);

/* Show the requests that were filled in, and ring if the server sleeps. */
void call_show(struct core_seat *seat);

/* The answer to the request that goes out next is waited for from now on, until `lane->answered`.
 * Returns the cookie to send it with. */
uint64_t call_expect(struct core_seat *seat);

/* Take in the replies that are there: grants go to the seat's book, the answer that is waited
 * for to `lane->answer`. Never waits. Returns how many came, or STATUS_NO_SERVER if the ring is
 * broken. */
int call_take_in(struct cistern *handle, struct core_seat *seat);

/* Wait until at least one more reply was taken in.
 * Returns 0, STATUS_BUSY at the deadline, STATUS_NO_SERVER. */
int call_wait(struct cistern *handle, struct core_seat *seat, uint64_t deadline_ns);

/* Send a request and wait for the answer to it. `request->cookie` is filled in here.
 * Returns the answer's status; STATUS_BUSY at the deadline, and then the answer would be ignored;
 * STATUS_NO_SERVER. */
int call_ask(
    struct cistern *handle, struct core_seat *seat, struct request *request, uint64_t deadline_ns);

/* No answer came to the wait or the batch of `cookie`: make sure that none comes later.
 * Returns the answer's status if it came after all, STATUS_NO_SERVER, else STATUS_MISS. */
int call_cancel(struct cistern *handle, struct core_seat *seat, uint64_t cookie);

#endif
