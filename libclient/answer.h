/* answer: the asynchronous waits and fetches of a handle, and what came of them.
 *
 * Filled by libclient/claim and libclient/fetch, emptied by libclient/drain, answered with
 * NO_SERVER by libclient/reattach when the sidecar that was asked is gone. The two calls of those
 * who ask take the handle's lock; all others are under it.
 */
#ifndef CISTERN_LIBCLIENT_ANSWER_H
#define CISTERN_LIBCLIENT_ANSWER_H

#include "libclient/core.h"

/* Note a wait: `asked` says all but its number; its status is the answer if that is known already.
 * Sets the number to ask with, or 0 if the answer waits for cistern_drain(): it is known, or the
 * sidecar that would be asked is gone. Returns 0, STATUS_LIMIT or STATUS_NO_MEMORY. */
int answer_expect(struct cistern *handle, const struct core_wait *asked, uint64_t *out_number);

/* The wait `number` was sent, with this status. Returns what its caller is told: STATUS_BUSY if it
 * never went out, and then it is forgotten; else STATUS_PENDING, because a sidecar that went away
 * meanwhile is an answer, too, which comes through cistern_drain(). */
int answer_sent(struct cistern *handle, uint64_t number, int status);

/* An event of an attachment's ring. Returns false if nobody waits for it. */
bool answer_take(struct cistern *handle, uint32_t attach, const struct reply *reply,
    struct cistern_event *out_event);

/* Take an answer that was ready here. Returns false if there is none. */
bool answer_take_ready(struct cistern *handle, struct cistern_event *out_event);

/* All waits of an attachment end with NO_SERVER. */
void answer_lost(struct cistern *handle, uint32_t attach);

/* Make cistern_fd() readable from here, or let the lane alone decide. */
void answer_nudge(struct cistern *handle, bool readable);

#endif
