/* reserve: slots of the sidecar for a caller to fill, of host memory or of the device. For
 * libclient/transfer_tier, and for libclient/thread when a thread exits. */
#ifndef CISTERN_LIBCLIENT_RESERVE_H
#define CISTERN_LIBCLIENT_RESERVE_H

#include "libclient/core.h"

/* cistern_reserve(), with slots of one of the memories. `what`: the name of the call. Returns as it
 * does; STATUS_UNSUPPORTED if there is no device. */
int reserve_slots(struct cistern *handle, enum book_of which, const char *what, size_t count,
    int64_t timeout_ns, struct cistern_slot *out_slots, size_t *out_count);

/* Give all unused slots of an exiting thread back; waits a few milliseconds at most. */
void reserve_return(struct cistern *handle, struct core_seat *seat);

#endif
