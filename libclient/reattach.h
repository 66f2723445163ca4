/* reattach: whether a sidecar serves the handle now: the first attach, a loss, and every attach
 * after it.
 *
 * Called by libclient/open, and by every call off its fast path: on entry while no sidecar
 * serves the handle, on a changed epoch, while it waits, and now and then on a miss.
 *
 *   attached ──(epoch changed, hang-up, wild ring)──▶ detached ──(tries)──▶ attached
 *   tries: every 2 ms for a second, because a sidecar with a keeper is back by then; after it at
 *   10 ms, 20 ms … 1 s
 *
 * Always: one thread at a time tries, no caller is kept longer than 20 ms, and what threads
 * still use of an older attachment stays mapped. When nothing of it is in use any more, the next
 * sidecar is told, which may hold its lane and what was lent through it.
 */
#ifndef CISTERN_LIBCLIENT_REATTACH_H
#define CISTERN_LIBCLIENT_REATTACH_H

#include "libclient/core.h"

/* Attach for the first time, by `deadline_ns`. Returns as cistern_open(). */
int reattach_first(struct cistern *handle, uint64_t deadline_ns);

/* Try again, if it is time to. Returns 0 if a sidecar serves the handle now, else
 * STATUS_NO_SERVER. */
int reattach_try(struct cistern *handle);

/* The sidecar of `attach` is gone. Safe to call twice. Returns STATUS_NO_SERVER. */
int reattach_lost(struct cistern *handle, struct attach *attach);

/* The device is lost, and the sidecar lives: leave an attachment that has the device, if it is the
 * current one. The next one is without. */
void reattach_leave(struct cistern *handle);

/* Has the sidecar hung up, or raised its epoch? One system call.
 * Returns 0, or reattach_lost()'s status. */
int reattach_look(struct cistern *handle, struct attach *attach);

/* The same, at most every 50 ms; for misses. */
void reattach_glance(struct cistern *handle, struct attach *attach);

/* Unmap old attachments that nothing uses any more, and tell the sidecar. Under the handle's
 * lock. */
void reattach_sweep(struct cistern *handle);

/* The attachment with this number, or NULL. Under the handle's lock. */
struct attach *reattach_find(struct cistern *handle, uint32_t id);

/* Give all attachments back; by cistern_close(). */
void reattach_close(struct cistern *handle, bool forked);

#endif
