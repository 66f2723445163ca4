/* attach: one attachment to a sidecar: its memory as this process maps it, and the seats' ends
 * of it.
 *
 * Made by libclient/reattach from a checked welcome; read by every call. Owned by the handle. An
 * old one, whose sidecar is gone, stays mapped until no thread uses it, no pin stands in its
 * lane and no slot of it is in a caller's hands. Always: nothing that a sidecar wrote is used
 * unchecked.
 */
#ifndef CISTERN_LIBCLIENT_ATTACH_H
#define CISTERN_LIBCLIENT_ATTACH_H

#include "libclient/book.h"
#include "libclient/greet.h"
#include "libclient/mapping.h"
#include "libclient/slabs.h"
#include "shm/lane.h"
#include "shm/pin.h"
#include "shm/segment.h"

#include <stdbool.h>
#include <stdint.h>

struct call_parts;

/* One seat of an attachment, in private memory. Written by the thread that has the seat; it
 * survives that thread, because the shared rings go on where it left them. */
struct attach_lane {
    _Alignas(64) struct pin_seat pins;
    _Atomic uint32_t *tickets; /* of the last pin in each record; read by foreign releases */
    uint32_t ticket; /* the last one given */
    uint32_t touch_tail;
    struct lane_seat words;

    _Alignas(64) struct ring_writer requests;
    struct ring_reader replies;
    uint64_t cookie; /* the last one given */
    uint64_t awaited; /* the request whose answer is waited for; 0: none */
    bool answered;
    struct reply answer;
    struct call_parts *parts; /* of the batch that is waited for, in its call's frame; or NULL */
    uint64_t fence; /* the last fence that was answered */
    uint32_t rung; /* the sleep of the server that this seat rang into last */
    struct book books[BOOKS];
};

struct attach {
    /* Read by every hit; constant. */
    struct index_view index;
    uint64_t epoch;
    const char *pool;
    uint64_t pool_bytes;
    /* Slots [0, host_slots) are the pool's, [device_first, device_end) the device's. */
    uint32_t host_slots;
    uint32_t device_first;
    uint32_t device_end; /* 0: no device */
    uint32_t id; /* of this handle, from 1 */
    uint32_t session; /* the sidecar's number for it */
    uint16_t space;
    uint8_t device_tier; /* what the device's descriptors say */
    bool isolated;
    struct slabs *slabs; /* NULL: no device, because: */
    int device_status;
    char device_why[HELLO_WHY];
    char *grant_base; /* what grants point into: the pool, or private staging */
    uint64_t grant_bytes;
    struct lane_shape shape;
    struct attach_lane *lanes; /* `shape.seats` */

    int socket;
    int bell;
    struct lane_client_header *client;
    struct lane_server_header *server;
    struct segment segments[HELLO_FD_MAX]; /* by enum hello_fd; the bell's and the pool's: none */
    struct mapping *mapping; /* of the pool */

    /* Under the handle's lock. */
    struct ring_reader events;
    uint32_t users; /* threads that work on it */
    struct attach *next; /* of the old ones */
};

/* What a new attachment may use again: the caller's, with a user more that is the attachment's if
 * it does. And the device to map, which the hello asked for. Each may be NULL. */
struct attach_known {
    struct mapping *mapping;
    struct slabs *slabs;
    const struct gpu *gpu;
    bool writable; /* how slabs are mapped */
};

/* Check a welcome against what was asked, and map what it brought. Takes the gift over in any case.
 * A device's memory that cannot be mapped does no harm: `slabs` is NULL then.
 * Returns 0, STATUS_MALFORMED, STATUS_VERSION, STATUS_IO or STATUS_NO_MEMORY. */
int attach_open(const struct hello *hello, struct greet_gift *gift, uint32_t id,
    const struct attach_known *known, struct attach **out_attach);

/* The device's part of a welcome; in attach_device.c. What of it does not fit what was asked, or
 * each other? Returns NULL, or what does not; and how many descriptors it brings. */
const char *attach_device_fault(const struct hello *hello, const struct welcome *welcome);
uint32_t attach_device_fds(const struct welcome *welcome);

/* Map it, at the end of attach_open(). `fds`: its descriptors. */
void attach_device_map(struct attach *attach, const struct hello *hello,
    const struct welcome *welcome, const int *fds, const struct attach_known *known);

/* Is nothing of an attachment in use any more: no thread, no pin, no slot? Under the handle's
 * lock. */
bool attach_is_idle(const struct attach *attach);

/* Unmap, say goodbye and close. `forked`: in a child, which has no lanes and nothing to say. The
 * device's memory was let go by the caller. Accepts NULL. */
void attach_close(struct attach **attach, bool forked);

#endif
