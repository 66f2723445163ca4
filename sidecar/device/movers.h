/* movers: copies between host memory and all devices, behind the block layer's struct mover.
 *
 *   block/… ── start ─▶ movers ── channel ─▶ mover_thread, one a device ─▶ the device's streams
 *           ◀── poll ──        ◀── channel ──
 *
 * Owned by the server; called on its thread alone, which never waits here but in movers_close().
 * Always: every copy that was accepted is answered once; but for those that a lost device has, of
 * which nobody can say that they are over (mover_thread.h). Who sees movers_lost() ends the
 * process: with it goes the context, and with the context its copies.
 */
#ifndef CISTERN_SIDECAR_DEVICE_MOVERS_H
#define CISTERN_SIDECAR_DEVICE_MOVERS_H

#include "sidecar/block/move.h"
#include "sidecar/device/devices.h"
#include "sidecar/device/mover_thread.h"

#define MOVERS_CLOSE_NS UINT64_C(3000000000) /* for copies under way, at a stop */

struct movers {
    struct mover_thread *thread[SLOT_DEVICES]; /* owned; NULL: no copies of that device */
    uint32_t count; /* 0: not open */
    uint32_t turn; /* whose answers are taken first */
    struct mover_lock lock;
    int event_fd;
    bool said; /* what became of the page-locking was logged */
};

/* Start a thread for each device that has memory; there is a device. `host` is the pool, which
 * stays mapped until movers_close() returned true; the first thread locks its pages, and copies
 * wait for that. `out` stays where it is. Returns 0; or STATUS_NO_MEMORY and `why`, and nothing is
 * held. */
int movers_open(struct movers *out, const struct devices *devices, void *host, uint64_t host_bytes,
    char *why, size_t why_bytes);

/* Rings when answers come to who sleeps, or a device is lost: for loop_watch(), LOOP_EDGE. */
int movers_fd(const struct movers *movers);

/* What the block layer is given. */
struct mover movers_mover(struct movers *movers);

/* Is a device lost? Then this process can do nothing with it any more: `*out_number` is the first,
 * `*out_why` says why. */
bool movers_lost(const struct movers *movers, uint32_t *out_number, const char **out_why);

/* Now and then: log what the threads found. */
void movers_tick(struct movers *movers, struct log *log);

bool movers_locked(const struct movers *movers); /* is the host pool page-locked? */

/* Wait for what is under way, MOVERS_CLOSE_NS at most, and end. Returns false if a thread hangs in
 * the driver: then nothing that it uses may be closed or unmapped, and the process is to end.
 * Accepts movers that are not open. */
bool movers_close(struct movers *movers);

#endif
