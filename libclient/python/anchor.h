/* anchor: the handle of a Python client, and what must be over before it is closed.
 *
 * Called by binding.c, lease.c. No Python in here: the last user of a block may be a thread of an
 * engine that never heard of Python's lock. Always: the handle is closed by whoever drops the last
 * use, so no other thread is inside a call on it then.
 */
#ifndef CISTERN_LIBCLIENT_PYTHON_ANCHOR_H
#define CISTERN_LIBCLIENT_PYTHON_ANCHOR_H

#include <cistern.h>
#include <cistern_device.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A slot that could not be given back yet: the sidecar was behind, or the thread had no seat. */
struct anchor_late {
    struct cistern_slot slot;
    struct anchor_late *next;
};

struct anchor {
    cistern_t *handle;
    _Atomic uint32_t users; /* an open client, calls under way, leases */
    struct anchor_late *_Atomic late;
    bool read_only; /* the pool is mapped so that nobody here can write to it */
    cistern_device_t *device; /* NULL: views of a GPU's memory cannot be handed out */
    int ordinal; /* this process's number of it */
};

/* The handle becomes the anchor's. Returns NULL if there is no memory. Its maker is a user. */
struct anchor *anchor_open(cistern_t *handle, bool read_only);

/* Be ready to hand out views of the handle's device, if it has one. Once, before others use it. */
void anchor_open_device(struct anchor *anchor);

/* One more user; the caller is one, or holds what one holds. */
void anchor_take(struct anchor *anchor);

/* One user less; the last one closes the handle, which may take milliseconds. */
void anchor_drop(struct anchor *anchor);

/* Give a slot back unused, now or at the next anchor_settle(). Any thread. */
void anchor_give_back(struct anchor *anchor, const struct cistern_slot *slot);

/* Give back what could not be given back before. */
void anchor_settle(struct anchor *anchor);

#endif
