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
    struct book grants;
};

struct attach {
    /* Read by every hit; constant. */
    struct index_view index;
    uint64_t epoch;
    const char *pool;
    uint64_t pool_bytes;
    uint32_t id; /* of this handle, from 1 */
    uint32_t session; /* the sidecar's number for it */
    uint16_t space;
    bool isolated;
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

/* Check a welcome against what was asked, and map what it brought. Takes the gift over in any case.
 * If the pool is that of `known` (NULL: none), that mapping is used, and a user of it that the
 * caller added before is the attachment's then.
 * Returns 0, STATUS_MALFORMED, STATUS_VERSION, STATUS_IO or STATUS_NO_MEMORY. */
int attach_open(const struct hello *hello, struct greet_gift *gift, uint32_t id,
    struct mapping *known, struct attach **out_attach);

/* Is nothing of an attachment in use any more: no thread, no pin, no slot? Under the handle's
 * lock. */
bool attach_is_idle(const struct attach *attach);

/* Unmap, say goodbye and close. `forked`: in a child, which has no lanes and nothing to say.
 * Accepts NULL. */
void attach_close(struct attach **attach, bool forked);

#endif
