/* loop: the server's one event loop: waits until a descriptor can be read or hangs up.
 *
 * Two backends behind loop_backend.h: io_uring, and epoll where io_uring is refused. Owned by the
 * server; every call comes from the thread that opened it. Always: no callback of a watch comes
 * after loop_unwatch() of it, and a turn does a bounded amount of work.
 */
#ifndef CISTERN_SIDECAR_LOOP_H
#define CISTERN_SIDECAR_LOOP_H

#include <stddef.h>
#include <stdint.h>

struct loop;
struct loop_watch;

enum loop_choice { LOOP_AUTO, LOOP_URING, LOOP_EPOLL }; /* as `io` in config.def */

enum loop_kind {
    LOOP_LEVEL, /* called again in every turn until it was read empty */
    LOOP_EDGE /* called once a write; for bells, which nobody reads */
};

/* What a callback is told, together. */
#define LOOP_READABLE 1u
#define LOOP_HANGUP 2u /* the other side closed; a last message may still be there to read */
#define LOOP_BROKEN 4u /* the descriptor failed: unwatch it */

typedef void loop_callback(void *context, uint32_t what);

/* Open on the thread that will turn it. LOOP_AUTO and LOOP_URING both fall back to epoll if
 * io_uring is refused. `why` then says what was chosen, why, and the remedy (also on success).
 * Returns 0, STATUS_IO or STATUS_NO_MEMORY. */
int loop_open(struct loop **out_loop, enum loop_choice choice, char *why, size_t why_bytes);

/* "io_uring" or "epoll". */
const char *loop_name(const struct loop *loop);

/* Watch a descriptor; it stays the caller's and must stay open until loop_unwatch(). A descriptor
 * that is readable already is reported in the next turn, in both kinds; so may one extra call come
 * to an edge at any time.
 * Returns 0, STATUS_IO or STATUS_NO_MEMORY. */
int loop_watch(struct loop *loop, int fd, enum loop_kind kind, loop_callback *callback,
    void *context, struct loop_watch **out_watch);

/* Stop watching; the descriptor may be closed after it. Allowed in callbacks, also for a watch
 * whose own callback runs, and for one that has something to report in this turn (it no longer
 * will). Accepts NULL. */
void loop_unwatch(struct loop *loop, struct loop_watch *watch);

/* Wait, at most `timeout_ns` (0: just look; -1: until something happens), then call the callbacks.
 * A signal ends the wait. Returns how many callbacks were called, or STATUS_IO. */
int loop_turn(struct loop *loop, int64_t timeout_ns);

/* Accepts NULL. Watches that are left are freed without being called. */
void loop_close(struct loop *loop);

#endif
