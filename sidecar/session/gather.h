/* gather: the requests of a fetch, one block each, become a batch.
 *
 * Called by handle. Every field is the client's word. A batch is one cookie, and a `count` that
 * goes down to 0; one that breaks this is refused as a whole, and answered where it ends. One that
 * its client gives up half-way (another FETCH of the seat, a CANCEL) is forgotten. Always: what a
 * batch may still answer has room in the seat's reply ring: at most GATHER_OWED_MAX replies are
 * owed at one time, and dispatch handles no request that would take their room.
 */
#ifndef CISTERN_SIDECAR_SESSION_GATHER_H
#define CISTERN_SIDECAR_SESSION_GATHER_H

#include "shm/lane.h"

#include <stdbool.h>
#include <stdint.h>

/* Of LANE_REPLIES. One batch of REQUEST_PARTS_MAX parts fits; the rest is left to answers of other
 * requests, so that only a grant of more than 94 slots waits until such a batch is over. */
#define GATHER_OWED_MAX 160u

static_assert(GATHER_OWED_MAX > REQUEST_PARTS_MAX && GATHER_OWED_MAX < LANE_REPLIES,
    "a batch of parts fits, and so do other answers");

struct session;

/* What a seat is sending. */
struct gather {
    uint64_t cookie;
    uint32_t follow; /* `count` of the request that goes on with it */
    uint32_t batch; /* FETCH_BATCH_NONE: refused; its end is answered with `status` */
    int32_t status;
    bool open;
    bool event; /* answered in the event ring */
};

/* One REQUEST_FETCH. Returns NULL, or what was wrong with it. */
const char *gather_request(struct session *session, uint32_t seat, const struct request *request);

/* Forget the batch of this cookie, unanswered, if it is answered in this seat's reply ring. */
void gather_cancel(struct session *session, uint32_t seat, uint64_t cookie);

#endif
