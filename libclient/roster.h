/* roster: the open handles of this process.
 *
 * Called by libclient/open, and by libclient/thread when a thread exits that may have outlived a
 * handle. Always: a handle's id is never used again; a handle in the roster is whole.
 */
#ifndef CISTERN_LIBCLIENT_ROSTER_H
#define CISTERN_LIBCLIENT_ROSTER_H

#include "libclient/core.h"

/* Give the handle its id and make it known. Returns 0 or STATUS_NO_MEMORY. */
int roster_add(struct cistern *handle);

/* From here on no exiting thread touches the handle. */
void roster_remove(struct cistern *handle);

/* Hold the roster while one of its handles is used. */
void roster_hold(void);
void roster_let_go(void);

/* The open handle with this id, or NULL; while the roster is held. */
struct cistern *roster_find(uint64_t id);

#endif
