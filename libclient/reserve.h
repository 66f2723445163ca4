/* reserve: what a thread's seat still holds of the sidecar's slots. For libclient/thread. */
#ifndef CISTERN_LIBCLIENT_RESERVE_H
#define CISTERN_LIBCLIENT_RESERVE_H

#include "libclient/core.h"

/* Give all unused slots of an exiting thread back; waits a few milliseconds at most. */
void reserve_return(struct cistern *handle, struct core_seat *seat);

#endif
