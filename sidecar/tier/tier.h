/* tier: where cold blocks are, behind one table of operations.
 *
 * Called by block/spill (store), block/fetch (load), tiers (poll, order) on the server's loop
 * alone. Users of the seam never see a backend. Backends: tier_file (synchronous, the reference),
 * tier_nvme (io_uring, or threads where the host refuses it), tier_fault (spoils another one).
 *
 *   store ──▶ PENDING ── poll ──▶ STORED          every accepted operation ends in exactly one
 *   load  ──▶ PENDING ── poll ──▶ (PART) LOADED   STORED or LOADED, whatever breaks; until then its
 *                         poll ──▶ FOUND, LOST    memory is the tier's to read or to write
 *
 * Always: no byte reaches a caller as LOADED with STATUS_OK that is not exactly what was stored
 * under that name (or, with a lossy codec, what that codec makes of it). A doubt is a miss.
 */
#ifndef CISTERN_SIDECAR_TIER_TIER_H
#define CISTERN_SIDECAR_TIER_TIER_H

#include "shm/layout.h"
#include "sidecar/tier/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIER_WHY 512u
#define TIER_NOTE 160u

/* The name of a block outside the pool. Keys are the clients' word, so the namespace is part of it:
 * its digest covers the descriptor and who is trusted with it (session/registry). */
struct tier_id {
    struct key key;
    uint8_t space[32];
};

/* One block to store. The bytes stay as they are until STORED. */
struct tier_block {
    struct tier_id id;
    struct codec_shape shape; /* what the bytes are, for codecs that care */
    const void *data; /* 4096-byte aligned */
    uint64_t bytes; /* 1 to 4 GiB - 1; the memory reaches to the next multiple of 4096 */
};

enum tier_urgency {
    TIER_URGENT, /* a client waits */
    TIER_AHEAD /* a prefetch: nobody waits yet */
};

/* One block to load. The memory is the tier's until LOADED. */
struct tier_wish {
    struct tier_id id;
    void *out_data; /* 4096-byte aligned; what lies there after anything but OK is undefined */
    uint64_t room; /* a multiple of 4096 */
    uint64_t part_bytes; /* the first so many bytes are wanted before the rest; 0: all at once */
    uint64_t deadline_ns; /* moment_ns(); not begun by then: LOADED with STATUS_MISS */
    enum tier_urgency urgency;
};

enum tier_event {
    TIER_STORED, /* of a store: OK; STATUS_IO; STATUS_LIMIT or BUSY: not now */
    TIER_PART, /* of a load with part_bytes: the first `bytes` are there and verified */
    TIER_LOADED, /* of a load: OK and `bytes`; MISS: gone, late or corrupt; IO: the device failed */
    TIER_FOUND, /* a block of an earlier life lies here; cookie 0 */
    TIER_LOST /* a block that was stored or found here is no more; cookie 0 */
};

struct tier_done {
    uint64_t cookie; /* as given to store or load */
    struct tier_id id;
    uint64_t bytes; /* PART, LOADED: bytes of the block that are there */
    enum tier_event event;
    int32_t status; /* enum status */
};

/* What a tier has and did; counts since it was opened. */
struct tier_health {
    bool up; /* false: it refuses everything for now; `note` says why, and the remedy */
    char note[TIER_NOTE];
    bool finding; /* what an earlier life left is still looked for: more FOUND may come */
    uint64_t capacity_bytes;
    uint64_t used_bytes;
    uint64_t blocks; /* held now */
    uint64_t stores; /* done */
    uint64_t loads; /* done, with OK */
    uint64_t stored_bytes; /* of blocks, before the codec */
    uint64_t loaded_bytes;
    uint64_t written_bytes; /* to the device: headers, padding and reinsertion with it */
    uint64_t read_bytes;
    uint64_t refused; /* stores: no room, queue full */
    uint64_t over_budget; /* stores: the day's writes are used up */
    uint64_t corrupt; /* loads: a checksum, tag or header was wrong */
    uint64_t errors; /* operations that the device refused or cut short */
    uint64_t late; /* loads not begun by their deadline */
    uint64_t dropped; /* blocks given up to make room */
    uint64_t reinserted; /* blocks kept when their region was given up */
    double error_worst; /* lossy codecs: the largest relative error of a channel so far */
    uint64_t load_ns; /* a load takes about this long now: a running median; 0: not known yet */
};

struct tier;

struct tier_ops {
    const char *name;

    /* Returns STATUS_PENDING (STORED follows; `cookie` comes with it); STATUS_OK: it is here
     * already; STATUS_BUSY: the queue is full, try later; STATUS_LIMIT: no room, or the day's
     * budget is used up; STATUS_IO: the tier is down; STATUS_TOO_LARGE. Does not block, but
     * tier_file. */
    int (*store)(struct tier *tier, const struct tier_block *block, uint64_t cookie);

    /* Returns STATUS_PENDING (LOADED follows); STATUS_MISS: surely not here; STATUS_BUSY;
     * STATUS_TOO_LARGE: `room` is too small; STATUS_IO. Does not block, but tier_file. */
    int (*load)(struct tier *tier, const struct tier_wish *wish, uint64_t cookie);

    /* Forget a block, if it is known to be here; no LOST follows. A load under way may still end
     * with OK. While `finding`, and after a restart, an older copy may be FOUND again: the same
     * bytes, which do no harm; whoever wants it gone drops it once more. */
    void (*drop)(struct tier *tier, const struct tier_id *id);

    /* Take up to `room` events, oldest first; returns how many. Never waits. */
    uint32_t (*poll)(struct tier *tier, uint64_t now_ns, struct tier_done *out_done, uint32_t room);

    /* A descriptor that polls readable while events may wait for poll(), which clears it; -1: none
     * is needed, events are there when store or load return. */
    int (*fd)(const struct tier *tier);

    /* One line for --explain, the log and people: what it is, where, how it does its I/O, why. */
    void (*describe)(const struct tier *tier, char *out_text, size_t text_bytes);

    void (*health)(const struct tier *tier, struct tier_health *out_health);

    /* Finish what was accepted (bounded by `wait_ns`), make it durable, give everything back.
     * Events that were not polled are gone. */
    void (*close)(struct tier *tier, uint64_t wait_ns);
};

/* The first member of every backend. */
struct tier {
    const struct tier_ops *ops;
};

static inline int tier_store(struct tier *tier, const struct tier_block *block, uint64_t cookie)
{
    return tier->ops->store(tier, block, cookie);
}

static inline int tier_load(struct tier *tier, const struct tier_wish *wish, uint64_t cookie)
{
    return tier->ops->load(tier, wish, cookie);
}

static inline void tier_drop(struct tier *tier, const struct tier_id *id)
{
    tier->ops->drop(tier, id);
}

static inline uint32_t tier_poll(
    struct tier *tier, uint64_t now_ns, struct tier_done *out_done, uint32_t room)
{
    return tier->ops->poll(tier, now_ns, out_done, room);
}

static inline int tier_fd(const struct tier *tier)
{
    return tier->ops->fd(tier);
}

static inline void tier_close(struct tier *tier, uint64_t wait_ns)
{
    tier->ops->close(tier, wait_ns);
}

#endif
