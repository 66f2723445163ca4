/* lease: blocks that are pinned, or slots that are lent, and who still looks at each.
 *
 * A look is an exported buffer or tensor, or the Python object that the lease was made for. With
 * the last look at a block its pin ends; with the last look at a slot that was not committed the
 * slot goes back. Looks may end in any thread, with or without Python's lock. Always: memory that
 * somebody looks at is pinned or lent, and its handle open.
 */
#ifndef CISTERN_LIBCLIENT_PYTHON_LEASE_H
#define CISTERN_LIBCLIENT_PYTHON_LEASE_H

#include "libclient/python/anchor.h"

#include <stdbool.h>
#include <stddef.h>

struct lease {
    struct anchor *anchor; /* used by this until `live` is 0 */
    _Atomic uint32_t users; /* objects that have a pointer to this; a look is one */
    _Atomic uint32_t live; /* blocks or slots that somebody looks at */
    uint32_t count; /* of views or slots */
    struct cistern_view *views; /* NULL: it holds slots */
    struct cistern_slot *slots; /* NULL: it holds views */
    uintptr_t *streams; /* of each view: 0, or 1 + the stream that reads it in a GPU's memory */
    _Atomic uint32_t looks[];
};

/* Room for `room` views or slots, to be given to lease_fill() once. The caller is a user. Returns
 * NULL if there is no memory. */
struct lease *lease_open(struct anchor *anchor, uint32_t room, bool of_slots);

/* The first `count` were filled: the caller looks at each of them. 0: none, and that is all. */
void lease_fill(struct lease *lease, uint32_t count);

/* One more, or one less, object with a pointer to it. */
void lease_hold(struct lease *lease);
void lease_let_go(struct lease *lease);

/* Look at block or slot `index`; each look is a user. Returns false if it is over already. */
bool lease_look(struct lease *lease, uint32_t index);
void lease_look_away(struct lease *lease, uint32_t index);

/* The same for a block in a GPU's memory that `stream` reads: its pin ends when the stream has
 * passed what it was asked by then. Under Python's lock. Returns 0; CISTERN_STALE: it is over;
 * CISTERN_BUSY: another stream reads it already; CISTERN_UNSUPPORTED: the client has no device. */
int lease_look_on(struct lease *lease, uint32_t index, void *stream);

/* The maker's look at one, or at all blocks, ends; its use of the lease does not. */
void lease_leave(struct lease *lease, uint32_t index);
void lease_leave_all(struct lease *lease);

/* Does somebody look at it? */
bool lease_is_live(const struct lease *lease, uint32_t index);

/* Publish slot `index`, if the caller is the only one who looks at it; its look then is over, also
 * after most failures. Returns as cistern_commit(); CISTERN_STALE if it is over already,
 * CISTERN_PENDING if others look. */
int lease_commit(struct lease *lease, uint32_t index, const struct cistern_key *key,
    const struct cistern_key *parent, uint64_t bytes);

#endif
