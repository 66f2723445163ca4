/* transfer: what follows when the engine's stream got there: views released, slots committed.
 *
 *   cistern_device_read      views ─▶ copies ─▶ [the stream gets there] ─▶ released
 *   cistern_device_release   views ───────────▶ [the stream gets there] ─▶ released
 *   cistern_device_write     copies ─▶ slots ─▶ [the stream gets there] ─▶ committed
 *   cistern_device_commit              slots ─▶ [the stream gets there] ─▶ committed
 *
 * Those four are in transfer_calls, what needs the device's own memory besides in transfer_tier.
 * The driver calls back on a thread of its own when the stream is past the copies; that thread then
 * calls cistern_release() or cistern_commit() as any thread may. What it cannot do at that moment
 * (no seat is free, the sidecar is behind) waits in `late` for the next call on the device. Always:
 * a view is pinned, and a slot lent, until the stream has passed its copies; no lock of ours is
 * held around a call of the driver.
 */
#ifndef CISTERN_LIBCLIENT_TRANSFER_H
#define CISTERN_LIBCLIENT_TRANSFER_H

#include "cuda/copy.h"
#include "cuda/pagelock.h"
#include "libclient/core.h"
#include "libclient/include/cistern_device.h"

/* A pool that this device has page-locked. The pool's mapping stays while it is. */
struct transfer_lock {
    struct mapping *mapping; /* a user of it is ours */
    struct pagelock pages;
    char why[192]; /* what page-locking said */
    struct transfer_lock *next;
};

/* What happens when a stream got there. In one allocation, with its arrays. */
struct transfer_job {
    struct cistern_device *device;
    struct transfer_job *next; /* in `pending`, or in `late` */
    struct transfer_job *before; /* in `pending` */
    size_t count;
    size_t at; /* slots before it are committed */
    struct cistern_view *views; /* a read's, else NULL */
    struct cistern_slot *slots; /* a write's, else NULL */
    struct cistern_key *keys; /* of the slots */
    uint64_t *bytes; /* of the slots */
    struct cistern_key parent;
    bool has_parent;
    bool gone; /* given up by transfer_look(), and in no list any more */
};

struct cistern_device {
    struct cistern *handle;
    struct card own; /* open if it is none of the handle's */
    const struct card *card; /* the handle's, or our own */
    char about[320];
    _Atomic uint32_t locked; /* id of the attachment whose pool was looked at last */
    _Atomic uint32_t lost; /* 1: the device failed, nothing is called back any more */
    pthread_mutex_t opening; /* one thread page-locks; guards `locks` */
    struct transfer_lock *locks;
    pthread_mutex_t lock; /* guards all that follows */
    pthread_cond_t settled; /* a job is over */
    struct transfer_job *pending; /* their streams have not got there */
    struct transfer_job *late; /* theirs have */
};

/* Page-lock the pool of an attachment, if it is not. Never fails: copies work without. */
void transfer_lock_pool(struct cistern_device *device, struct attach *attach);

/* Is it the device whose memory the handle maps? */
static inline bool transfer_in_place(const struct cistern_device *device)
{
    return device->card == &device->handle->card;
}

/* What the four begin with: a job of `count` blocks, with room for views or for slots. On success
 * the device's context is entered. Returns 0, STATUS_FORKED, STATUS_NO_MEMORY or
 * STATUS_DEVICE_LOST. */
int transfer_begin(struct cistern_device *device, size_t count, bool write,
    struct transfer_job **out_job, struct driver_context **out_former);

/* And end with: all is in the stream (`status` 0), or not: be called behind it, or wait for it; and
 * leave the context. Whatever is returned, the job is no longer the caller's, and after anything
 * but 0 its views and slots are. */
int transfer_follow(struct cistern_device *device, struct transfer_job *job, void *stream,
    int status, struct driver_context *former);

/* Settle what waited in `late`. Returns true if nothing is under way, nor late. */
bool transfer_settle(struct cistern_device *device);

/* After a look at the device: if it is lost, end what is pending: views are released, slots stay
 * lent until the handle is closed. */
void transfer_look(struct cistern_device *device);

/* Wait for all streams, unless the device is lost, and settle. What cannot be settled then is given
 * up: its slots stay lent until the handle is closed. */
void transfer_end(struct cistern_device *device);

#endif
