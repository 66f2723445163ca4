/* call: a thread speaks with the server through its seat: requests out, replies in, the bell,
 * waiting.
 *
 * Called by libclient/put and libclient/claim, by the thread that has the seat. Always: every
 * wait has a deadline, and ends when the sidecar is gone.
 */
#ifndef CISTERN_LIBCLIENT_CALL_H
#define CISTERN_LIBCLIENT_CALL_H

#include "libclient/core.h"

/* Send a request, waiting for room until `deadline_ns`. Rings only if the server sleeps.
 * Returns 0, STATUS_BUSY or STATUS_NO_SERVER. */
int call_send(struct cistern *handle, struct core_seat *seat, const struct request *request,
    uint64_t deadline_ns);

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

#endif
